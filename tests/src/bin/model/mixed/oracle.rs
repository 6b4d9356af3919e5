//! What is promised: the properties, and how a violation is seen.

use stateright::Property;

use super::{Mixed, NOTHING, Recovery, State, StorePhase, Worker, Write};

pub(super) const LOST: &str =
    "P1 every acknowledged write reaches the row, in an order consistent with real time";
pub(super) const RESURRECTED: &str = "P2 a deleted row is not resurrected by an older write";
pub(super) const STALE_ENTRY: &str = "P3 at rest an entry is absent or equals the row";
pub(super) const STALE_READ: &str =
    "P4 no read returns a write older than one acknowledged before the read began";
pub(super) const STUCK: &str = "P5 every waiting caller can still finish";

/// More than any schedule without faults needs.
const STEPS_MAX: usize = 80;

pub(super) fn properties() -> Vec<Property<Mixed>> {
    vec![
        Property::always(LOST, |model: &Mixed, state: &State| {
            !state.is_disordered && (!model.is_quiet(state) || state.has_all_writes())
        }),
        Property::always(RESURRECTED, |_, state: &State| !state.is_resurrected),
        Property::always(STALE_ENTRY, |model, state: &State| {
            let is_known = !state.is_superseded(state.current);
            !(model.is_quiet(state) && is_known) || model.has_entries_like_rows(state)
        }),
        Property::always(STALE_READ, |_, state: &State| !state.has_read_stale),
        Property::always(STUCK, |model, state: &State| model.can_finish(state)),
    ]
}

impl Mixed {
    /// The write that made the row.
    pub(super) fn row(&self, state: &State, id: usize) -> Write {
        let of_id = state.applied.iter().rev().find(|write| self.id_of(**write) == id);
        of_id.copied().unwrap_or(NOTHING)
    }

    /// The store takes a write.
    pub(super) fn apply(&self, state: &mut State, write: Write) {
        let id = self.id_of(write);
        let row = self.row(state, id);
        if row == write {
            return;
        }
        let is_before = |other: Write| state.before[usize::from(other)].contains(write.into());
        let is_again = state.applied.contains(&write);
        let newer =
            state.applied.iter().find(|other| self.id_of(**other) == id && is_before(**other));
        let undeletes = self.deletes(row) && !self.deletes(write) && (is_again || is_before(row));
        state.is_disordered |= is_again || newer.is_some();
        state.is_resurrected |= undeletes;
        state.applied.retain(|other| *other != write);
        state.applied.push(write);
    }

    /// Is `write` older than `other`, an acknowledged write of the same id?
    pub(super) fn is_older(&self, state: &State, write: Write, other: Write) -> bool {
        if write == other {
            return false;
        }
        if write == NOTHING || state.before[usize::from(other)].contains(write.into()) {
            return true;
        }
        let applied = |write: Write| state.applied.iter().position(|one| *one == write);
        let journal = &state.servers[state.current].journal;
        let journaled = |write: Write| journal.iter().position(|record| record.write == write);
        match (applied(write), applied(other)) {
            (Some(a), Some(b)) => a < b,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => journaled(write)
                .zip(journaled(other))
                .is_some_and(|(position, of_other)| position < of_other),
        }
    }

    /// Nobody is in the middle of something, and everything is drained.
    fn is_quiet(&self, state: &State) -> bool {
        let server = &state.servers[state.current];
        let is_done = |phase| matches!(phase, StorePhase::Idle | StorePhase::Dead);
        state.is_home(state.current)
            && server.journal.is_empty()
            && server.slots.iter().all(|slot| slot.tokens.is_empty())
            && state.workers.iter().all(|worker| *worker == Worker::Idle)
            && state.recoveries.iter().all(|recovery| *recovery == Recovery::Idle)
            && state.store_writers.iter().all(|writer| is_done(writer.phase))
    }

    fn has_entries_like_rows(&self, state: &State) -> bool {
        let slots = state.servers[state.current].slots.iter().enumerate();
        slots
            .filter_map(|(id, slot)| Some((id, slot.entry?)))
            .all(|(id, entry)| !entry.is_dirty && entry.write == self.row(state, id))
    }

    fn is_over(&self, state: &State) -> bool {
        let is_over = |writer: usize| match state.store_writers[writer].phase {
            StorePhase::Dead => true,
            StorePhase::Idle => self.next_store_write(state, writer).is_none(),
            _ => false,
        };
        let mut journal_writers = 0..state.journal_writers.len();
        (0..state.store_writers.len()).all(is_over)
            && journal_writers.all(|writer| self.next_journal_write(state, writer).is_none())
    }

    /// Follows one fair schedule without further faults: do all writers return? Whoever could
    /// talk to an old master finds the new one.
    fn can_finish(&self, state: &State) -> bool {
        let (mut state, mut actions) = (state.clone(), Vec::new());
        for _ in 0..STEPS_MAX {
            if self.is_over(&state) {
                return true;
            }
            actions.clear();
            self.steps(&state, &mut actions);
            let current = state.current;
            let is_fair = |action: &&super::Action| action.server().is_none_or(|s| s == current);
            let Some(action) = actions.iter().find(is_fair) else { return false };
            if self.act(&mut state, *action).is_none() {
                return false;
            }
        }
        false
    }
}

impl State {
    /// Everything that was acknowledged, and not reported as lost, was taken by the store.
    fn has_all_writes(&self) -> bool {
        let promised = self.acknowledged.without(self.excused);
        promised.iter().all(|write| self.applied.contains(&(write as Write)))
    }
}
