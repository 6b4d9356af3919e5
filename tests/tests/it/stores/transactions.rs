//! What PostgreSQL and MySQL do alike between BEGIN and COMMIT: locks, fences, lost connections.

use tokio::time::timeout;

use super::{
    commits::{Commits, through_proxy},
    journal::{Drain, NO_LETTERS},
    *,
};

on_servers!(a_locked_row_is_waited_for_until_the_deadline_and_not_written_later, |Database| {
    let mut database = Database::locked().await;
    // The lock is held for ever.
    let changes = [note(1, "late")];
    let late = write_within(&database.store, &changes, Duration::from_millis(400));
    let late = timeout(HANG, late).await.unwrap();
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    database.sql("COMMIT").await;
    // This waits behind whatever the late write might still hold.
    database.sql("UPDATE notes SET body = 'other' WHERE id = 1 AND body = 'old'").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("other"));
    write(&database.store, &[note(1, "in time")]).await.unwrap();
});

on_servers!(connections_that_died_in_the_pool_are_passed_over, |Database| {
    let mut database = Database::with("").await;
    for kind in 0..2 {
        let (store, notes) = (&database.store, [1, 2, 3, 4].map(|id| [note(id, "x")]));
        // Several at once, so that several connections lie in the pool.
        let written = futures_util::future::join_all(notes.iter().map(|n| write(store, n))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        database.kill_all().await;
        match kind {
            0 => drop(write(&database.store, &[note(9, "after")]).await.unwrap()),
            _ => assert!(read(&database.store, 9).await.is_some()),
        }
    }
});

on_servers!(a_killed_connection_or_statement_is_an_error_that_may_be_tried_again, |Database| {
    for kill in Database::KILLS {
        let mut database = Database::locked().await;
        let mut drain = Drain::new(&database.store).await;
        // The position has moved, and the second row is waited for.
        let changes = [note(3, "killed"), note(1, "killed")];
        let writing = tokio::spawn(async move { (drain.write(&changes).await, drain) });
        let waiting = database.waiting(1).await;
        database.kill(kill, &waiting).await;
        let (killed, mut drain) = writing.await.unwrap();
        assert_eq!(class(&killed), Class::Transient, "{kill}: {killed:?}");
        database.sql("COMMIT").await;
        assert_eq!((drain.offset().await.last_id, read(&database.store, 3).await), (0, None));
        assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
        drain.write(&[note(3, "a"), note(1, "b")]).await.unwrap();
    }
});

on_servers!(a_cancelled_write_gives_its_locks_and_its_connection_back, |Database| {
    let mut database = Database::locked().await;
    for cancelled in 1..=3 {
        let store = database.store.clone();
        let changes = [note(1, "cancelled"), note(3, "cancelled")];
        let writing = tokio::spawn(async move { write(&store, &changes).await });
        database.waiting(1).await;
        writing.abort();
        assert!(writing.await.unwrap_err().is_cancelled());
        // The server does not notice before it has the lock, or runs out of time.
        database.sql("COMMIT").await;
        database.no_transactions().await;
        assert_eq!(read(&database.store, 3).await, None, "write {cancelled}");
        database.sql(Database::LOCK_NOTE_1).await;
    }
    database.sql("COMMIT").await;
    write(&database.store, &[note(1, "new"), note(2, "new")]).await.unwrap();
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("new"));
});

on_servers!(an_epoch_is_not_raised_under_a_write_that_was_fenced_by_it, |Database| {
    for epoch in [0, 1] {
        let mut database = Database::locked().await;
        let store = database.store.clone();
        if epoch == 1 {
            raise(&store, "notes").await.unwrap();
            // On MySQL the partition's lock is a row: it is there from the start.
            write_fenced(&store, note(4, "x"), Fence::new("notes", 0, epoch)).await.unwrap();
        }
        let fenced = |id, body: &'static str| {
            let store = store.clone();
            tokio::spawn(async move {
                write_fenced(&store, note(id, body), Fence::new("notes", 0, epoch)).await
            })
        };
        // Held up between its check and its commit.
        let first = fenced(1, "first");
        database.waiting(1).await;
        let raised = store.clone();
        let raising = tokio::spawn(async move { raise(&raised, "notes").await });
        database.waiting(2).await;
        // Begun before the epoch is raised, checked after it.
        let second = fenced(2, "second");
        database.waiting(3).await;
        // Another partition has nothing to do with it.
        write_fenced(&store, note(3, "other"), Fence::new("notes", 1, 0)).await.unwrap();
        assert!(!raising.is_finished());

        database.sql("COMMIT").await;
        first.await.unwrap().unwrap();
        assert_eq!(raising.await.unwrap().unwrap(), epoch + 1);
        assert_eq!(class(&second.await.unwrap()), Class::Fenced);
        assert_eq!(read(&store, 1).await.unwrap().0, text("first"));
        assert_eq!(read(&store, 2).await.unwrap().0, text("old"));
    }
});

on_servers!(a_recovery_waits_for_a_batch_that_moved_the_position_and_stops_the_next, |Database| {
    let mut database = Database::locked().await;
    let mut drain = Drain::new(&database.store).await;
    let writing = tokio::spawn(async move { (drain.write(&[note(1, "a")]).await, drain) });
    database.waiting(1).await;
    let store = database.store.clone();
    let raising = tokio::spawn(async move { raise(&store, "notes").await });
    database.waiting(2).await;
    assert!(!raising.is_finished());
    database.sql("COMMIT").await;
    let (written, mut drain) = writing.await.unwrap();
    written.unwrap();
    assert_eq!(raising.await.unwrap().unwrap(), 2);
    let offset = drain.offset().await;
    assert_eq!((offset.last_id, offset.settled), (1, 2));
    assert_eq!(class(&drain.write(&[note(1, "b")]).await), Class::Fenced);
    assert_eq!(drain.letters().await, NO_LETTERS);
});

on_servers!(
    /// With a position, which tells which it was, and without one.
    a_commit_whose_answer_is_lost_is_unknown_whether_or_not_it_happened,
    |Database| {
        for (commits, last_id) in [(Commits::ArriveUnanswered, 1), (Commits::AreLost, 0)] {
            let database = Database::with("").await;
            let (store, _) = through_proxy(&database.url, commits).await;
            let unknown = write(&store, &[note(2, "maybe")]).await;
            assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
            let mut drain = Drain::new(&database.store).await;
            drain.store = through_proxy(&database.url, commits).await.0;
            let unknown = drain.write(&[note(1, "maybe")]).await;
            assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
            drain.store = database.store.clone();
            while drain.offset().await.last_id != last_id
                || read(&database.store, 2).await.is_some() != (last_id == 1)
            {
                tokio::task::yield_now().await;
            }
            // With the position the row, or neither.
            assert_eq!(read(&database.store, 1).await.is_some(), last_id == 1);
        }
    }
);
