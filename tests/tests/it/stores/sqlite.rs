//! What is particular to SQLite.

use std::path::PathBuf;

use cached_repo::store::Refused;
use sqlx::{Connection, SqliteConnection, raw_sql};

use super::{
    journal::{Drain, NO_LETTERS},
    *,
};

/// A database file that is removed with its folder.
pub(super) struct File(PathBuf);

impl File {
    pub(super) fn new() -> Self {
        let directory = std::env::temp_dir().join(unique("cached-repo"));
        std::fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite:{}/app.db", self.0.display())
    }

    pub(super) async fn store(&self) -> SharedStore {
        store::connect(&self.url()).await.unwrap()
    }

    pub(super) async fn connection(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A database with this DDL and the library's tables.
async fn with(ddl: &'static str) -> (File, SharedStore, SqliteConnection) {
    let file = File::new();
    let store = file.store().await;
    let mut connection = file.connection().await;
    raw_sql(ddl).execute(&mut connection).await.unwrap();
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    (file, store, connection)
}

const PLAIN: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, rank INTEGER,
    extra TEXT NOT NULL DEFAULT 'kept')";

#[tokio::test]
async fn a_table_of_ones_own_keeps_its_extra_columns() {
    let (_file, store, mut connection) = with(PLAIN).await;
    assert!(store.describe(&NOTES).await.unwrap().missing.is_empty());
    raw_sql("INSERT INTO notes (id, body, extra) VALUES (1, 'old', 'mine')")
        .execute(&mut connection)
        .await
        .unwrap();
    write(&store, &[note(1, "new")]).await.unwrap();
    let extra: String = sqlx::query_scalar("SELECT body || extra FROM notes")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(extra, "newmine");
}

#[tokio::test]
async fn a_batch_may_have_more_values_than_a_statement_takes_parameters() {
    let (_file, store, _) = with(PLAIN).await;
    let notes: Vec<_> = (0..20_011).map(|id| note(id, "x")).collect();
    write(&store, &notes).await.unwrap();
    let ids: Vec<_> = (0..20_011).map(note_id).collect();
    assert_eq!(store.load(&NOTES, Query::Ids(&ids)).await.unwrap().len(), ids.len());
}

#[tokio::test]
async fn triggers_show_in_the_rows_that_are_returned() {
    let (_file, store, _) = with(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, rank INTEGER);
        CREATE TRIGGER t AFTER INSERT ON notes BEGIN
            UPDATE notes SET body = upper(body), rank = 7 WHERE id = NEW.id;
        END",
    )
    .await;
    let changes = [note(1, "loud")];
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20)).returning(true);
    let applied = store.apply(&NOTES, batch).await.unwrap();
    let [Applied::Put(Some(row))] = applied.as_slice() else { panic!("{applied:?}") };
    assert_eq!((row.get(1), row.get(2)), (Some(&text("LOUD")), Some(&Value::I64(7))));
}

#[tokio::test]
async fn errors_fall_into_the_classes_that_decide_what_follows() {
    let (_file, store, mut connection) = with(
        "CREATE TABLE notes (
        id INTEGER PRIMARY KEY, body TEXT UNIQUE, rank INTEGER CHECK (rank = 0));
        CREATE TRIGGER t BEFORE INSERT ON notes WHEN NEW.body = 'rollback' BEGIN
            SELECT RAISE(ROLLBACK, 'no');
        END",
    )
    .await;
    write(&store, &[note(1, "taken")]).await.unwrap();
    let unique = write(&store, &[note(3, "free"), note(2, "taken")]).await;
    assert_eq!(class(&unique), Class::Record, "{unique:?}");
    assert_eq!(read(&store, 3).await, None);
    // The trigger ends the transaction behind the driver's back: again and again, on all connections.
    for _ in 0..20 {
        let rolled_back = write(&store, &[note(4, "free"), note(5, "rollback")]).await;
        assert_eq!(class(&rolled_back), Class::Record, "{rolled_back:?}");
    }
    assert_eq!(read(&store, 4).await, None);
    write(&store, &[note(4, "free")]).await.unwrap();

    raw_sql("DROP TABLE notes").execute(&mut connection).await.unwrap();
    let missing = write(&store, &[note(1, "x")]).await;
    assert_eq!(class(&missing), Class::Systemic, "{missing:?}");
}

#[tokio::test]
async fn a_value_that_sqlite_would_change_is_refused_by_name() {
    let rates = schema("rates", [id_column("id", Kind::I64), column("the_rate", Kind::F64)]);
    let store = store::connect("sqlite::memory:").await.unwrap();
    store.ledger(Ledger::Install { schema: &rates }).await.unwrap();
    for (rate, words) in [(f64::NAN, "NaN"), (-0.0, "-0.0")] {
        let record = record(vec![Value::I64(1), Value::F64(rate)]);
        let changes = [Change::Put { id: note_id(1), record }];
        let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(5));
        let refused = store.apply(&rates, batch).await;
        assert_eq!(class(&refused), Class::Record);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("`the_rate`") && message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn another_process_that_writes_is_waited_for_until_the_deadline() {
    let (_file, store, mut other) = with(PLAIN).await;
    raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let start = Instant::now();
    let late = write_within(&store, &[note(1, "late")], Duration::from_millis(300)).await;
    assert_eq!(class(&late), Class::Transient, "{late:?}");
    // Not for the five seconds that the database would wait.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    // A write that comes after the late one, on the same file, sees that nothing of it was written.
    write(&store, &[note(2, "in time")]).await.unwrap();
    assert_eq!(read(&store, 1).await, None);
}

#[tokio::test]
async fn a_cancelled_write_leaves_no_transaction_behind() {
    let (_file, store, mut other) = with(PLAIN).await;
    for polls in 0..12 {
        let changes = [note(1, "cancelled")];
        let writing = write(&store, &changes);
        tokio::pin!(writing);
        for _ in 0..polls {
            let once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(std::future::Future::poll(writing.as_mut(), context))
            });
            if once.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    raw_sql("BEGIN IMMEDIATE; COMMIT").execute(&mut other).await.unwrap();
    write(&store, &[note(2, "whole")]).await.unwrap();
    assert!(read(&store, 2).await.is_some());
}

#[tokio::test]
async fn what_is_missing_is_said_in_sentences() {
    let file = File::new();
    let (store, mut connection) = (file.store().await, file.connection().await);
    let missing = async || store.describe(&NOTES).await.unwrap().missing.join("\n");
    let all = missing().await;
    for table in
        ["`notes`", "`cached_repo_meta`", "`cached_repo_offsets`", "`cached_repo_dead_letters`"]
    {
        assert!(all.contains(&format!("The table {table} does not exist")), "{all}");
    }
    let ddl = store.describe(&NOTES).await.unwrap().ddl;
    for _ in 0..2 {
        raw_sql(sqlx::AssertSqlSafe(ddl.clone())).execute(&mut connection).await.unwrap();
    }
    assert_eq!(missing().await, "");
    raw_sql("DROP TABLE notes; CREATE TABLE notes (id INTEGER, body TEXT)")
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(missing().await.contains("no column `rank`"));
    raw_sql(
        "ALTER TABLE notes ADD rank INTEGER; CREATE INDEX i ON notes (id);
        CREATE UNIQUE INDEX partial ON notes (id) WHERE rank > 0;
        CREATE UNIQUE INDEX wide ON notes (id, body)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert!(missing().await.contains("unique index on exactly (id)"));
    raw_sql("CREATE UNIQUE INDEX u ON notes (id)").execute(&mut connection).await.unwrap();
    assert_eq!(missing().await, "");
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
    for refused in [Refused::Fail, Refused::Bury { references: true }] {
        drain.refused = refused;
        let late = drain.write(&[note(1, "not yet")]).await;
        assert_eq!(class(&late), Class::Reference, "{late:?}");
        assert_eq!((drain.offset().await.last_id, read(&store, 1).await), (0, None));
        assert_eq!(drain.letters().await, NO_LETTERS);
    }
    raw_sql("INSERT INTO authors VALUES ('not yet')").execute(&mut connection).await.unwrap();
    drain.write(&[note(1, "not yet")]).await.unwrap();
}
