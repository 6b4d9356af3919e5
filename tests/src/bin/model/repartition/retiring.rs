//! Removing what comes back of a partition that is closed.

use super::{OLD, Repartition, State, state::Entry};

impl Repartition {
    /// One step: the oldest record of the journal goes, and with it the entry that it names, whether it was
    /// drained or had been given up before; behind the last one the partition. What is dirty in a later epoch
    /// was written to the new partition.
    pub(super) fn retire(&self, state: &mut State) {
        let (found, row) = (&mut state.redis.partitions[OLD], state.rows[OLD]);
        let is_left = |value: &u8| !self.retired_by_cursor || *value > state.retired_to;
        let Some(value) = found.journal.iter().copied().find(is_left) else {
            // As the generation of copies that old readers make.
            (found.home, found.is_sealed, found.ticket, found.acked) = (0, false, 0, 0);
            (found.journal, found.epoch, state.retired_to) = (Vec::new(), row.epoch, 0);
            return;
        };
        let is_meant = !self.retired_by_position || value <= row.position;
        let is_named =
            |entry: &Entry| is_meant && entry.value == value && entry.generation < row.epoch;
        let goes = |entry: &Entry| entry.is_dirty && (is_named(entry) || self.retired_by_id);
        state.redis.entry = state.redis.entry.filter(|entry| !goes(entry));
        if self.retired_by_cursor {
            state.retired_to = value;
        } else {
            // The rest is no journal, so that nobody goes on with a part of it.
            (found.home, found.is_sealed, found.ticket, found.acked) = (0, false, 0, 0);
            found.journal.retain(|left| *left > value);
        }
    }
}
