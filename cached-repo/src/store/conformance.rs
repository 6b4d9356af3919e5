//! The contract of [`Store`] as tests: call [`run`] on yours.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use cached_repo::store;
//!
//! store::conformance::run(&store::memory(), "mine").await;
//! # }
//! ```

// A suite of tests tells by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;

use super::{
    Applied,
    Batch,
    Class,
    Entry,
    Ledger,
    Query,
    SharedStore,
    Store, // For the links in the documentation and for `dyn Store`.
    StoreError,
};
use crate::{
    change::{Change, EntityId},
    clock::{Clock, Random},
    key::entity_id,
    record::{Record, Value},
    schema::{ColumnSpec, Kind, Schema},
};

mod journal;
mod ledger;
mod letters;
mod offsets;
mod rows;
mod scans;
mod spelled;
mod writes;

/// Checks that a store keeps the whole contract of [`Store`].
///
/// `name` starts the names of the tables that this makes; runs at the same time in one database need
/// different ones. Tables and rows are left behind, and do not disturb the next run.
///
/// # Panics
///
/// When the store breaks the contract. The message says where.
pub async fn run(store: &SharedStore, name: &str) {
    let suite = Suite::new(store, name);
    ledger::installing_twice_leaves_nothing_missing(&suite).await;
    ledger::the_identity_stays(&suite).await;
    rows::every_kind_comes_back_as_it_was(&suite).await;
    rows::extremes_are_held_exactly_or_refused(&suite).await;
    rows::values_of_another_kind_are_refused(&suite).await;
    rows::null_is_not_empty(&suite).await;
    spelled::each_spelling_is_held_or_refused(&suite).await;
    spelled::other_spellings_are_refused(&suite).await;
    spelled::ids_find_their_own_row(&suite).await;
    rows::similar_ids_are_different_rows(&suite).await;
    rows::composite_ids_find_their_own_row(&suite).await;
    rows::a_load_finds_many_and_leaves_out_absent_ids(&suite).await;
    writes::a_put_is_idempotent_and_overwrites(&suite).await;
    writes::deleting_an_absent_row_is_fine(&suite).await;
    writes::a_batch_is_written_as_a_whole_or_not_at_all(&suite).await;
    writes::answers_come_in_the_order_of_the_batch(&suite).await;
    writes::columns_that_a_schema_does_not_list_survive(&suite).await;
    writes::nothing_is_written_after_the_deadline(&suite).await;
    writes::a_fence_holds_where_nothing_was_journaled(&suite).await;
    writes::writers_at_the_same_time_do_not_disturb_each_other(&suite).await;
    match suite.takes_journals().await {
        true => journals(&suite).await,
        false => writes::journals_that_are_not_taken_are_refused(&suite).await,
    }
}

/// What only a store promises that says so in its description.
async fn journals(suite: &Suite<'_>) {
    scans::a_scan_finds_every_row_once(suite).await;
    offsets::epochs_count_per_entity_and_partition(suite).await;
    offsets::a_recovery_keeps_the_journal_and_the_position(suite).await;
    offsets::settling_and_sealing_compare_before_they_set(suite).await;
    offsets::a_fence_that_does_not_hold_stops_the_whole_batch(suite).await;
    offsets::fences_know_settled_and_sealed_partitions(suite).await;
    journal::a_position_moves_from_exactly_where_it_is(suite).await;
    journal::a_batch_that_fails_leaves_the_position(suite).await;
    journal::one_of_many_equal_batches_is_written(suite).await;
    journal::counts_add_up(suite).await;
    journal::a_refused_change_fails_the_batch_or_is_buried(suite).await;
    journal::however_many_changes_are_refused_the_others_are_written(suite).await;
    letters::what_cannot_be_read_is_kept_as_it_is(suite).await;
    letters::a_letter_is_superseded_by_a_later_record(suite).await;
    letters::only_a_later_record_of_the_same_id_supersedes(suite).await;
    letters::a_letter_is_superseded_from_another_partition(suite).await;
    letters::a_letter_is_superseded_by_a_store_first_write(suite).await;
    letters::a_letter_is_replayed_once(suite).await;
    letters::a_replay_supersedes_older_letters_only(suite).await;
    letters::letters_that_wait_are_edited_and_discarded(suite).await;
    letters::letters_are_listed_page_by_page(suite).await;
}

/// The id with these values, for tests of a store's own.
///
/// # Panics
///
/// When they cannot be an id.
pub fn id(values: Vec<Value<'static>>) -> EntityId {
    entity_id(values).unwrap()
}

/// The store under test with its tables, and ids that no other run uses.
struct Suite<'a> {
    store: &'a dyn Store,
    token: String,
    /// One column of every kind; all but the id may be null.
    things: Schema,
    /// An id of two columns, and a column that must not be null.
    pairs: Schema,
    /// Nothing but an id.
    numbers: Schema,
    /// An id of two kinds that are spelled, and one column of every such kind.
    spelled: Schema,
}

impl<'a> Suite<'a> {
    fn new(store: &'a SharedStore, name: &str) -> Self {
        let table = |schema: Schema, what| schema.with_table(format!("{name}_{what}"));
        Self {
            store: &**store,
            token: Random::new().token(),
            things: table(THINGS, "things"),
            pairs: table(PAIRS, "pairs"),
            numbers: table(NUMBERS, "numbers"),
            spelled: table(SPELLED, "spelled"),
        }
    }

    async fn takes_journals(&self) -> bool {
        let description = self.store.describe(&self.things).await;
        description.unwrap_or_else(|e| panic!("describe failed: {e:?}")).journals
    }

    /// A name that no other run uses.
    fn unique(&self, what: &str) -> String {
        format!("{}-{what}", self.token)
    }

    /// A thing without anything but its id.
    fn thing(&self, what: &str) -> (EntityId, Record<'static>) {
        let id = text(&self.unique(what));
        let mut record = Record::absent(THINGS_COLUMNS.len());
        record.set(0, id.clone());
        (1..THINGS_COLUMNS.len()).for_each(|i| record.set(i, Value::Null));
        (self::id(vec![id]), record)
    }

    fn thing_with(&self, what: &str, column: usize, value: Value<'static>) -> Change {
        let (id, mut record) = self.thing(what);
        record.set(column, value);
        Change::Put { id, record }
    }

    fn pair(&self, a: i64, b: &str, value: &str) -> Change {
        let ids = [Value::I64(a), text(&self.unique(b))];
        let mut record = Record::absent(3);
        record.set(0, ids[0].clone());
        record.set(1, ids[1].clone());
        record.set(2, text(value));
        Change::Put { id: id(ids.into()), record }
    }

    async fn apply(&self, schema: &Schema, changes: &[Change]) -> Result<Vec<Applied>, StoreError> {
        self.store.apply(schema, Batch::new(changes, soon())).await
    }

    async fn put(&self, schema: &Schema, changes: &[Change]) {
        let applied = self.apply(schema, changes).await;
        let applied = applied.unwrap_or_else(|e| panic!("a put failed: {e:?}"));
        assert_eq!(applied.len(), changes.len(), "apply answers one outcome per change");
    }

    async fn load(&self, schema: &Schema, ids: &[EntityId]) -> Vec<Record<'static>> {
        let rows = self.store.load(schema, Query::Ids(ids)).await;
        let rows = rows.unwrap_or_else(|e| panic!("a load failed: {e:?}"));
        rows.into_iter().map(|row| row.unwrap_or_else(|e| panic!("{e}"))).collect()
    }

    async fn load_one(&self, schema: &Schema, id: &EntityId) -> Option<Record<'static>> {
        let mut rows = self.load(schema, std::slice::from_ref(id)).await;
        assert!(rows.len() <= 1, "one id has at most one row, {} came", rows.len());
        rows.pop()
    }
}

fn text(value: &str) -> Value<'static> {
    Value::Text(Cow::Owned(value.to_owned()))
}

fn soon() -> Instant {
    Clock::new().now() + Duration::from_secs(20)
}

/// Asserts that a write failed with this class.
fn refused(applied: Result<Vec<Applied>, StoreError>, class: Class, why: &str) {
    match applied {
        Ok(_) => panic!("{why}: the write was accepted"),
        Err(e) => assert_eq!(e.class(), class, "{why}: {e:?}"),
    }
}

const THINGS_COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("id", "id", &[], Kind::Text, false, true),
    // What a database may have to quote.
    ColumnSpec::new("flag", "select", &[], Kind::Bool, true, false),
    ColumnSpec::new("small", "small \"one\"", &[], Kind::I16, true, false),
    ColumnSpec::new("medium", "Medium", &[], Kind::I32, true, false),
    ColumnSpec::new("big", "big", &[], Kind::I64, true, false),
    ColumnSpec::new("unsigned", "unsigned", &[], Kind::U64, true, false),
    ColumnSpec::new("single", "single", &[], Kind::F32, true, false),
    ColumnSpec::new("double", "double", &[], Kind::F64, true, false),
    ColumnSpec::new("words", "words", &[], Kind::Text, true, false),
    ColumnSpec::new("bytes", "bytes", &[], Kind::Bytes, true, false),
    ColumnSpec::new("nested", "nested", &[], Kind::Json, true, false),
];
const THINGS: Schema = Schema::new("things", "things", 1, THINGS_COLUMNS);
const FLAG: usize = 1;
const SMALL: usize = 2;
const MEDIUM: usize = 3;
const BIG: usize = 4;
const UNSIGNED: usize = 5;
const SINGLE: usize = 6;
const DOUBLE: usize = 7;
const WORDS: usize = 8;
const BYTES: usize = 9;
const NESTED: usize = 10;

const PAIRS: Schema = Schema::new("pairs", "pairs", 1, PAIRS_COLUMNS);
const PAIRS_COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("a", "a", &[], Kind::I64, false, true),
    ColumnSpec::new("b", "b", &[], Kind::Text, false, true),
    ColumnSpec::new("value", "value", &[], Kind::Text, false, false),
];

const NUMBERS: Schema = Schema::new("numbers", "numbers", 1, NUMBERS_COLUMNS);
const NUMBERS_COLUMNS: &[ColumnSpec] = &[ColumnSpec::new("id", "id", &[], Kind::U64, false, true)];

const SPELLED: Schema = Schema::new("spelled", "spelled", 1, SPELLED_COLUMNS);
const SPELLED_COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("one", "one", &[], Kind::Uuid, false, true),
    ColumnSpec::new("other", "other", &[], Kind::Date, false, true),
    ColumnSpec::new("uuid", "uuid", &[], Kind::Uuid, true, false),
    ColumnSpec::new("decimal", "decimal", &[], Kind::Decimal, true, false),
    ColumnSpec::new("timestamp", "timestamp", &[], Kind::Timestamp, true, false),
    ColumnSpec::new("datetime", "datetime", &[], Kind::DateTime, true, false),
    ColumnSpec::new("date", "date", &[], Kind::Date, true, false),
    ColumnSpec::new("time", "time", &[], Kind::Time, true, false),
    ColumnSpec::new("object id", "object id", &[], Kind::ObjectId, true, false),
];
