//! Sealing: a partition without a journal can be written without Redis.
//!
//! Sealing is nobody's duty, so no schedule counts on it.

use super::{Action, Mixed, State};

impl Mixed {
    pub(super) fn sealing_steps(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sealing.is_some() {
            actions.push(Action::SealStore);
        } else if state.seals < self.scene.seals_max {
            let may_seal = |server: &usize| self.may_seal(state, *server);
            let seal = |server| Action::SealRedis { server };
            actions.extend(self.reachable(state).into_iter().filter(may_seal).map(seal));
        }
    }

    fn may_seal(&self, state: &State, server: usize) -> bool {
        let is_empty = state.servers[server].journal.is_empty();
        state.is_home(server) && (is_empty || !self.rules.seal_needs_empty_journal)
    }

    /// The script that finds the journal empty: from here on write-behind is fenced.
    pub(super) fn seal_redis(&self, state: &mut State, server: usize) {
        state.seals += 1;
        let meta = &mut state.servers[server];
        meta.is_sealed |= self.rules.seal_begins_in_redis;
        state.sealing = Some(meta.epoch);
    }

    /// The store's step, in the same epoch: nobody has opened the partition since.
    pub(super) fn seal_store(&self, state: &mut State) -> Option<()> {
        let epoch = state.sealing.take()?;
        let row = &mut state.row;
        row.is_sealed |= row.epoch == epoch || !self.rules.seal_compares_epoch;
        Some(())
    }

    /// What the data transaction of a write without a token finds in the store.
    pub(super) fn may_write_blindly(&self, state: &State) -> bool {
        let row = &state.row;
        let is_settled = row.is_settled() || !self.rules.store_needs_settled;
        !self.rules.blind_checks_row || !row.exists || (row.is_sealed && is_settled)
    }

    /// Whether somebody wants to write behind, and Redis is sealed.
    pub(super) fn waits_for_opening(&self, state: &State, server: usize) -> bool {
        let mut writers = 0..state.journal_writers.len();
        state.servers[server].is_sealed
            && writers.any(|writer| self.next_journal_write(state, writer).is_some())
    }
}
