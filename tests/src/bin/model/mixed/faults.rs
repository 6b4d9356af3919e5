//! Which faults may happen, and what they do.

use std::mem;

use super::{Action, Mixed, Recovery, Server, State, StorePhase, Worker};

impl Mixed {
    pub(super) fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        if state.crashes < self.scene.crashes {
            deaths(state, actions);
        }
        let slots = &state.servers[state.current].slots;
        for (id, slot) in slots.iter().enumerate() {
            if self.scene.evicts && slot.entry.is_some_and(|entry| !entry.is_dirty) {
                actions.push(Action::Evict { id });
            }
        }
        if state.losses < self.scene.losses {
            self.incidents(state, actions);
        }
    }

    fn incidents(&self, state: &State, actions: &mut Vec<Action>) {
        let failovers_left = self.scene.failovers - state.current;
        if failovers_left > 0 {
            if state.replica.is_none() {
                actions.push(Action::Replicate);
            }
            actions.push(Action::Failover { keeps_replica: false });
            if failovers_left > 1 && state.replica.is_some() {
                actions.push(Action::Failover { keeps_replica: true });
            }
        }
        if self.scene.flushes && state.servers[state.current] != Server::default() {
            actions.push(Action::Flush);
        }
    }

    /// A replica is promoted: an earlier state, or nothing. Another one may be as far behind.
    pub(super) fn fail_over(&self, state: &mut State, keeps_replica: bool) {
        let replica = state.replica.clone();
        if !keeps_replica {
            state.replica = None;
        }
        if !self.scene.is_split {
            state.servers[state.current] = Server::default();
        }
        state.current += 1;
        state.servers[state.current] = replica.unwrap_or_default();
        self.count_loss(state);
    }

    pub(super) fn flush(&self, state: &mut State) {
        mem::take(&mut state.servers[state.current]);
        self.count_loss(state);
    }

    /// What is neither in the store nor in the journal any more is lost with the incident.
    fn count_loss(&self, state: &mut State) {
        state.losses += 1;
        let journal = &state.servers[state.current].journal;
        for (writes, done) in self.journal_writes.iter().zip(&state.journal_writers) {
            for write in &writes[..*done] {
                let is_journaled = journal.iter().any(|record| record.write == *write);
                if !is_journaled && !state.applied.contains(write) {
                    state.excused.insert((*write).into());
                }
            }
        }
    }
}

/// Clients die in the middle of something.
fn deaths(state: &State, actions: &mut Vec<Action>) {
    for (writer, progress) in state.store_writers.iter().enumerate() {
        if matches!(progress.phase, StorePhase::Begun | StorePhase::Committed) {
            actions.push(Action::StoreWriterDies { writer });
        }
    }
    for (worker, phase) in state.workers.iter().enumerate() {
        if *phase != Worker::Idle {
            actions.push(Action::WorkerDies { worker });
        }
    }
    for (recoverer, phase) in state.recoveries.iter().enumerate() {
        if *phase != Recovery::Idle {
            actions.push(Action::RecovererDies { recoverer });
        }
    }
}
