//! What of a batch is written, and in which order, before the database is asked.

use std::collections::BTreeMap;

use super::{Dialect, StoreError, Table};
use crate::store::{Batch, check::check_kinds};

/// What to write.
pub(super) struct Plan {
    /// Indices of the changes, in the order in which every writer takes its row locks: what is put by
    /// id, then what is deleted by id.
    pub(super) order: Vec<usize>,
    /// The changes with a value that cannot be held exactly, and why.
    pub(super) refused: BTreeMap<usize, String>,
}

impl Plan {
    /// Refuses the batch if one of its values cannot be held exactly, and may not be buried.
    pub(super) fn new<D: Dialect>(
        table: &Table<'_>,
        batch: &Batch<'_>,
    ) -> Result<Self, StoreError> {
        let mut plan =
            Self { order: Vec::with_capacity(batch.changes.len()), refused: BTreeMap::new() };
        for (index, change) in batch.changes.iter().enumerate() {
            let checked = check_kinds(table.schema, change)
                .and_then(|()| change.record().map_or(Ok(()), |record| table.check::<D>(record)));
            match (checked, batch.buries()) {
                (Err(e), false) => return Err(e),
                (Err(e), true) => drop(plan.refused.insert(index, e.to_string())),
                // A row with an id that the database cannot hold is gone already.
                _ if change.record().is_none() && table.refusal::<D>(change.id()).is_some() => {}
                _ => plan.order.push(index),
            }
        }
        plan.order.sort_unstable_by_key(|&index| {
            let change = &batch.changes[index];
            (change.record().is_none(), change.id().text())
        });
        Ok(plan)
    }
}
