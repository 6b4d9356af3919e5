//! Appending to a journal of the in-process backend, or saying why not.

use std::time::Duration;

use super::{partition::TRIED_AGAIN, state::State};
use crate::{
    backend::{
        CacheError, Side,
        journal::{Append, Appended, JournalRecord},
    },
    key::{Keyspace, Slot},
};

impl State {
    pub(super) fn append(
        &mut self,
        keys: &Keyspace,
        append: &Append<'_>,
        now: u64,
    ) -> Result<Appended, CacheError> {
        let meta = self.meta(keys, append.partition);
        let written = |versions| Appended::Written {
            versions,
            epoch: meta.epoch,
            journal: meta.journal.clone(),
        };
        if self.side(keys, append.partition).is_redis_only() {
            return Ok(Appended::Kept(0));
        }
        if !meta.exists() || !meta.is_at_home() || meta.sealed {
            return Ok(Appended::Fenced);
        }
        let mark = keys.op(append.partition, append.op_id);
        if append.tried_above.is_none() && self.tried_again.contains_key(&mark) {
            return Ok(Appended::Overtaken);
        }
        if let Some(above) = append.tried_above {
            let above = above.min(now.saturating_sub(TRIED_AGAIN));
            let found = self.partition(keys, append.partition).find(append.op_id, above);
            if !found.is_empty() {
                return Ok(written(found));
            }
        }
        if let Some(refused) = self.refusal(keys, append, now) {
            return Ok(refused);
        }
        let data = append.writes.iter().map(|write| write.data_or_body());
        let data = data.collect::<Result<Vec<_>, _>>()?;
        let (records, bytes) = (data.len() as u64, data.iter().map(|d| d.len() as u64).sum());
        if self.partition(keys, append.partition).is_full(append.bound, records, bytes) {
            return Ok(Appended::Full);
        }
        let generation = self.generation(keys, append.partition);
        let mut versions = Vec::with_capacity(data.len());
        for (write, data) in append.writes.iter().zip(data) {
            let partition = self.partition(keys, append.partition);
            let version = partition.tick(now);
            versions.push(version);
            let op = if write.deletes { "d" } else { "p" }.to_owned();
            let (data, schema) = (data.into_owned().into_bytes(), append.schema.to_owned());
            let entry = write.slot.entry.clone();
            let record = JournalRecord { version, entry, op, data, schema };
            partition.push(record, append.op_id);
            self.entries.write(write.slot, &write.content, version, generation, now);
            self.leases.remove(&keys.lease(write.slot));
        }
        self.enlist(keys, append.partition);
        if append.tried_above.is_some() {
            self.tried_again.insert(mark, now + TRIED_AGAIN_KEPT);
        }
        Ok(written(versions))
    }

    /// Why these writes may not be journaled now.
    fn refusal(&self, keys: &Keyspace, append: &Append<'_>, now: u64) -> Option<Appended> {
        let slots = || append.writes.iter().map(|write| write.slot);
        let is_open = self.side(keys, append.partition) == Side::Open;
        let is_kept = |slot: &Slot| is_open && self.entries.is_kept(&slot.entry, now);
        if let Some(index) = slots().position(is_kept) {
            return Some(Appended::Kept(index));
        }
        let deadlines = slots().filter_map(|slot| self.intended_until(keys, slot));
        let deadline = deadlines.max().filter(|deadline| *deadline > now)?;
        Some(Appended::Intended { wait: Duration::from_micros(deadline - now) })
    }
}

/// How long it is remembered that an append was tried again (µs).
const TRIED_AGAIN_KEPT: u64 = 60_000_000;
