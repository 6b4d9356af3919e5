//! What the steps of readers do.

use super::{
    Mixed, State, Write,
    state::{Entry, Reader, Set},
};

impl Mixed {
    /// The script of a read: a hit ends it, a miss takes the lease if it is free.
    pub(super) fn get(&self, state: &mut State, reader: usize, server: usize) {
        let (id, is_promised) = (self.id_read(state, reader), self.is_promised(state, server));
        // Reads through an old master are outside of the promise.
        let seen = if server == state.current { state.acknowledged } else { Set::default() };
        let seen = seen.and(self.writes_of(id));
        let (generation, lease) = (state.servers[server].generation, state.lease(reader));
        let slot = state.slot(server, id);
        if let Some(Entry { write, .. }) = slot.entry {
            state.reads[reader] += 1;
            if is_promised {
                self.check_read(state, write, seen);
            }
            return;
        }
        let is_free = slot.tokens.is_empty() && slot.lease.is_none();
        let lease = is_free.then_some(lease);
        slot.lease = lease.or(slot.lease);
        state.readers[reader] = Reader::Loading { lease, generation, seen };
    }

    /// Between an incident and recovery a server may hold older entries: the documented bound. So
    /// may a master of which nobody knows yet that the store follows another one.
    fn is_promised(&self, state: &State, server: usize) -> bool {
        let is_virgin = !state.row.exists && state.losses == 0;
        server == state.current
            && !state.is_superseded(server)
            && (state.is_home(server) || is_virgin)
    }

    pub(super) fn load(&self, state: &mut State, reader: usize) -> Option<()> {
        let Reader::Loading { lease, generation, seen } = state.readers[reader] else {
            return None;
        };
        let value = self.row(state, self.id_read(state, reader));
        self.check_read(state, value, seen);
        state.readers[reader] = match lease {
            Some(lease) => Reader::Filling { lease, generation, value },
            None => Reader::Idle,
        };
        state.reads[reader] += usize::from(lease.is_none());
        Some(())
    }

    pub(super) fn fill(&self, state: &mut State, reader: usize, server: usize) -> Option<()> {
        let Reader::Filling { lease, generation, value } = state.readers[reader] else {
            return None;
        };
        let id = self.id_read(state, reader);
        let is_same = generation == state.servers[server].generation;
        let slot = state.slot(server, id);
        if slot.lease == Some(lease) {
            slot.lease = None;
            if slot.tokens.is_empty() && (is_same || !self.rules.fill_checks_generation) {
                slot.entry = Some(Entry::clean(value));
            }
        }
        state.readers[reader] = Reader::Idle;
        state.reads[reader] += 1;
        Some(())
    }

    fn id_read(&self, state: &State, reader: usize) -> usize {
        self.scene.readers[reader][state.reads[reader]]
    }

    fn check_read(&self, state: &mut State, value: Write, seen: Set) {
        let promised = seen.without(state.excused);
        let is_stale = promised.iter().any(|write| self.is_older(state, value, write as Write));
        state.has_read_stale |= is_stale;
    }
}

impl State {
    /// A lease that nobody else has.
    fn lease(&self, reader: usize) -> u8 {
        (reader * 4 + self.reads[reader]) as u8
    }
}
