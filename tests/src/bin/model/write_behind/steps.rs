//! What the steps of writers, workers and recovery do.

use std::mem;

use super::{ABSENT, Record, Redis, State, Worker, WriteBehind, state::Entry};

impl WriteBehind {
    pub(super) fn write(&self, state: &mut State, id: usize, value: u8) {
        let counted = state.redis.clock + 1;
        let version = if self.versions_by_time { counted.max(state.now) } else { counted };
        state.redis.clock = version;
        state.redis.journal.push(Record { version, id, value });
        state.redis.entries[id] = Some(Entry { value, version, is_dirty: true });
        state.newest[id] = (value, version);
        if state.has_failed_over {
            state.newest_since_failover[id] = Some(value);
        }
        state.writes += 1;
    }

    pub(super) fn start(&self, state: &mut State, worker: usize) {
        let issued = state.row.epoch + 1;
        // The members of a consumer group do not fence each other.
        let epoch = if self.fan_out { state.row.epoch } else { issued };
        state.row.epoch = issued;
        let position = if self.position_in_transaction { state.row.position } else { 0 };
        state.workers[worker] = Worker::Idle { epoch, position };
        if self.recovers && self.position_in_transaction && state.redis.clock < state.row.position {
            state.redis.repair(state.row.position);
        }
    }

    pub(super) fn read(&self, state: &mut State, worker: usize, records: usize) -> Option<()> {
        let Worker::Idle { epoch, position } = state.workers[worker] else { return None };
        let is_new = |record: &&Record| {
            if self.fan_out {
                !state.claimed.contains(&record.version)
            } else {
                record.version > position
            }
        };
        let found = state.redis.journal.iter().filter(is_new).take(records);
        let batch: Vec<Record> = found.copied().collect();
        batch.last()?;
        if self.fan_out {
            state.claimed.extend(batch.iter().map(|record| record.version));
        }
        state.workers[worker] = Worker::Read { epoch, position, batch };
        Some(())
    }

    pub(super) fn acknowledge_early(&self, state: &mut State, worker: usize) -> Option<()> {
        let read = state.workers[worker].clone();
        let Worker::Read { epoch, position, batch } = read else { return None };
        state.trim(&batch);
        state.workers[worker] = Worker::Acknowledged { epoch, position, batch };
        Some(())
    }

    pub(super) fn commit(&self, state: &mut State, worker: usize) -> Option<()> {
        if self.transaction(state, worker) {
            state.take_for_committed(worker)
        } else {
            state.workers[worker] = Worker::Down;
            Some(())
        }
    }

    pub(super) fn commit_unknown(
        &self,
        state: &mut State,
        worker: usize,
        took_effect: bool,
    ) -> Option<()> {
        if took_effect {
            self.transaction(state, worker).then_some(())?;
        }
        if self.unknown_trusted {
            state.crashes += 1;
            return state.take_for_committed(worker);
        }
        state.crash(worker);
        Some(())
    }

    /// The data transaction, and whether it committed; a worker that is fenced rolls back.
    pub(super) fn transaction(&self, state: &mut State, worker: usize) -> bool {
        let (epoch, position, batch) = match &state.workers[worker] {
            Worker::Read { epoch, position, batch }
            | Worker::Acknowledged { epoch, position, batch } => (*epoch, *position, batch.clone()),
            _ => return false,
        };
        let is_fenced = (self.epoch_compared && state.row.epoch != epoch)
            || (self.position_compared && state.row.position != position);
        if is_fenced {
            return false;
        }
        for record in &batch {
            self.apply(state, record);
        }
        if let (true, Some(last)) = (self.position_in_transaction, batch.last()) {
            state.row.position = state.row.position.max(last.version);
        }
        true
    }

    fn apply(&self, state: &mut State, record: &Record) {
        let Record { version, id, value } = *record;
        let is_skipped = (self.position_in_transaction && version <= state.row.position)
            || (self.rows_versioned && version <= state.rows[id].1);
        if is_skipped {
            return;
        }
        state.has_reordered |= version < state.applied[id];
        state.applied[id] = state.applied[id].max(version);
        let is_remembered = self.rows_versioned && (value != ABSENT || self.tombstones);
        state.rows[id] = (value, if is_remembered { version } else { 0 });
    }

    pub(super) fn acknowledge(&self, state: &mut State, worker: usize) -> Option<()> {
        let committed = state.workers[worker].clone();
        let Worker::Committed { epoch, position, batch } = committed else { return None };
        state.trim(&batch);
        state.workers[worker] = Worker::Idle { epoch, position };
        Some(())
    }

    pub(super) fn failover(&self, state: &mut State) {
        let lost = mem::replace(&mut state.redis, state.replica.clone());
        state.has_failed_over = true;
        state.claimed.clear();
        state.is_fenced = self.home_checked;
        state.now = if self.clock_behind { 1 } else { state.now.max(lost.clock + 1) };
    }

    pub(super) fn recover_store(&self, state: &mut State) {
        state.row.epoch += u8::from(self.recovery_bumps_epoch);
        let newest_row = state.rows.iter().map(|row| row.1).max().unwrap_or_default();
        let position = if self.position_in_transaction { state.row.position } else { newest_row };
        state.recovered_position = Some(position);
    }
}

impl State {
    pub(super) fn crash(&mut self, worker: usize) {
        self.crashes += 1;
        // What a dead member of a consumer group had is given to another one.
        let batch = self.workers[worker].batch();
        self.claimed.retain(|version| batch.iter().all(|record| record.version != *version));
        self.workers[worker] = Worker::Down;
    }

    fn take_for_committed(&mut self, worker: usize) -> Option<()> {
        let next = match self.workers[worker].clone() {
            Worker::Read { epoch, position, batch } => {
                let position = position.max(batch.last()?.version);
                Worker::Committed { epoch, position, batch }
            }
            Worker::Acknowledged { epoch, position, .. } => Worker::Idle { epoch, position },
            _ => return None,
        };
        self.workers[worker] = next;
        Some(())
    }

    fn trim(&mut self, batch: &[Record]) {
        let has = |version: u8| batch.iter().any(|record| record.version == version);
        self.redis.journal.retain(|record| !has(record.version));
        self.claimed.retain(|version| !has(*version));
        for record in batch {
            if let Some(entry) = &mut self.redis.entries[record.id] {
                entry.is_dirty &= entry.version != record.version;
            }
        }
    }

    pub(super) fn evict(&mut self, id: usize) {
        self.redis.entries[id] = None;
        let is_older = self.rows[id].0 != self.newest[id].0;
        self.has_missed_own_write |= is_older && !self.has_failed_over;
    }

    pub(super) fn recover_redis(&mut self) {
        if let Some(position) = self.recovered_position.take() {
            self.redis.repair(position);
            self.is_fenced = false;
        }
    }
}

impl Redis {
    /// Versions go on after the store's, and what the store has already is forgotten.
    fn repair(&mut self, position: u8) {
        self.clock = self.clock.max(position);
        self.journal.retain(|record| record.version > position);
        for entry in &mut self.entries {
            *entry = entry.filter(|entry| entry.version > position);
        }
    }
}
