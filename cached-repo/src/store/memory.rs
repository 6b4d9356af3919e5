//! A store in this process, for tests and for a first try.

use std::{
    collections::BTreeMap,
    fmt,
    future::ready,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    Applied, Batch, Description, Entry, Ledger, Query, SharedStore, Store, StoreError,
    check::check_kinds,
};
use crate::{
    change::{Change, EntityId},
    clock::Random,
    record::Record,
    schema::Schema,
};

#[cfg(feature = "testing")]
mod kit;
mod tables;
use tables::{Row, Tables};

/// A store in this process. It keeps the whole contract of [`Store`] but for the most important
/// thing: it is not durable, everything is gone when the last handle is dropped.
///
/// It has no timers and no tasks, so it behaves the same under tokio's paused time.
pub fn memory() -> SharedStore {
    Arc::new(MemoryStore::new(&Random::new()))
}

pub(crate) struct MemoryStore {
    identity: String,
    tables: Mutex<Tables>,
    #[cfg(feature = "testing")]
    refusals: kit::Refusals,
}

impl MemoryStore {
    pub(crate) fn new(random: &Random) -> Self {
        Self {
            identity: random.token(),
            tables: Mutex::default(),
            #[cfg(feature = "testing")]
            refusals: kit::Refusals::default(),
        }
    }

    /// Whether a row may be written.
    fn judge(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        #[cfg(feature = "testing")]
        self.refusals.judge(schema, change)?;
        check_kinds(schema, change)
    }

    fn load_now(&self, schema: &Schema, ids: &[EntityId]) -> Vec<Record<'static>> {
        let tables = self.lock();
        let Some(rows) = tables.rows.get(schema.table()) else { return Vec::new() };
        let mut texts: Vec<_> = ids.iter().map(EntityId::text).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.iter().filter_map(|text| rows.get(*text)).map(|row| record(schema, row)).collect()
    }

    fn page(&self, schema: &Schema, after: Option<&EntityId>, limit: u32) -> Vec<Record<'static>> {
        let tables = self.lock();
        let Some(rows) = tables.rows.get(schema.table()) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.text()));
        let behind = rows.range::<str, _>((from, Bound::Unbounded));
        behind.take(limit as usize).map(|(_, row)| record(schema, row)).collect()
    }

    fn apply_now(&self, schema: &Schema, batch: Batch<'_>) -> Result<Vec<Applied>, StoreError> {
        // It depends on the batch alone.
        let refused = self.refused(schema, &batch)?;
        // Held to the end: all checks come before the first change, and are one step with it.
        let mut tables = self.lock();
        tables.check(&batch)?;
        batch.in_time()?;
        let mut applied = batch.applied();
        for (index, change) in batch.changes.iter().enumerate() {
            match refused.get(&index) {
                Some(error) => applied[index] = Applied::Buried { error: error.clone() },
                None => tables.write(schema, change),
            }
        }
        tables.remember(&batch, &refused);
        Ok(applied)
    }

    /// The changes that become dead letters, and why.
    fn refused(
        &self,
        schema: &Schema,
        batch: &Batch<'_>,
    ) -> Result<BTreeMap<usize, String>, StoreError> {
        let mut refused = BTreeMap::new();
        for (index, change) in batch.changes.iter().enumerate() {
            match (self.judge(schema, change), batch.buries()) {
                (Ok(()), _) => {}
                (Err(error), false) => return Err(error),
                (Err(error), true) => drop(refused.insert(index, error.to_string())),
            }
        }
        Ok(refused)
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
    ) -> BoxFuture<'a, Result<Vec<super::Row>, StoreError>> {
        let found = match query {
            Query::Ids(ids) => self.load_now(schema, ids),
            Query::Scan { after, limit } => self.page(schema, after, limit),
        };
        ready(Ok(found.into_iter().map(Ok).collect())).boxed()
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        check_kinds(schema, change)
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
                operation => self.lock().ledger(operation),
            })
        }
        .boxed()
    }

    fn describe<'a>(&'a self, _: &'a Schema) -> BoxFuture<'a, Result<Description, StoreError>> {
        let ddl = "-- A store in memory needs no tables.\n";
        ready(Ok(Description::new(ddl, Vec::new()).journaling())).boxed()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
