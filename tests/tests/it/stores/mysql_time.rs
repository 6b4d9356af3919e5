//! What happens on MySQL and MariaDB between BEGIN and COMMIT: locks, deadlines, lost connections.

use super::{
    journal::{Drain, NO_LETTERS},
    mysql_database::Database,
    postgres_time::{Commits, proxied},
    *,
};

const TWO: &str = "INSERT INTO notes (id, body) VALUES (1, 'old'), (2, 'old')";
const LOCK_NOTE_1: &str = "START TRANSACTION; SELECT * FROM notes WHERE id = 1 FOR UPDATE";

async fn locked() -> Database {
    let mut database = Database::with(TWO).await;
    database.sql(LOCK_NOTE_1).await;
    database
}

async fn through_proxy(
    database: &Database,
    commits: Commits,
) -> (SharedStore, std::sync::Arc<tokio::sync::Notify>) {
    let (url, release) = proxied(&database.url, commits).await;
    (store::connect(&url).await.unwrap(), release)
}

#[tokio::test]
async fn a_locked_row_is_waited_for_until_the_deadline_and_not_written_later() {
    let mut database = locked().await;
    let late = write_within(&database.store, &[note(1, "late")], Duration::from_millis(400)).await;
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    database.sql("COMMIT").await;
    // This waits behind whatever the late write might still hold.
    database.sql("UPDATE notes SET `rank` = 5 WHERE id = 1 AND body = 'old'").await;
    assert_eq!(read(&database.store, 1).await, Some((text("old"), Value::I64(5))));
    write(&database.store, &[note(1, "in time")]).await.unwrap();
}

#[tokio::test]
async fn the_server_ends_statements_that_take_too_long() {
    // The transaction's time is over on the server before the client gives up.
    let mut database = Database::with(
        "CREATE TRIGGER waits BEFORE INSERT ON notes FOR EACH ROW SET @slept = SLEEP(100)",
    )
    .await;
    let store = database.store.clone();
    let time = Duration::from_secs(4);
    let writing = tokio::spawn(async move { write_within(&store, &[note(1, "a")], time).await });
    database.connections("state = 'User sleep'", 1).await;
    let late = writing.await.unwrap();
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    // Nobody waits for the trigger, which would go on for long.
    database.connections("command <> 'Sleep'", 0).await;
    database.sql("DROP TRIGGER waits").await;
    assert_eq!(read(&database.store, 1).await, None);
}

#[tokio::test]
async fn a_deadlock_is_an_error_that_may_be_tried_again() {
    let mut database = Database::with(TWO).await;
    // Who has changed fewer rows is the victim.
    let heavy = "CREATE TABLE heavy (n INT PRIMARY KEY); START TRANSACTION; \
        INSERT INTO heavy SELECT seq FROM seq_1_to_1000; UPDATE notes SET `rank` = 1 WHERE id = 2";
    database.sql(heavy).await;
    let store = database.store.clone();
    let writing = tokio::spawn(async move { write(&store, &[note(1, "a"), note(2, "b")]).await });
    database.waiting(1).await;
    database.sql("UPDATE notes SET `rank` = 1 WHERE id = 1; COMMIT").await;
    let deadlock = writing.await.unwrap();
    assert_eq!(class(&deadlock), Class::Transient, "{deadlock:?}");
    assert!(deadlock.unwrap_err().to_string().contains("(code 1213)"));
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
    write(&database.store, &[note(1, "a"), note(2, "b")]).await.unwrap();
}

#[tokio::test]
async fn connections_that_died_in_the_pool_are_passed_over() {
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
}

#[tokio::test]
async fn a_connection_or_a_statement_that_is_killed_is_an_error_that_may_be_tried_again() {
    for kill in ["KILL", "KILL QUERY"] {
        let mut database = locked().await;
        let store = database.store.clone();
        let writing = tokio::spawn(async move { write(&store, &[note(1, "killed")]).await });
        let waiting = database.waiting(1).await;
        database.kill(kill, &waiting).await;
        let killed = writing.await.unwrap();
        assert_eq!(class(&killed), Class::Transient, "{kill}: {killed:?}");
        database.sql("COMMIT").await;
        assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
    }
}

#[tokio::test]
async fn a_cancelled_write_gives_its_locks_and_its_connection_back() {
    let mut database = locked().await;
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
        database.sql(LOCK_NOTE_1).await;
    }
    database.sql("COMMIT").await;
    write(&database.store, &[note(1, "new"), note(2, "new")]).await.unwrap();
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("new"));
}

#[tokio::test]
async fn an_epoch_is_not_raised_under_a_write_that_was_fenced_by_it() {
    for epoch in [0, 1] {
        let mut database = locked().await;
        let store = database.store.clone();
        if epoch == 1 {
            raise(&store, "notes").await.unwrap();
            // The lock of the other partition is there from the start.
            write_fenced(&store, note(4, "x"), Fence::new("notes", 0, epoch)).await.unwrap();
        }
        // Held up between its check and its commit.
        let first = tokio::spawn({
            let store = store.clone();
            async move { write_fenced(&store, note(1, "first"), Fence::new("notes", 0, epoch)).await }
        });
        database.waiting(1).await;
        let raising = tokio::spawn({
            let store = store.clone();
            async move { raise(&store, "notes").await }
        });
        database.waiting(2).await;
        // Begun before the epoch is raised, checked after it.
        let second = tokio::spawn({
            let store = store.clone();
            async move { write_fenced(&store, note(2, "second"), Fence::new("notes", 0, epoch)).await }
        });
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
}

#[tokio::test]
async fn writes_of_one_partition_do_not_wait_for_each_other_nor_for_its_drain() {
    let mut database = locked().await;
    let mut drain = Drain::new(&database.store).await;
    let store = database.store.clone();
    // The first one makes the lock, which the others share from then on.
    write_fenced(&store, note(4, "first"), Fence::new("notes", 0, 1)).await.unwrap();
    let held = tokio::spawn({
        let store = store.clone();
        async move { write_fenced(&store, note(1, "held"), Fence::new("notes", 0, 1)).await }
    });
    database.waiting(1).await;
    write_fenced(&store, note(2, "free"), Fence::new("notes", 0, 1)).await.unwrap();
    drain.write(&[note(3, "drained")]).await.unwrap();
    assert!(!held.is_finished());
    database.sql("COMMIT").await;
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_recovery_waits_for_a_batch_that_moved_the_position_and_stops_the_next() {
    let mut database = locked().await;
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
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_whether_or_not_it_happened() {
    for (commits, last_id) in [(Commits::ArriveUnanswered, 1), (Commits::AreLost, 0)] {
        let database = Database::with("").await;
        let mut drain = Drain::new(&database.store).await;
        drain.store = through_proxy(&database, commits).await.0;
        let unknown = drain.write(&[note(1, "maybe")]).await;
        assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
        drain.store = database.store.clone();
        // The position tells what became of it.
        while drain.offset().await.last_id != last_id {
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&database.store, 1).await.is_some(), last_id == 1);
    }
}

#[tokio::test]
async fn a_commit_that_arrives_after_the_deadline_takes_no_effect() {
    let mut database = Database::with("").await;
    let (store, release) = through_proxy(&database, Commits::Wait).await;
    let late = write_within(&store, &[note(1, "late")], Duration::from_secs(3)).await;
    // Nobody knows yet: it may have arrived in time.
    assert_eq!(class(&late), Class::Unknown, "{late:?}");
    release.notify_one();
    // The row lock of the late transaction is gone when this is through, one way or the other.
    database.sql("INSERT INTO notes (id, body) VALUES (1, 'other')").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("other"));
    database.no_transactions().await;
}
