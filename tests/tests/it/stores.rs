//! Every store keeps the contract, and the SQL ones do what the contract leaves to them.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use cached_repo::{
    Change, ColumnSpec, EntityId, Kind, Record, Schema, Value,
    store::{
        self, Applied, Batch, Class, Entry, Fence, Ledger, Offset, Query, SharedStore, StoreError,
        conformance,
    },
};
use tokio::time::Instant;

use crate::databases::records;

/// A test on each server.
macro_rules! on_servers {
    ($(#[$doc:meta])* $name:ident, |$database:ident| $body:block) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            #[tokio::test]
            async fn postgres() {
                use super::super::postgres_database::Database as $database;
                $body
            }

            #[tokio::test]
            async fn mysql() {
                use super::super::mysql_database::Database as $database;
                $body
            }
        }
    };
}

mod changed_tables;
mod codes;
mod commits;
mod computed;
mod connecting;
mod journal;
mod mongo;
mod mongo_faults;
mod mongo_standalone;
mod mongo_time;
mod mongo_types;
mod keys;
mod mysql;
mod mysql_database;
mod mysql_errors;
mod mysql_time;
mod pools;
mod postgres;
mod postgres_database;
mod postgres_time;
mod rollbacks;
mod sqlite;
mod transactions;

/// A place of a test's own on a server under test.
trait Server: Sized {
    const LOCK_NOTE_1: &str;
    /// Keeps readers of the notes waiting.
    const LOCK_NOTES: &str;
    const UNLOCK_NOTES: &str;
    /// Of a connection that has a statement to do.
    const BUSY: &str;
    /// How a connection is ended, and how its statement.
    const KILLS: [&str; 2];

    /// What an application may have set on a connection of its own.
    const SETTINGS: &str;
    /// A transaction that was begun and used.
    const FORGOTTEN: &str;

    async fn new() -> Self;

    fn store(&self) -> &SharedStore;

    /// What somebody else does on a connection; nothing if the text is empty.
    async fn sql(&mut self, sql: &str);

    /// With the tables of [`NOTES`] and this DDL.
    async fn with(ddl: &str) -> Self {
        let mut server = Self::new().await;
        server.store().ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
        server.sql(ddl).await;
        server
    }

    /// With two notes, of which somebody else has locked the first.
    async fn locked() -> Self {
        let mut server = Self::with(TWO_NOTES).await;
        server.sql(Self::LOCK_NOTE_1).await;
        server
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    conformance::run(&store::memory(), "contract").await;
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_while_time_is_paused() {
    conformance::run(&store::memory(), "contract").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory_keeps_the_contract() {
    conformance::run(&store::connect("sqlite::memory:").await.unwrap(), "contract").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file_keeps_the_contract() {
    let file = sqlite::File::new();
    // Twice: the second run is over what the first left behind.
    conformance::run(&file.store().await, "contract").await;
    conformance::run(&file.store().await, "contract").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let database = postgres_database::Database::new().await;
    conformance::run(&database.store, "contract").await;
    conformance::run(&database.store, "contract").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_keeps_the_contract() {
    let database = mysql_database::Database::new().await;
    conformance::run(&database.store, "contract").await;
    conformance::run(&database.store, "contract").await;
}

/// A table of an id, a text and a number.
const NOTES: Schema = Schema::new("notes", "notes", 1, NOTES_COLUMNS);
const NOTES_COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("id", "id", &[], Kind::I64, false, true),
    ColumnSpec::new("body", "body", &[], Kind::Text, true, false),
    ColumnSpec::new("rank", "rank", &[], Kind::I32, true, false),
];

const TWO_NOTES: &str = "INSERT INTO notes (id, body) VALUES (1, 'old'), (2, 'old')";

fn schema(name: &'static str, columns: impl IntoIterator<Item = ColumnSpec>) -> Schema {
    Schema::new(name, name, 1, columns.into_iter().collect::<Vec<_>>().leak())
}

fn id_column(name: &'static str, kind: Kind) -> ColumnSpec {
    ColumnSpec::new(name, name, &[], kind, false, true)
}

fn column(name: &'static str, kind: Kind) -> ColumnSpec {
    ColumnSpec::new(name, name, &[], kind, true, false)
}

fn text(value: &str) -> Value<'static> {
    Value::Text(Cow::Owned(value.to_owned()))
}

fn record(values: Vec<Value<'static>>) -> Record<'static> {
    let mut record = Record::absent(values.len());
    values.into_iter().enumerate().for_each(|(index, value)| record.set(index, value));
    record
}

fn note_id(id: i64) -> EntityId {
    conformance::id(vec![Value::I64(id)])
}

fn note(id: i64, body: &str) -> Change {
    let record = record(vec![Value::I64(id), text(body), Value::I64(0)]);
    Change::Put { id: note_id(id), record }
}

async fn write(store: &SharedStore, changes: &[Change]) -> Result<Vec<Applied>, StoreError> {
    write_within(store, changes, Duration::from_secs(20)).await
}

async fn write_within(
    store: &SharedStore,
    changes: &[Change],
    time: Duration,
) -> Result<Vec<Applied>, StoreError> {
    store.apply(&NOTES, Batch::new(changes, Instant::now() + time)).await
}

async fn write_fenced(store: &SharedStore, change: Change, fence: Fence) -> Result<(), StoreError> {
    let (changes, fences) = ([change], [fence]);
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20)).fenced(&fences);
    store.apply(&NOTES, batch).await.map(drop)
}

/// Raises the epoch of partition 0 and settles it, as a recovery does.
async fn raise(store: &SharedStore, entity: &str) -> Result<u64, StoreError> {
    let (partition, journal, home, epoch_min) = (0, "journal", "home", 0);
    let Entry::Offset(before) = store.ledger(Ledger::Offset { entity, partition }).await? else {
        panic!("the store has an offset or none");
    };
    let seen = before.map_or(0, |offset| offset.epoch);
    let recover = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
    let Entry::Offset(Some(Offset { epoch, .. })) = store.ledger(recover).await? else {
        panic!("a recovery is answered with an offset");
    };
    store.ledger(Ledger::Settle { entity, partition, epoch }).await?;
    Ok(epoch)
}

/// The body and the rank of a note.
async fn read(store: &SharedStore, id: i64) -> Option<(Value<'static>, Value<'static>)> {
    let mut rows = records(store.load(&NOTES, Query::Ids(&[note_id(id)])).await.unwrap());
    rows.pop().map(|mut row| (row.take(1).unwrap(), row.take(2).unwrap()))
}

fn class<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> Class {
    result.as_ref().expect_err("it should have failed").class()
}

/// A test hangs if what it waits for takes longer.
const HANG: Duration = Duration::from_secs(30);

/// A name that no other test uses, also not one of another run on the same server.
fn unique(stem: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{stem}_{}_{:08x}_{count}", std::process::id(), fastrand::u32(..))
}
