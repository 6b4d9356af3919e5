//! A journal's position and its rows change together, whatever happens before the COMMIT.

use cached_repo::store::Refused;
use sqlx::raw_sql;

use super::{
    journal::{Drain, NO_LETTERS},
    postgres::Database,
    postgres_time::{Commits, through_proxy},
    sqlite::File,
    *,
};

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

#[tokio::test]
async fn a_connection_that_is_killed_behind_the_position_moves_nothing() {
    let mut database = Database::with("INSERT INTO notes (id, body) VALUES (2, 'old')").await;
    let mut drain = Drain::new(&database.store).await;
    database.sql("BEGIN; SELECT FROM notes WHERE id = 2 FOR UPDATE").await;
    let writing =
        tokio::spawn(async move { (drain.write(&[note(1, "a"), note(2, "b")]).await, drain) });
    // The position has moved, and the second row is waited for.
    database.waiting("transactionid", 1).await;
    database.kill_all().await;
    let (killed, mut drain) = writing.await.unwrap();
    assert_eq!(class(&killed), Class::Transient, "{killed:?}");
    database.sql("COMMIT").await;
    assert_eq!((drain.offset().await.last_id, read(&database.store, 1).await), (0, None));
    drain.write(&[note(1, "a"), note(2, "b")]).await.unwrap();
}

#[tokio::test]
async fn a_recovery_waits_for_a_batch_that_moved_the_position_and_stops_the_next() {
    let mut database = Database::with("INSERT INTO notes (id, body) VALUES (1, 'old')").await;
    let mut drain = Drain::new(&database.store).await;
    database.sql("BEGIN; SELECT FROM notes FOR UPDATE").await;
    let writing = tokio::spawn(async move { (drain.write(&[note(1, "a")]).await, drain) });
    database.waiting("transactionid", 1).await;
    let store = database.store.clone();
    let raising = tokio::spawn(async move { raise(&store, "notes").await });
    database.waiting("transactionid", 2).await;
    assert!(!raising.is_finished());
    database.sql("COMMIT").await;
    let (written, mut drain) = writing.await.unwrap();
    written.unwrap();
    assert_eq!(raising.await.unwrap().unwrap(), 2);
    let offset = drain.offset().await;
    assert_eq!((offset.last_id, offset.settled), (1, 2));
    assert_eq!(class(&drain.write(&[note(1, "b")]).await), Class::Fenced);
}

#[tokio::test]
async fn the_position_tells_what_became_of_a_commit_whose_answer_was_lost() {
    for (commits, last_id) in [(Commits::ArriveUnanswered, 1), (Commits::AreLost, 0)] {
        let database = Database::with("").await;
        let mut drain = Drain::new(&database.store).await;
        drain.store = through_proxy(&database, commits).await.0;
        let unknown = drain.write(&[note(1, "maybe")]).await;
        assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
        drain.store = database.store.clone();
        while drain.offset().await.last_id != last_id {
            tokio::task::yield_now().await;
        }
        // With it the row, or neither.
        assert_eq!(read(&database.store, 1).await.is_some(), last_id == 1);
    }
}

#[tokio::test]
async fn a_reference_that_is_checked_at_commit_fails_the_batch() {
    let file = File::new();
    let (store, mut connection) = (file.store().await, file.connection().await);
    let ddl = "CREATE TABLE authors (name TEXT PRIMARY KEY);
        CREATE TABLE notes (id INTEGER PRIMARY KEY, rank INTEGER,
            body TEXT REFERENCES authors (name) DEFERRABLE INITIALLY DEFERRED)";
    raw_sql(ddl).execute(&mut connection).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    let mut drain = Drain::new(&store).await;
    // SQLite does not say whose it is, so that it cannot be buried.
    for refused in [Refused::Fail, Refused::Bury { references: true, max: 1 }] {
        drain.refused = refused;
        let late = drain.write(&[note(1, "not yet")]).await;
        assert_eq!(class(&late), Class::Reference, "{late:?}");
        assert_eq!((drain.offset().await.last_id, read(&store, 1).await), (0, None));
        assert_eq!(drain.letters().await, NO_LETTERS);
    }
    raw_sql("INSERT INTO authors VALUES ('not yet')").execute(&mut connection).await.unwrap();
    drain.write(&[note(1, "not yet")]).await.unwrap();
}

#[tokio::test]
async fn a_trigger_that_ends_the_transaction_behind_our_back_lets_nothing_through() {
    let file = File::new();
    let (store, mut connection) = (file.store().await, file.connection().await);
    let ddl = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, rank INTEGER);
        CREATE TRIGGER t BEFORE INSERT ON notes WHEN NEW.body = 'bad' BEGIN
            SELECT RAISE(ROLLBACK, 'no');
        END";
    raw_sql(ddl).execute(&mut connection).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    let mut drain = Drain::new(&store).await;
    let ended = drain.write(&[note(1, "good"), note(2, "bad"), note(3, "good")]).await;
    assert_eq!(class(&ended), Class::Systemic, "{ended:?}");
    assert_eq!(drain.offset().await.last_id, 0);
    assert_eq!(drain.letters().await, NO_LETTERS);
    for id in 1..=3 {
        assert_eq!(read(&store, id).await, None);
    }
    drain.write(&[note(1, "good"), note(3, "good")]).await.unwrap();
}
