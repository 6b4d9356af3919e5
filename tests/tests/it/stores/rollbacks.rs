//! What SQLite does when a trigger or a constraint rolls the whole transaction back.

use sqlx::{SqlitePool, raw_sql, sqlite::SqlitePoolOptions};

use super::{
    journal::{Drain, NO_LETTERS},
    sqlite::File,
    *,
};

const BY_A_TRIGGER: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, rank INTEGER);
    CREATE TRIGGER no BEFORE INSERT ON notes WHEN NEW.body = 'taken'
        BEGIN SELECT RAISE(ROLLBACK, 'no'); END";
const BY_A_CONSTRAINT: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY,
    body TEXT UNIQUE ON CONFLICT ROLLBACK, rank INTEGER);
    INSERT INTO notes VALUES (-1, 'taken', 0)";

/// In a file and in memory, on a pool of one connection.
async fn each() -> Vec<(File, SqlitePool, SharedStore)> {
    let mut all = Vec::new();
    for ddl in [BY_A_TRIGGER, BY_A_CONSTRAINT] {
        for in_memory in [false, true] {
            let file = File::new();
            let url = match in_memory {
                true => "sqlite::memory:".to_owned(),
                false => format!("{}?mode=rwc", file.url()),
            };
            let pool = SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap();
            raw_sql(ddl).execute(&pool).await.unwrap();
            let store = store::sqlite(pool.clone());
            store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
            all.push((file, pool, store));
        }
    }
    all
}

#[tokio::test]
async fn a_record_for_which_everything_is_rolled_back_is_buried_and_all_others_are_written() {
    for (_file, pool, store) in each().await {
        let mut drain = Drain::new(&store).await;
        drain.write(&[note(0, "before")]).await.unwrap();
        let mut notes: Vec<_> = (1..=50).map(|id| note(id, &format!("body {id}"))).collect();
        let refused = [7, 20, 49];
        for at in refused {
            notes[at] = note(at as i64 + 1, "taken");
        }
        let applied = drain.write(&notes).await.unwrap();
        for (at, applied) in applied.iter().enumerate() {
            let is_buried = matches!(applied, Applied::Buried { .. });
            assert_eq!(is_buried, refused.contains(&at), "{at}: {applied:?}");
            let found = read(&store, at as i64 + 1).await.map(|(body, _)| body);
            assert_eq!(found, (!is_buried).then(|| text(&format!("body {}", at + 1))));
        }
        assert_eq!(drain.letters().await, [9, 22, 51]);
        let Offset { applied, dead_lettered, last_id, .. } = drain.offset().await;
        assert_eq!((applied, dead_lettered, last_id), (48, 3, 51));
        // The partition goes on, also with what was refused.
        let freed = refused.map(|at| note(at as i64 + 1, &format!("free {at}")));
        drain.write(&freed).await.unwrap();
        assert_eq!(drain.letters().await, NO_LETTERS);
        raw_sql("BEGIN; ROLLBACK").execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_that_is_rolled_back_by_the_database_costs_neither_connection_nor_rows() {
    for (_file, pool, store) in each().await {
        write(&store, &[note(1, "kept")]).await.unwrap();
        for _ in 0..3 {
            let refused = write(&store, &[note(2, "also"), note(3, "taken")]).await;
            assert_eq!(class(&refused), Class::Record, "{refused:?}");
            raw_sql("BEGIN; ROLLBACK").execute(&pool).await.unwrap();
        }
        assert_eq!(read(&store, 1).await.unwrap().0, text("kept"));
        assert_eq!(read(&store, 2).await, None);
        write(&store, &[note(2, "also")]).await.unwrap();
    }
}
