//! What the steps of recovery do: ticket, epoch in the store, repair of Redis, epoch settled.

use super::{Mixed, Record, Recovery, State};

impl Mixed {
    /// Whether a client of this server is told to recover.
    pub(super) fn needs_recovery(&self, state: &State, server: usize) -> bool {
        let (epoch, row) = (state.servers[server].epoch, &state.row);
        if !state.is_home(server) || self.waits_for_opening(state, server) {
            return true;
        }
        row.exists
            && match row.epoch == epoch {
                true => !row.is_settled(),
                false => !self.is_old_master(state, server, server == state.current),
            }
    }

    /// The script that begins it.
    pub(super) fn take_ticket(&self, state: &mut State, recoverer: usize, server: usize) {
        state.tickets += 1;
        let (ticket, is_home) = (state.tickets, state.is_home(server));
        let meta = &mut state.servers[server];
        let epoch_at_home = is_home.then_some(meta.epoch);
        meta.ticket = Some(ticket);
        meta.is_sealed &= self.rules.opening_begins_in_store;
        let is_discovered = server == state.current;
        state.recoveries[recoverer] =
            Recovery::Ticketed { server, ticket, epoch_at_home, is_discovered };
    }

    /// Whether a server that takes itself for the home is told otherwise by the store.
    fn is_old_master(&self, state: &State, server: usize, is_discovered: bool) -> bool {
        let is_trusted = self.rules.recovery_trusts_discovery && is_discovered;
        state.row.home != Some(server) && !is_trusted
    }

    /// Of a server that is the home already: what is there left to do?
    pub(super) fn read_row(&self, state: &mut State, recoverer: usize) -> Option<()> {
        let Recovery::Ticketed { server, ticket, epoch_at_home: Some(epoch), is_discovered } =
            state.recoveries[recoverer]
        else {
            return None;
        };
        state.recoveries[recoverer] = if state.row.epoch == epoch {
            match state.servers[server].is_sealed {
                true => Recovery::Ticketed { server, ticket, epoch_at_home: None, is_discovered },
                false if state.row.is_settled() => Recovery::Idle,
                false => Recovery::Repaired { epoch },
            }
        } else if self.is_old_master(state, server, is_discovered) {
            Recovery::Idle
        } else {
            Recovery::Ticketed { server, ticket, epoch_at_home: None, is_discovered }
        };
        Some(())
    }

    /// Ends every transaction that began before, and learns where the store is.
    pub(super) fn bump_epoch(&self, state: &mut State, recoverer: usize) -> Option<()> {
        let Recovery::Ticketed { server, ticket, .. } = state.recoveries[recoverer] else {
            return None;
        };
        let row = &mut state.row;
        let (last_id, settled) = (row.last_id, row.settled);
        row.exists = true;
        row.home = Some(server);
        row.is_sealed = false;
        row.epoch += u8::from(self.rules.recovery_bumps_epoch || row.epoch == 0);
        if !self.rules.recovery_settles_last {
            row.settled = row.epoch;
        }
        let epoch = row.epoch;
        state.recoveries[recoverer] = Recovery::Bumped { server, ticket, last_id, epoch, settled };
        Some(())
    }

    /// The script that makes the server the home, if the ticket is still there.
    pub(super) fn repair(&self, state: &mut State, recoverer: usize) -> Option<()> {
        let Recovery::Bumped { server, ticket, last_id, epoch, settled } =
            state.recoveries[recoverer]
        else {
            return None;
        };
        state.recoveries[recoverer] = Recovery::Idle;
        let has_ticket = state.servers[server].ticket == Some(ticket);
        if !self.reachable(state).contains(&server)
            || (self.rules.recovery_has_ticket && !has_ticket)
        {
            return Some(());
        }
        let is_home = state.is_home(server);
        // As of the bump: only this recovery could have settled anything since.
        let is_old = state.servers[server].epoch < settled;
        let is_spared = is_home && !self.rules.recovery_discards_old_at_home;
        if is_old && self.rules.recovery_discards_old && !is_spared {
            self.discard(state, server);
        }
        let meta = &mut state.servers[server];
        if !is_home {
            meta.home = Some(server);
            meta.generation += u8::from(!self.rules.generation_is_epoch);
            meta.drop_dirty_up_to(last_id);
            meta.acknowledge_up_to(last_id);
        }
        meta.clock = meta.clock.max(last_id);
        meta.epoch = meta.epoch.max(epoch);
        if self.rules.generation_is_epoch {
            meta.generation = meta.epoch;
        }
        // They are of an older generation.
        for slot in &mut meta.slots {
            slot.drop_if(|entry| !entry.is_dirty && self.rules.recovery_drops_clean);
        }
        meta.ticket = None;
        meta.is_sealed = false;
        state.recoveries[recoverer] = Recovery::Repaired { epoch };
        Some(())
    }

    /// Drops the journal and every dirty entry. To lose them is allowed only if a recovery after
    /// their epoch was complete, and only those that are older than that; but a master of which
    /// nobody knows that the store follows another one accepts more.
    fn discard(&self, state: &mut State, server: usize) {
        let is_current = server == state.current;
        let meta = &mut state.servers[server];
        let records = std::mem::take(&mut meta.journal);
        for slot in &mut meta.slots {
            slot.drop_if(|entry| entry.is_dirty);
        }
        if !is_current || meta.epoch >= state.completed {
            return;
        }
        for Record { write, .. } in records {
            if self.scene.is_split || state.before_completed.contains(write.into()) {
                state.excused.insert(write.into());
            }
        }
    }
}

impl State {
    /// From here on writes may pass the journal: nothing older may come back.
    pub(super) fn settle(&mut self, recoverer: usize) -> Option<()> {
        let Recovery::Repaired { epoch } = self.recoveries[recoverer] else { return None };
        self.recoveries[recoverer] = Recovery::Idle;
        if self.row.epoch == epoch {
            self.row.settled = epoch;
            self.completed = epoch;
            self.before_completed = self.acknowledged;
        }
        Some(())
    }
}
