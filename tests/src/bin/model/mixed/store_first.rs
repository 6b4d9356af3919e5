//! What the steps of store-first writers do.

use super::{Flavour, Mixed, State, StorePhase, StoreWriter, Write, state::Entry};

impl Mixed {
    /// The script before the statement: places a token, deletes value and lease.
    pub(super) fn begin(&self, state: &mut State, writer: usize, server: usize) -> Option<()> {
        let write = self.next_store_write(state, writer)?;
        let last_id = state.row.last_id;
        self.invoke(state, writer, write);
        let slot = state.slot(server, self.id_of(write));
        slot.tokens.insert(writer);
        slot.has_overlap |= slot.tokens.iter().any(|other| other != writer);
        slot.lease = None;
        let is_drained = |entry: Entry| self.rules.begin_takes_position && entry.version <= last_id;
        slot.drop_if(|entry| !entry.is_dirty || is_drained(entry));
        let (generation, epoch) = (state.servers[server].generation, state.servers[server].epoch);
        let progress = &mut state.store_writers[writer];
        *progress = StoreWriter { phase: StorePhase::Begun, generation, epoch, ..progress.clone() };
        Some(())
    }

    /// The statement without a token. It is acknowledged at once; the end is best effort.
    pub(super) fn write_blindly(&self, state: &mut State, writer: usize) -> Option<()> {
        let write = self.next_store_write(state, writer)?;
        self.invoke(state, writer, write);
        self.apply(state, write);
        state.acknowledge_write(write);
        state.store_writers[writer].phase = StorePhase::Committed;
        Some(())
    }

    fn invoke(&self, state: &mut State, writer: usize, write: Write) {
        if !state.store_writers[writer].is_invoked {
            state.before[usize::from(write)] =
                state.acknowledged.and(self.writes_of(self.id_of(write)));
            state.store_writers[writer].is_invoked = true;
        }
    }

    pub(super) fn commit(&self, state: &mut State, writer: usize) -> Option<()> {
        let write = self.next_store_write(state, writer)?;
        // Who is fenced begins again, with the same token.
        let is_fenced = self.is_fenced(state, writer);
        if !is_fenced {
            self.apply(state, write);
        }
        state.store_writers[writer].phase =
            if is_fenced { StorePhase::Idle } else { StorePhase::Committed };
        Some(())
    }

    pub(super) fn commit_of_dead(&self, state: &mut State, writer: usize) -> Option<()> {
        let write = self.next_store_write(state, writer)?;
        if !self.is_fenced(state, writer) {
            self.apply(state, write);
        }
        state.store_writers[writer].phase = StorePhase::Dead;
        Some(())
    }

    /// What the data transaction finds when it locks the epoch of the partition.
    fn is_fenced(&self, state: &State, writer: usize) -> bool {
        let is_other_epoch = state.store_writers[writer].epoch != state.row.epoch;
        let is_unsettled = self.rules.store_needs_settled && !state.row.is_settled();
        self.rules.store_fence && state.row.exists && (is_other_epoch || is_unsettled)
    }

    /// The script after the statement: removes the token, then puts or deletes.
    pub(super) fn end(&self, state: &mut State, writer: usize, server: usize) -> Option<()> {
        let (rules, write) = (&self.rules, self.next_store_write(state, writer)?);
        let generation = state.servers[server].generation;
        let is_same_generation = generation == state.store_writers[writer].generation;
        let slot = state.slot(server, self.id_of(write));
        let had_token = slot.tokens.contains(writer);
        slot.tokens.remove(writer);
        let is_sole = slot.tokens.is_empty() && !(rules.put_needs_sole && slot.has_overlap);
        if slot.tokens.is_empty() {
            slot.has_overlap = false;
        } else if !had_token && rules.end_marks_overlap {
            slot.has_overlap = true;
        }
        let puts = self.scene.store_first[writer].0 == Flavour::Put
            && is_sole
            && (had_token || !rules.put_needs_token)
            && (is_same_generation || !rules.put_checks_generation);
        match &mut slot.entry {
            Some(entry) if entry.is_dirty && rules.end_spares_dirty => {
                entry.is_flagged |= rules.end_flags_dirty;
            }
            entry => *entry = puts.then_some(Entry::clean(write)),
        }
        slot.lease = None;
        state.acknowledge_write(write);
        let written = state.store_writers[writer].written + 1;
        state.store_writers[writer] = StoreWriter { written, ..StoreWriter::default() };
        Some(())
    }

    pub(super) fn expire_token(&self, state: &mut State, server: usize, id: usize, writer: usize) {
        let slot = state.slot(server, id);
        slot.tokens.remove(writer);
        slot.has_overlap &= !slot.tokens.is_empty();
        let write = self.next_store_write(state, writer);
        let is_its_write = write.is_some_and(|write| self.id_of(write) == id);
        let phase = &mut state.store_writers[writer].phase;
        // The statement was cancelled before.
        if is_its_write
            && !self.rules.token_expires_early
            && matches!(phase, StorePhase::Begun | StorePhase::Sent)
        {
            *phase = StorePhase::Dead;
        }
    }
}

impl Entry {
    /// As the store has it.
    pub(super) fn clean(write: Write) -> Self {
        Self { write, version: 0, is_dirty: false, is_flagged: false }
    }
}

impl State {
    pub(super) fn store_writer_dies(&mut self, writer: usize) {
        self.crashes += 1;
        let phase = &mut self.store_writers[writer].phase;
        *phase = if *phase == StorePhase::Begun { StorePhase::Sent } else { StorePhase::Dead };
    }
}
