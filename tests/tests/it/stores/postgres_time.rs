//! What only PostgreSQL does between BEGIN and COMMIT: deadlines, deadlocks, a role with other defaults.

use super::{
    commits::{Commits, through_proxy},
    journal::Drain,
    postgres_database::Database,
    *,
};

#[tokio::test]
async fn a_deadlock_is_an_error_that_may_be_tried_again() {
    let mut database = Database::with(TWO_NOTES).await;
    // Who looks for deadlocks while there is one is its victim. The store looks a second after it began
    // to wait, so it begins when the other one waits already; the other one does not look.
    let other = database.number("SELECT pg_backend_pid()::BIGINT").await;
    let wait = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             WHILE NOT EXISTS (SELECT FROM pg_locks WHERE pid = {other} AND NOT granted) LOOP
                 PERFORM pg_sleep(0.01);
             END LOOP;
             RETURN NEW;
         END $$;
         CREATE TRIGGER wait BEFORE UPDATE ON notes FOR EACH ROW
             WHEN (OLD.id = 1 AND NEW.body = 'a') EXECUTE FUNCTION wait()"
    );
    database.sql(&wait).await;
    database
        .sql("SET deadlock_timeout = '1h'; BEGIN; UPDATE notes SET rank = 1 WHERE id = 2")
        .await;
    let store = database.store.clone();
    let writing = tokio::spawn(async move { write(&store, &[note(1, "a"), note(2, "b")]).await });
    database.connections("wait_event = 'PgSleep'", 1).await;
    database.sql("UPDATE notes SET rank = 1 WHERE id = 1; COMMIT").await;
    let deadlock = writing.await.unwrap();
    assert_eq!(class(&deadlock), Class::Transient, "{deadlock:?}");
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("old"));
}

#[tokio::test]
async fn a_role_with_other_defaults_is_fenced_all_the_same() {
    let mut database = Database::locked().await;
    let options = "options=-cdefault_transaction_isolation%3Dserializable%20";
    let store = store::connect(&database.url.replace("options=", options)).await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { write_fenced(&store, note(1, "first"), Fence::new("notes", 0, 0)).await }
    });
    database.waiting(1).await;
    let raising = tokio::spawn({
        let store = store.clone();
        async move { raise(&store, "notes").await }
    });
    database.waiting(2).await;
    let second = tokio::spawn(async move {
        write_fenced(&store, note(2, "second"), Fence::new("notes", 0, 0)).await
    });
    database.waiting(3).await;
    database.sql("COMMIT").await;
    first.await.unwrap().unwrap();
    raising.await.unwrap().unwrap();
    assert_eq!(class(&second.await.unwrap()), Class::Fenced);
}

#[tokio::test]
async fn a_commit_that_arrives_after_the_deadline_takes_no_effect() {
    let mut database = Database::with("").await;
    let (store, release) = through_proxy(&database.url, Commits::Wait).await;
    let start = Instant::now();
    let late = write_within(&store, &[note(1, "late")], Duration::from_millis(800)).await;
    // The server said that it had waited long enough.
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    // The COMMIT is held for ever.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    release.notify_one();
    // The row lock of the late transaction is gone when this is through, one way or the other.
    database.sql("INSERT INTO notes (id, body) VALUES (1, 'other')").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("other"));
}

#[tokio::test]
async fn a_position_that_is_locked_is_waited_for_until_the_deadline() {
    let mut database = Database::with("").await;
    let mut drain = Drain::new(&database.store).await;
    database.sql("BEGIN; SELECT FROM cached_repo_offsets FOR UPDATE").await;
    let late = drain.write_within(&[note(1, "late")], Duration::from_millis(400)).await;
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    database.sql("COMMIT").await;
    // This waits behind whatever the late batch might still hold.
    database.sql("UPDATE cached_repo_offsets SET updated_at = now()").await;
    assert_eq!((drain.offset().await.last_id, read(&database.store, 1).await), (0, None));
    drain.write(&[note(1, "in time")]).await.unwrap();
}
