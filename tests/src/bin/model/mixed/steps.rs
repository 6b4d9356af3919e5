//! Which steps programs and deadlines can take.

use super::{
    Action, Mixed, Server, State, StorePhase, Worker,
    state::{Reader, Recovery},
};

impl Mixed {
    /// All steps but faults, most useful first: `can_finish` follows them greedily.
    pub(super) fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        let servers = self.reachable(state);
        self.recovery_steps(state, &servers, actions);
        self.store_first_steps(state, &servers, actions);
        self.worker_steps(state, &servers, actions);
        self.repeated_acknowledgements(state, &servers, actions);
        self.begin_steps(state, &servers, actions);
        self.write_steps(state, &servers, actions);
        self.reader_steps(state, &servers, actions);
        self.deadlines(state, &servers, actions);
    }

    /// The master, and old ones that can still be reached.
    pub(super) fn reachable(&self, state: &State) -> Vec<usize> {
        let oldest = if self.scene.is_split { 0 } else { state.current };
        (oldest..=state.current).rev().collect()
    }

    fn recovery_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for (recoverer, recovery) in state.recoveries.iter().enumerate() {
            match recovery {
                Recovery::Repaired { .. } => actions.push(Action::Settle { recoverer }),
                Recovery::Bumped { .. } => actions.push(Action::Repair { recoverer }),
                Recovery::Ticketed { epoch_at_home: Some(_), .. } => {
                    actions.push(Action::ReadRow { recoverer });
                }
                Recovery::Ticketed { .. } => actions.push(Action::BumpEpoch { recoverer }),
                Recovery::Idle => {
                    let needy = servers.iter().filter(|s| self.needs_recovery(state, **s));
                    let ticket = |server: &usize| Action::TakeTicket { recoverer, server: *server };
                    actions.extend(needy.map(ticket));
                }
            }
        }
    }

    fn store_first_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for (writer, progress) in state.store_writers.iter().enumerate() {
            match progress.phase {
                StorePhase::Committed => {
                    let end = |server: &usize| Action::End { writer, server: *server };
                    actions.extend(servers.iter().map(end));
                }
                StorePhase::Begun => actions.push(Action::Commit { writer }),
                StorePhase::Sent => {
                    actions.push(Action::CommitOfDead { writer });
                    actions.push(Action::StatementTimeout { writer });
                }
                StorePhase::Idle | StorePhase::Dead => {}
            }
        }
    }

    fn worker_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for (worker, phase) in state.workers.iter().enumerate() {
            match phase {
                Worker::Committed { .. } => {
                    let acknowledge =
                        |server: &usize| Action::Acknowledge { worker, server: *server };
                    actions.extend(servers.iter().map(acknowledge));
                }
                Worker::Read { .. } => actions.push(Action::Drain { worker }),
                Worker::Idle => {
                    for &server in servers.iter().filter(|s| self.may_read(state, **s)) {
                        let undrained = state.servers[server].undrained(state.row.last_id).count();
                        let read = |records| Action::Read { worker, records, server };
                        let sizes = 1..=self.scene.batch_max.min(undrained);
                        actions.extend(sizes.rev().map(read));
                    }
                }
            }
        }
    }

    fn may_read(&self, state: &State, server: usize) -> bool {
        let has_epoch = state.servers[server].epoch == state.row.epoch;
        (!self.rules.worker_checks_home || state.is_home(server))
            && (!self.rules.worker_checks_epoch || has_epoch)
    }

    fn repeated_acknowledgements(
        &self,
        state: &State,
        servers: &[usize],
        actions: &mut Vec<Action>,
    ) {
        for &server in servers {
            let is_behind = state.servers[server].acknowledged < state.row.last_id;
            let is_other = state.servers[server].epoch != state.row.epoch;
            let is_refused =
                !state.is_home(server) || (self.rules.acknowledgement_checks_epoch && is_other);
            if self.rules.acknowledgement_repeated && is_behind && !is_refused {
                actions.push(Action::AcknowledgeAgain { server });
            }
        }
    }

    fn begin_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for writer in 0..state.store_writers.len() {
            let is_idle = state.store_writers[writer].phase == StorePhase::Idle;
            let (true, Some(write)) = (is_idle, self.next_store_write(state, writer)) else {
                continue;
            };
            let may_begin = |s: &&usize| self.may_begin(state, self.id_of(write), **s);
            let begin = |server: &usize| Action::Begin { writer, server: *server };
            actions.extend(servers.iter().filter(may_begin).map(begin));
            if self.rules.blind_writes && self.may_write_blindly(state) {
                actions.push(Action::WriteBlindly { writer });
            }
        }
    }

    fn may_begin(&self, state: &State, id: usize, server: usize) -> bool {
        let Server { home, slots, .. } = &state.servers[server];
        // Where nothing was ever journaled, no recovery is needed.
        let is_virgin = home.is_none() && !state.row.exists;
        let is_refused = slots[id].entry.is_some_and(|entry| {
            let is_drained = self.rules.begin_takes_position && entry.version <= state.row.last_id;
            entry.is_dirty && !is_drained
        });
        (!self.rules.begin_checks_home || state.is_home(server) || is_virgin)
            && !(self.rules.begin_refuses_dirty && is_refused)
    }

    fn write_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for writer in 0..state.journal_writers.len() {
            let Some(write) = self.next_journal_write(state, writer) else { continue };
            for &server in servers {
                let slot = &state.servers[server].slots[self.id_of(write)];
                let waits = self.rules.write_waits_for_tokens && !slot.tokens.is_empty();
                let is_fenced = state.servers[server].is_sealed
                    || (self.rules.write_checks_home && !state.is_home(server));
                if !waits && !is_fenced {
                    actions.push(Action::Write { writer, server });
                }
            }
        }
    }

    fn reader_steps(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for (reader, phase) in state.readers.iter().enumerate() {
            match phase {
                Reader::Filling { .. } => {
                    let fill = |server: &usize| Action::Fill { reader, server: *server };
                    actions.extend(servers.iter().map(fill));
                }
                Reader::Loading { .. } => actions.push(Action::Load { reader }),
                Reader::Idle if state.reads[reader] < self.scene.readers[reader].len() => {
                    let get = |server: &usize| Action::Get { reader, server: *server };
                    actions.extend(servers.iter().map(get));
                }
                Reader::Idle => {}
            }
        }
    }

    fn deadlines(&self, state: &State, servers: &[usize], actions: &mut Vec<Action>) {
        for &server in servers {
            for (id, slot) in state.servers[server].slots.iter().enumerate() {
                let expire = |writer| Action::ExpireToken { server, id, writer };
                actions.extend(slot.tokens.iter().map(expire));
            }
        }
    }
}
