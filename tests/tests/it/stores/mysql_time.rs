//! What only MySQL and MariaDB do between BEGIN and COMMIT: deadlines, deadlocks, shared locks.

use super::{
    commits::{Commits, through_proxy},
    journal::Drain,
    mysql_database::Database,
    *,
};

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
    let mut database = Database::with(TWO_NOTES).await;
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
async fn writes_of_one_partition_do_not_wait_for_each_other_nor_for_its_drain() {
    let mut database = Database::locked().await;
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
async fn a_commit_that_arrives_after_the_deadline_takes_no_effect() {
    let mut database = Database::with("").await;
    let (store, release) = through_proxy(&database.url, Commits::Wait).await;
    let late = write_within(&store, &[note(1, "late")], Duration::from_secs(3)).await;
    // Nobody knows yet: it may have arrived in time.
    assert_eq!(class(&late), Class::Unknown, "{late:?}");
    release.notify_one();
    // The row lock of the late transaction is gone when this is through, one way or the other.
    database.sql("INSERT INTO notes (id, body) VALUES (1, 'other')").await;
    assert_eq!(read(&database.store, 1).await.unwrap().0, text("other"));
    database.no_transactions().await;
}
