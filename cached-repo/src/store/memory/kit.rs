//! What a test kit does to the store in this process, and looks for in it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{MemoryStore, record};
use crate::{
    change::Change,
    record::Record,
    schema::Schema,
    store::{DeadLetter, StoreError},
};

/// Says why a row is refused, if it is.
type Refusal = Arc<dyn Fn(&Record<'static>) -> Option<String> + Send + Sync>;

/// What a database's constraints would be, each with the prefix of its entity.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Vec<(String, Refusal)>>);

impl Refusals {
    /// Whether no constraint is violated.
    pub(super) fn judge(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        let Some(record) = change.record() else { return Ok(()) };
        // Outside of the lock: a test may ask or change the kit in its closure.
        let all = self.all();
        let mut of_entity = all.iter().filter(|(prefix, _)| prefix == schema.prefix());
        match of_entity.find_map(|(_, refusal)| refusal(record)) {
            Some(why) => Err(StoreError::record(why)),
            None => Ok(()),
        }
    }

    fn all(&self) -> Vec<(String, Refusal)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusals({})", self.all().len())
    }
}

impl MemoryStore {
    /// All rows of a table, in the order of their ids' texts.
    pub(crate) fn rows(&self, schema: &Schema) -> Vec<Record<'static>> {
        let tables = self.lock();
        let rows = tables.rows.get(schema.table()).into_iter().flat_map(|rows| rows.values());
        rows.map(|row| record(schema, row)).collect()
    }

    /// Writes a row, as another program would.
    pub(crate) fn write(&self, schema: &Schema, change: &Change) {
        self.lock().write(schema, change);
    }

    /// Refuses rows of an entity from now on.
    pub(crate) fn refuse(
        &self,
        prefix: &str,
        refusal: impl Fn(&Record<'static>) -> Option<String> + Send + Sync + 'static,
    ) {
        let mut refusals = self.refusals.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.push((prefix.to_owned(), Arc::new(refusal)));
    }

    /// Ends all refusals of an entity.
    pub(crate) fn accept(&self, prefix: &str) {
        let mut refusals = self.refusals.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|(of, _)| of != prefix);
    }

    /// The dead letters that wait for a decision, of all entities.
    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        self.lock().all_waiting().cloned().collect()
    }
}
