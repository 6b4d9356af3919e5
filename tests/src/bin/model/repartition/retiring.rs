//! Removing what comes back of a partition that is closed.

use super::{
    OLD, Repartition, State,
    state::{Entry, Partition},
};

impl Repartition {
    /// The journal's entries go, whether they were drained or had been given up before; then the journal.
    /// What is dirty in a later epoch was written to the new partition.
    pub(super) fn retire(&self, state: &mut State) {
        let (found, row) = (&mut state.redis.partitions[OLD], state.rows[OLD]);
        let is_named = |entry: &Entry| {
            let is_meant = !self.retired_by_position || entry.value <= row.position;
            is_meant && found.journal.contains(&entry.value) && entry.generation <= row.epoch
        };
        let goes = |entry: &Entry| entry.is_dirty && (is_named(entry) || self.retired_by_id);
        state.redis.entry = state.redis.entry.filter(|entry| !goes(entry));
        // As the generation of copies that old readers make.
        *found = Partition { epoch: row.epoch, ..Partition::default() };
    }
}
