//! What a pool has back when calls were given up, were refused or failed: connections as they were.

use futures_util::future::join_all;
use sqlx::{Connection, raw_sql};

use super::{journal::Drain, mysql_database, *};

on_servers!(a_write_that_outlives_its_deadline_leaves_no_transaction_in_the_pool, |Database| {
    for size in [1, 2] {
        let mut database = Database::locked().await;
        let (pool, store) = database.pool(size).await;
        let before = Database::states(&pool).await;
        for milliseconds in [300, 1500] {
            let time = Duration::from_millis(milliseconds);
            let late = write_within(&store, &[note(1, "late")], time).await;
            assert_eq!(class(&late), Class::Transient, "{late:?}");
            // Others have the connection next: other rows, and the application itself.
            assert_eq!(read(&store, 2).await.unwrap().0, text("old"));
            raw_sql("SELECT 1").execute(&pool).await.unwrap();
            let there = database.ids("TRUE").await.len();
            assert!(there <= size as usize, "{there} connections of a pool of {size}");
        }
        assert_eq!(Database::states(&pool).await, before);
        database.sql("COMMIT").await;
        write(&store, &[note(1, "in time")]).await.unwrap();
    }
});

on_servers!(a_position_is_never_read_from_a_transaction_that_was_given_up, |Database| {
    let mut database = Database::locked().await;
    let mut drain = Drain::new(&database.store).await;
    let (pool, store) = database.pool(2).await;
    drain.store = store.clone();
    Database::states(&pool).await;
    // The position has moved in the transaction that waits for the lock.
    let changes = [note(3, "behind"), note(1, "behind")];
    let late = drain.write_within(&changes, Duration::from_millis(1500)).await;
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    let look = async || {
        loop {
            assert_eq!(drain.offset().await.last_id, 0, "a position that is not committed");
        }
    };
    // Until the server has ended what waits for the lock, and for as long as that transaction lives.
    tokio::select! {
        () = database.no_transactions() => {}
        never = look() => never,
    }
    database.sql("COMMIT").await;
    drain.write(&changes).await.unwrap();
    assert_eq!(read(&store, 3).await.unwrap().0, text("behind"));
});

on_servers!(what_the_application_has_set_on_its_connections_stays, |Database| {
    let checked = format!("{TWO_NOTES}; ALTER TABLE notes ADD CHECK (body <> 'bad')");
    let mut database = Database::with(&checked).await;
    database.sql(Database::LOCK_NOTE_1).await;
    let (pool, store) = database.pool(1).await;
    write(&store, &[note(2, "before")]).await.unwrap();
    raw_sql(Database::SETTINGS).execute(&pool).await.unwrap();
    let before = Database::states(&pool).await;

    write(&store, &[note(2, "new")]).await.unwrap();
    assert_eq!(Database::states(&pool).await, before, "after a write");

    assert_eq!(class(&write(&store, &[note(2, "bad")]).await), Class::Record);
    assert_eq!(Database::states(&pool).await, before, "after one that was refused");

    let late = write_within(&store, &[note(1, "late")], Duration::from_millis(1200)).await;
    assert_eq!(class(&late), Class::Transient);
    assert_eq!(Database::states(&pool).await, before, "after one that was too late");

    let cancelled = store.clone();
    let writing = tokio::spawn(async move {
        write_within(&cancelled, &[note(1, "cancelled")], Duration::from_secs(3)).await
    });
    database.waiting(1).await;
    writing.abort();
    assert_eq!(Database::states(&pool).await, before, "after one that was cancelled");

    // In a transaction that the application forgot to end, none can be begun as it has to be.
    raw_sql(Database::FORGOTTEN).execute(&pool).await.unwrap();
    write(&store, &[note(2, "newer")]).await.unwrap_err();
    assert_eq!(Database::states(&pool).await, before, "after one that could not begin");
    write(&store, &[note(2, "newer")]).await.unwrap();
});

on_servers!(
    /// On a pool of the application's own and on one of the library's, which has 16 at the most.
    reads_behind_a_locked_table_are_ended_by_the_server_and_keep_to_the_pool,
    |Database| {
        let mut database = Database::with(TWO_NOTES).await;
        let (pool, given) = database.pool(2).await;
        let stores = [(&given, 6), (&database.store.clone(), 40)];
        // What the table is like is known, and one connection of each pool is not new.
        let loaded = join_all(stores.iter().map(|(store, _)| read(store, 1))).await;
        assert!(loaded.iter().all(Option::is_some));
        database.sql(Database::LOCK_NOTES).await;
        let ids = &[note_id(1)];
        let readers = stores.iter().flat_map(|(store, count)| vec![store; *count]);
        let reads = readers.map(async |store| store.load(&NOTES, Query::Ids(ids)).await);
        let mut reading = std::pin::pin!(join_all(reads));
        let mut most = 0;
        let answers = loop {
            most = most.max(database.ids("TRUE").await.len());
            tokio::select! {
                answers = &mut reading => break answers,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        };
        assert!(answers.iter().all(|late| class(late) == Class::Transient), "{answers:?}");
        assert_eq!(most, 2 + 16, "connections of pools of 2 and of 16");
        database.connections(Database::BUSY, 0).await;
        database.sql(Database::UNLOCK_NOTES).await;
        assert!(read(&given, 1).await.is_some());
        Database::states(&pool).await;
    }
);

/// Every connection of a pool is in use when the table is locked, most of them for the first time: there
/// the driver first prepares the statement.
#[tokio::test]
async fn a_statement_that_is_given_up_while_it_is_prepared_costs_the_pool_nothing() {
    let mut database = mysql_database::Database::with(TWO_NOTES).await;
    let (pool, store) = database.pool(8).await;
    write(&store, &[note(1, "first")]).await.unwrap();
    database.sql("START TRANSACTION; SELECT * FROM notes").await;
    let alter = "ALTER TABLE notes ADD more INT";
    let mut other = sqlx::MySqlConnection::connect(&database.url).await.unwrap();
    let altering = tokio::spawn(async move { raw_sql(alter).execute(&mut other).await.map(drop) });
    let waits = "state LIKE 'Waiting for table metadata lock%'";
    database.connections(waits, 1).await;
    let time = Duration::from_secs(2);
    let notes: Vec<_> = (11..19).map(|id| [note(id, "late")]).collect();
    let written = join_all(notes.iter().map(|notes| write_within(&store, notes, time))).await;
    assert!(written.iter().all(|late| class(late) == Class::Transient), "{written:?}");
    let there = database.ids("TRUE").await.len();
    assert!(there <= 9, "{there} connections of a pool of 8, and one that alters the table");
    let states = tokio::time::timeout(HANG, mysql_database::Database::states(&pool));
    assert_eq!(states.await.expect("the pool has lost connections").len(), 8);
    database.sql("COMMIT").await;
    altering.await.unwrap().unwrap();
    write(&store, &[note(1, "last")]).await.unwrap();
}
