//! A store in this process, for tests and for a first try.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use std::future::ready;

use super::{Applied, Batch, Description, Entry, Ledger, Query, SharedStore, Store, StoreError};
use crate::{
    change::{Change, EntityId},
    clock::Random,
    record::{Record, Value},
    schema::Schema,
};

/// A store in this process. It keeps the whole contract of [`Store`] but for the most important
/// thing: it is not durable, everything is gone when the last handle is dropped.
///
/// It has no timers and no tasks, so it behaves the same under tokio's paused time.
pub fn memory() -> SharedStore {
    Arc::new(MemoryStore { identity: Random::new().token(), tables: Mutex::default() })
}

struct MemoryStore {
    identity: String,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// By table, then by the id's text.
    rows: HashMap<String, BTreeMap<String, Row>>,
    epochs: HashMap<(String, u32), u64>,
}

/// By column, so that those that a schema does not list stay as they are.
type Row = BTreeMap<String, Value<'static>>;

impl MemoryStore {
    fn load_now(&self, schema: &Schema, ids: &[EntityId]) -> Vec<Record<'static>> {
        let tables = self.lock();
        let Some(rows) = tables.rows.get(schema.table()) else { return Vec::new() };
        let mut texts: Vec<_> = ids.iter().map(EntityId::text).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.iter().filter_map(|text| rows.get(*text)).map(|row| record(schema, row)).collect()
    }

    fn apply_now(&self, schema: &Schema, batch: Batch<'_>) -> Result<Vec<Applied>, StoreError> {
        // Held to the end: the fences, the deadline and the rows are one step.
        let mut tables = self.lock();
        batch.check(schema, |fence| {
            let key = (fence.entity.clone(), fence.partition);
            tables.epochs.get(&key).map(|e| super::Offset {
                epoch: *e,
                settled: *e,
                ..Default::default()
            })
        })?;
        let rows = tables.rows.entry(schema.table().to_owned()).or_default();
        for change in batch.changes {
            let Some(written) = change.record() else {
                rows.remove(change.id().text());
                continue;
            };
            let row = rows.entry(change.id().text().to_owned()).or_default();
            for (index, value) in written.iter() {
                row.insert(schema.columns()[index].column().to_owned(), value.clone());
            }
        }
        Ok(batch.applied())
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Nothing in this file panics while it holds the lock.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Record<'static>>, StoreError>> {
        let Query::Ids(ids) = query;
        ready(Ok(self.load_now(schema, ids))).boxed()
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        super::check::check_kinds(schema, change)
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        async move { self.apply_now(schema, batch) }.boxed()
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        async move {
            Ok(match operation {
                Ledger::Install { .. } => Entry::Done,
                Ledger::Identity => Entry::Identity(self.identity.clone()),
                _ => return Err(StoreError::systemic("not built")),
            })
        }
        .boxed()
    }

    fn describe<'a>(&'a self, _: &'a Schema) -> BoxFuture<'a, Result<Description, StoreError>> {
        let ddl = "-- A store in memory needs no tables.\n";
        ready(Ok(Description::new(ddl, Vec::new()))).boxed()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(memory)")
    }
}

fn record(schema: &Schema, row: &Row) -> Record<'static> {
    let mut record = Record::absent(schema.columns().len());
    for (index, column) in schema.columns().iter().enumerate() {
        if let Some(value) = row.get(column.column()) {
            record.set(index, value.clone());
        }
    }
    record
}
