//! What real databases refuse of a journal's batch is buried, and everything else is written.

use cached_repo::store::{
    DeadLetter, Journaled, LetterState, Position, Refused, Source, Unreadable,
};
use sqlx::{AssertSqlSafe, SqliteConnection, raw_sql};

use super::{mysql_database, postgres_database::Database, sqlite::File, *};

/// The journal of the notes: partition 0 of the entity "notes".
#[derive(Clone)]
pub(super) struct Drain {
    pub(super) store: SharedStore,
    pub(super) refused: Refused,
    last_id: u64,
}

impl Drain {
    pub(super) async fn new(store: &SharedStore) -> Self {
        assert_eq!(raise(store, "notes").await.unwrap(), 1);
        Self { store: store.clone(), refused: Refused::Bury { references: true }, last_id: 0 }
    }

    /// Writes the next records of the journal.
    pub(super) async fn write(&mut self, changes: &[Change]) -> Result<Vec<Applied>, StoreError> {
        self.write_within(changes, Duration::from_secs(20)).await
    }

    pub(super) async fn write_within(
        &mut self,
        changes: &[Change],
        time: Duration,
    ) -> Result<Vec<Applied>, StoreError> {
        let (from, to) = (self.last_id, self.last_id + changes.len() as u64);
        let position =
            Position { entity: "notes", partition: 0, journal: "journal", epoch: 1, from, to };
        let source = |version| Source { version, data: "{}", schema: "" };
        let sources: Vec<_> = (from + 1..=to).map(source).collect();
        let unreadable: &[Unreadable<'_>] = &[];
        let refused = self.refused;
        let journaled =
            Journaled { position, sources: &sources, unreadable, coalesced: 0, refused };
        let batch = Batch::new(changes, Instant::now() + time).journaled(journaled);
        let applied = self.store.apply(&NOTES, batch).await?;
        self.last_id = to;
        Ok(applied)
    }

    pub(super) async fn offset(&self) -> Offset {
        let offset = Ledger::Offset { entity: "notes", partition: 0 };
        match self.store.ledger(offset).await.unwrap() {
            Entry::Offset(Some(offset)) => offset,
            other => panic!("{other:?}"),
        }
    }

    /// The versions of the letters that wait.
    pub(super) async fn letters(&self) -> Vec<u64> {
        self.whole_letters().await.iter().map(|letter| letter.version).collect()
    }

    async fn whole_letters(&self) -> Vec<DeadLetter> {
        let letters = Ledger::Letters { entity: "notes", after: None, limit: 1000 };
        match self.store.ledger(letters).await.unwrap() {
            Entry::Letters(letters) => letters,
            other => panic!("{other:?}"),
        }
    }

    /// That a batch failed and left nothing behind.
    async fn failed(&self, written: &Result<Vec<Applied>, StoreError>, expected: Class) {
        assert_eq!(class(written), expected, "{written:?}");
        assert_eq!(self.offset().await.last_id, self.last_id, "the position of a failed batch");
        assert_eq!(self.letters().await, NO_LETTERS, "the letters of a failed batch");
    }
}

/// A database with its journal.
pub(super) struct Stage {
    pub(super) drain: Drain,
    other: Other,
}

/// Another user of the database.
enum Other {
    Postgres(Box<Database>),
    MySql(Box<mysql_database::Database>),
    /// Its file goes when this does.
    Sqlite {
        connection: SqliteConnection,
        _file: File,
    },
}

impl Stage {
    /// Each database, with this DDL and the library's tables.
    pub(super) async fn each(ddl: &str) -> Vec<Self> {
        let mut database = Database::new().await;
        database.sql(ddl).await;
        let file = File::new();
        let mut mysql = mysql_database::Database::new().await;
        mysql.sql(&ddl.replace("rank", "`rank`")).await;
        let stores = [database.store.clone(), file.store().await, mysql.store.clone()];
        let mut connection = file.connection().await;
        raw_sql(AssertSqlSafe(ddl.to_owned())).execute(&mut connection).await.unwrap();
        let others = [
            Other::Postgres(Box::new(database)),
            Other::Sqlite { connection, _file: file },
            Other::MySql(Box::new(mysql)),
        ];
        let mut stages = Vec::new();
        for (store, other) in stores.into_iter().zip(others) {
            store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
            stages.push(Self { drain: Drain::new(&store).await, other });
        }
        stages
    }

    pub(super) async fn sql(&mut self, sql: &str) {
        match &mut self.other {
            Other::Postgres(database) => database.sql(sql).await,
            Other::MySql(database) => database.sql(&sql.replace("rank", "`rank`")).await,
            Other::Sqlite { connection, .. } => {
                raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(drop).unwrap();
            }
        }
    }

    async fn body(&self, id: i64) -> Option<Value<'static>> {
        read(&self.drain.store, id).await.map(|(body, _)| body)
    }
}

fn delete(id: i64) -> Change {
    Change::Delete { id: note_id(id) }
}

fn is_buried(applied: &Applied) -> bool {
    matches!(applied, Applied::Buried { .. })
}

const UNIQUE: &str =
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(99) UNIQUE, rank INTEGER)";

#[tokio::test]
async fn one_record_of_five_hundred_that_is_refused_is_buried() {
    for stage in &mut Stage::each(UNIQUE).await {
        write(&stage.drain.store, &[note(9999, "taken")]).await.unwrap();
        let mut notes: Vec<_> = (0..500).map(|id| note(id, &format!("body {id}"))).collect();
        notes[321] = note(321, "taken");
        let applied = stage.drain.write(&notes).await.unwrap();
        let buried: Vec<_> = (0..500).filter(|&i| is_buried(&applied[i])).collect();
        assert_eq!(buried, [321]);
        let letters = stage.drain.whole_letters().await;
        assert_eq!((letters.len(), letters[0].version, &*letters[0].id), (1, 322, "321"));
        assert!(letters[0].error.to_lowercase().contains("unique"), "{}", letters[0].error);
        assert_eq!(letters[0].state, LetterState::Waiting);
        let Offset { applied, dead_lettered, last_id, .. } = stage.drain.offset().await;
        assert_eq!((applied, dead_lettered, last_id), (499, 1, 500));
        assert_eq!(stage.body(499).await, Some(text("body 499")));
        assert_eq!(stage.body(321).await, None);
        // It goes on, also with the id that was refused.
        stage.drain.write(&[note(321, "free")]).await.unwrap();
        assert_eq!(stage.drain.letters().await, NO_LETTERS);
    }
}

#[tokio::test]
async fn a_record_that_only_came_too_early_is_not_buried() {
    for stage in &mut Stage::each(UNIQUE).await {
        stage.drain.write(&[note(1, "a"), note(2, "b"), note(3, "c")]).await.unwrap();
        // In the journal's order each finds its body free; rows are written in another order.
        let moved = [delete(3), note(2, "c"), note(1, "b"), note(4, "a"), note(5, "b")];
        let applied = stage.drain.write(&moved).await.unwrap();
        let buried: Vec<_> = applied.iter().map(is_buried).collect();
        assert_eq!(buried, [false, false, false, false, true], "{applied:?}");
        assert_eq!(stage.body(4).await, Some(text("a")));
        assert_eq!(stage.drain.letters().await, [8]);
    }
}

#[tokio::test]
async fn a_row_that_is_referred_to_may_come_later() {
    let ddl = "CREATE TABLE authors (name VARCHAR(99) PRIMARY KEY);
        CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(99), rank INTEGER,
            FOREIGN KEY (body) REFERENCES authors (name))";
    for stage in &mut Stage::each(ddl).await {
        stage.sql("INSERT INTO authors VALUES ('here')").await;
        let notes = [note(1, "here"), note(2, "not yet"), note(3, "here")];
        stage.drain.refused = Refused::Fail;
        let written = stage.drain.write(&notes).await;
        stage.drain.failed(&written, Class::Reference).await;
        stage.sql("INSERT INTO authors VALUES ('not yet')").await;
        stage.drain.write(&notes).await.unwrap();
        assert_eq!(stage.body(2).await, Some(text("not yet")));

        stage.drain.refused = Refused::Bury { references: true };
        let applied = stage.drain.write(&[note(4, "never"), note(5, "here")]).await.unwrap();
        assert!(is_buried(&applied[0]) && !is_buried(&applied[1]), "{applied:?}");
        assert_eq!(stage.drain.letters().await, [4]);
    }
}

#[tokio::test]
async fn however_many_records_a_constraint_refuses_the_others_are_written() {
    let ddl = "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT CHECK (body <> 'bad'),
        rank INTEGER)";
    for stage in &mut Stage::each(ddl).await {
        let bad_but = |good: i64| {
            let body = move |id| if id == good { "good" } else { "bad" };
            (0..500).map(|id| note(id, body(id))).collect::<Vec<_>>()
        };
        let applied = stage.drain.write(&bad_but(400)).await.unwrap();
        assert_eq!(applied.iter().filter(|a| is_buried(a)).count(), 499);
        assert_eq!(stage.body(400).await, Some(text("good")));
        let applied = stage.drain.write(&bad_but(-1)).await.unwrap();
        assert!(applied.iter().all(is_buried), "where not a single one is good, too");
        assert_eq!(stage.drain.letters().await.len(), 499 + 500);
    }
}

#[tokio::test]
async fn a_column_that_no_record_has_buries_nothing() {
    for stage in &mut Stage::each(
        "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT, \
        rank INTEGER, needed INTEGER NOT NULL)",
    )
    .await
    {
        let written = stage.drain.write(&[note(1, "a"), note(2, "b")]).await;
        stage.drain.failed(&written, Class::Systemic).await;
        let message = written.unwrap_err().to_string();
        assert!(message.contains("needed"), "{message}");
    }
}

#[tokio::test]
async fn a_column_that_is_missing_buries_nothing() {
    for stage in &mut Stage::each(UNIQUE).await {
        stage.sql("ALTER TABLE notes RENAME COLUMN rank TO other").await;
        let written = stage.drain.write(&[note(1, "a"), note(2, "a")]).await;
        stage.drain.failed(&written, Class::Systemic).await;
        stage.sql("ALTER TABLE notes RENAME COLUMN other TO rank").await;
        stage.drain.write(&[note(1, "a"), note(2, "b")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_value_that_the_database_cannot_hold_is_buried() {
    let mut stages = Stage::each(UNIQUE).await;
    let [postgres, others @ ..] = stages.as_mut_slice() else { unreachable!() };
    let notes = [note(1, "a\0b"), note(2, "plain")];
    let applied = postgres.drain.write(&notes).await.unwrap();
    assert!(is_buried(&applied[0]) && !is_buried(&applied[1]), "{applied:?}");
    let letters = postgres.drain.whole_letters().await;
    assert!(letters[0].error.contains("NUL"), "{}", letters[0].error);
    for other in others {
        other.drain.write(&notes).await.unwrap();
        assert_eq!(other.body(1).await, Some(text("a\0b")));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_by_every_database() {
    for stage in &mut Stage::each(UNIQUE).await {
        let data = "{\"a\0";
        let source = Source { version: 7, data, schema: "" };
        let unreadable = [Unreadable { source, deletes: false, error: "a\0" }];
        let position = Position {
            entity: "notes",
            partition: 0,
            journal: "journal",
            epoch: 1,
            from: 0,
            to: 7,
        };
        let refused = Refused::Fail;
        let journaled =
            Journaled { position, sources: &[], unreadable: &unreadable, coalesced: 0, refused };
        let batch = Batch::new(&[], Instant::now() + Duration::from_secs(20)).journaled(journaled);
        stage.drain.store.apply(&NOTES, batch).await.unwrap();
        let letters = stage.drain.whole_letters().await;
        assert!(letters[0].data.starts_with("{\"a"), "{letters:?}");
    }
}

#[tokio::test]
async fn a_journaled_batch_may_have_more_values_than_a_statement_takes_parameters() {
    for stage in &mut Stage::each(UNIQUE).await {
        let mut notes: Vec<_> = (0..24_000).map(|id| note(id, &id.to_string())).collect();
        notes[20_000] = note(20_000, "7");
        stage.drain.write(&notes).await.unwrap();
        assert_eq!(stage.drain.letters().await, [20_001]);
        assert_eq!(stage.drain.offset().await.applied, 23_999);
        // All of their letters are looked for in one statement.
        notes[20_000] = note(20_000, "free");
        stage.drain.write(&notes).await.unwrap();
        assert_eq!(stage.drain.letters().await, NO_LETTERS);
    }
}

pub(super) const NO_LETTERS: [u64; 0] = [];
