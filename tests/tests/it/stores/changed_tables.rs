//! A table that somebody changes while a process runs: what was prepared for the old one harms nobody.

use futures_util::future::join_all;

use super::{postgres_database::Database, *};

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// What is done to the table, one after the other; each leaves it with the same row.
const CHANGES: [&str; 6] = [
    "ALTER TABLE typed ALTER value TYPE uuid USING value::uuid",
    "ALTER TABLE typed ALTER value TYPE varchar(36)",
    "ALTER TABLE typed ALTER value TYPE text",
    "DROP TABLE typed; CREATE TABLE typed (value uuid, other int, id bigint PRIMARY KEY); \
     INSERT INTO typed VALUES ('67e55044-10b1-426f-9247-bb680e5fe0c8', 1, 1)",
    "ALTER TABLE typed DROP value, ADD value text; \
     UPDATE typed SET value = '67e55044-10b1-426f-9247-bb680e5fe0c8'",
    "ALTER TABLE typed RENAME TO gone; CREATE TABLE typed AS SELECT id, value::uuid FROM gone; \
     ALTER TABLE typed ADD PRIMARY KEY (id); DROP TABLE gone",
];

#[tokio::test]
async fn a_type_that_is_changed_under_a_running_process_fails_no_read_and_no_write() {
    for size in [1, 2, 5] {
        let mut database = Database::new().await;
        let typed = schema("typed", [id_column("id", Kind::I64), column("value", Kind::Uuid)]);
        let ddl = format!(
            "CREATE TABLE typed (id bigint PRIMARY KEY, value text); \
             INSERT INTO typed VALUES (1, '{UUID}')"
        );
        database.sql(&ddl).await;
        database.store.ledger(Ledger::Install { schema: &typed }).await.unwrap();
        let (_pool, store) = database.pool(size).await;
        let id = [note_id(1)];
        let read = async || {
            let rows = store.load(&typed, Query::Ids(&id)).await.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(records(rows).pop().unwrap().take(1), Some(text(UUID)));
        };
        let row = record(vec![Value::I64(1), text(UUID)]);
        let puts = [Change::Put { id: note_id(1), record: row }];
        let write = async || {
            let deadline = Instant::now() + Duration::from_secs(20);
            // It reads back what it wrote.
            let batch = Batch::new(&puts, deadline).returning(true);
            store.apply(&typed, batch).await.map(drop)
        };
        for change in CHANGES {
            // So that each connection has the statements.
            join_all((0..4 * size).map(|_| read())).await;
            join_all((0..4 * size).map(|_| write())).await;
            database.sql(change).await;
            for _ in 0..=size {
                read().await;
                write().await.unwrap_or_else(|e| panic!("{change}: {e}"));
            }
            let there = database.ids("TRUE").await.len();
            assert!(there <= size as usize, "{there} connections of a pool of {size}");
        }
    }
}
