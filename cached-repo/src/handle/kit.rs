//! What a test kit needs of a process' handle.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::Duties;
use crate::cache::Entries;

/// The entries of all repositories of a process.
#[derive(Debug, Default)]
pub(super) struct AllEntries(Mutex<Vec<Weak<Entries>>>);

impl Duties {
    /// Remembers a repository's entries.
    pub(crate) fn remember(&self, entries: &Arc<Entries>) {
        let mut all = self.entries.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|entries| entries.strong_count() > 0);
        all.push(Arc::downgrade(entries));
    }

    /// How many invalidations are left for later, by the entity's prefix.
    pub(crate) fn owing(&self) -> BTreeMap<String, usize> {
        let all = self.entries.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owing = BTreeMap::new();
        for entries in all.iter().filter_map(Weak::upgrade).filter(|entries| entries.owes() > 0) {
            *owing.entry(entries.schema.prefix().to_owned()).or_default() += entries.owes();
        }
        owing
    }
}
