//! What the steps of write-behind writers and of workers do.

use super::{
    Mixed, Record, Server, State, Worker,
    state::{Entry, Slot},
};

impl Mixed {
    /// The script of a write: journal, version, dirty entry.
    pub(super) fn write(&self, state: &mut State, writer: usize, server: usize) -> Option<()> {
        let write = self.next_journal_write(state, writer)?;
        let id = self.id_of(write);
        state.before[usize::from(write)] = state.acknowledged.and(self.writes_of(id));
        let meta = &mut state.servers[server];
        meta.clock += 1;
        let version = meta.clock;
        meta.journal.push(Record { version, write });
        let slot = &mut meta.slots[id];
        let is_flagged = slot.entry.is_some_and(|entry| entry.is_dirty && entry.is_flagged);
        slot.entry = Some(Entry { write, version, is_dirty: true, is_flagged });
        if self.rules.write_deletes_lease {
            slot.lease = None;
        }
        state.acknowledge_write(write);
        state.journal_writers[writer] += 1;
        // What an old master takes after the failover is lost with it.
        if server != state.current {
            state.excused.insert(write.into());
        }
        Some(())
    }

    /// A worker reads the offset row and, from its position on, the journal.
    pub(super) fn read(
        &self,
        state: &mut State,
        worker: usize,
        records: usize,
        server: usize,
    ) -> Option<()> {
        let (meta, last_id) = (&state.servers[server], state.row.last_id);
        let batch: Vec<Record> = meta.undrained(last_id).take(records).collect();
        batch.last()?;
        let epoch = if self.rules.worker_checks_epoch { meta.epoch } else { state.row.epoch };
        state.workers[worker] = Worker::Read { batch, last_id, epoch };
        Some(())
    }

    /// The data transaction.
    pub(super) fn drain(&self, state: &mut State, worker: usize) -> Option<()> {
        let read = state.workers[worker].clone();
        let Worker::Read { batch, last_id, epoch } = read else { return None };
        let row = &state.row;
        let is_fenced = row.last_id != last_id
            || row.epoch != epoch
            || (self.rules.drain_needs_settled && !row.is_settled());
        if is_fenced {
            state.workers[worker] = Worker::Idle;
            return Some(());
        }
        for record in &batch {
            self.apply(state, record.write);
        }
        state.row.last_id = batch.last()?.version;
        state.workers[worker] = Worker::Committed { batch, last_id, epoch };
        Some(())
    }

    /// The script after the commit.
    pub(super) fn acknowledge(
        &self,
        state: &mut State,
        worker: usize,
        server: usize,
    ) -> Option<()> {
        let committed = state.workers[worker].clone();
        let Worker::Committed { batch, last_id, epoch } = committed else { return None };
        state.workers[worker] = Worker::Idle;
        let meta = &mut state.servers[server];
        if self.rules.acknowledgement_checks_epoch && meta.epoch != epoch {
            return Some(());
        }
        for (id, slot) in meta.slots.iter_mut().enumerate() {
            let of_id = batch.iter().rev().find(|record| self.id_of(record.write) == id);
            if let Some(Record { version, .. }) = of_id {
                self.acknowledge_entry(slot, *version);
            }
        }
        if meta.acknowledged >= last_id || !self.rules.acknowledgement_in_order {
            meta.acknowledge_up_to(batch.last()?.version);
        }
        Some(())
    }

    fn acknowledge_entry(&self, slot: &mut Slot, version: u8) {
        let Some(entry) = slot.entry.as_mut().filter(|entry| entry.is_dirty) else { return };
        if entry.version < version {
            slot.entry = None;
        } else if entry.version == version || !self.rules.acknowledgement_checks_version {
            entry.is_dirty = false;
            slot.drop_if(|entry| entry.is_flagged);
        }
    }
}

impl Server {
    /// The records after the store's position.
    pub(super) fn undrained(&self, last_id: u8) -> impl Iterator<Item = Record> {
        self.journal.iter().copied().filter(move |record| record.version > last_id)
    }

    pub(super) fn acknowledge_up_to(&mut self, version: u8) {
        self.acknowledged = self.acknowledged.max(version);
        let acknowledged = self.acknowledged;
        self.journal.retain(|record| record.version > acknowledged);
    }

    pub(super) fn drop_dirty_up_to(&mut self, version: u8) {
        for slot in &mut self.slots {
            slot.drop_if(|entry| entry.is_dirty && entry.version <= version);
        }
    }
}

impl State {
    /// Who finds the acknowledgement missing does not know what was written: a miss is safe.
    pub(super) fn acknowledge_again(&mut self, server: usize) {
        let last_id = self.row.last_id;
        let meta = &mut self.servers[server];
        meta.drop_dirty_up_to(last_id);
        meta.acknowledge_up_to(last_id);
    }
}
