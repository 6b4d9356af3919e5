//! What Redis would hold, and what its scripts would do with it, in the in-process backend.

use std::collections::{BTreeMap, HashMap};

use super::{entries::Entries, intents::Intents, partition::Partition, snapshot::Surveyed};
use crate::{
    backend::{Begin, End, Fill, Lease, LeaseAsk, Put, PutReply, Side, Standing},
    codec::{Format, Raw, State as EntryState},
    key::{Keyspace, Slot},
};

/// What Redis would hold, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// What this server is called where a journal says which server it belongs to.
    pub(super) server: String,
    pub(super) entries: Entries,
    /// Token and deadline (µs) of the reader that may fill.
    pub(super) leases: HashMap<String, (String, u64)>,
    intents: HashMap<String, Intents>,
    pub(super) partitions: HashMap<String, Partition>,
    /// Rights of one process at a time, such as to drain a partition: token and deadline (µs).
    pub(super) claims: HashMap<String, (String, u64)>,
    /// Appends that were tried again, and until when (µs) that is remembered.
    pub(super) tried_again: HashMap<String, u64>,
    /// Partitions that are not drained: version of the oldest record by member, by namespace.
    pub(super) backlogs: HashMap<String, BTreeMap<String, u64>>,
    pub(super) generations: HashMap<String, u64>,
    pub(super) surveys: HashMap<String, Surveyed>,
    registries: HashMap<String, HashMap<&'static str, String>>,
    /// Calls until what has expired is thrown away.
    sweep_in: usize,
    #[cfg(feature = "conformance")]
    pub(super) incidents: super::incidents::Incidents,
}

/// Looking at everything once in so many calls keeps what has expired from piling up.
const SWEEP_EVERY: usize = 4096;

impl State {
    /// A server without data.
    pub(super) fn of(server: impl Into<String>) -> Self {
        Self { server: server.into(), ..Self::default() }
    }

    /// Throws away what has expired, once in so many calls.
    pub(super) fn sweep_now_and_then(&mut self, now: u64) {
        match self.sweep_in.checked_sub(1) {
            Some(left) => self.sweep_in = left,
            None => self.sweep(now),
        }
    }

    pub(super) fn read(&self, slot: &Slot, format: Format, now: u64) -> Option<Raw> {
        self.entries.read(&slot.entry, format, now)
    }

    fn sweep(&mut self, now: u64) {
        self.entries.expire(now);
        self.leases.retain(|_, (_, deadline)| *deadline > now);
        self.claims.retain(|_, (_, deadline)| *deadline > now);
        self.tried_again.retain(|_, deadline| *deadline > now);
        self.intents.retain(|_, intents| {
            intents.expire(now);
            intents.is_live()
        });
        self.sweep_in = SWEEP_EVERY;
    }

    pub(super) fn generation(&self, keys: &Keyspace, partition: u32) -> u64 {
        self.generations.get(keys.generation(partition)).copied().unwrap_or(0)
    }

    /// Who may write to a partition.
    pub(super) fn side(&self, keys: &Keyspace, partition: u32) -> Side {
        self.partitions.get(&keys.meta(partition)).map_or(Side::Open, |p| p.marks.standing.side)
    }

    /// The same, and who brought it there.
    pub(super) fn standing(&self, keys: &Keyspace, partition: u32) -> Standing {
        let found = self.partitions.get(&keys.meta(partition));
        found.map(|partition| partition.marks.standing.clone()).unwrap_or_default()
    }

    fn is_intended(&self, keys: &Keyspace, slot: &Slot, now: u64) -> bool {
        self.intents.get(&keys.intents(slot)).is_some_and(|intents| intents.is_live_at(now))
    }

    /// The last deadline (µs) of the writers that announced themselves.
    pub(super) fn intended_until(&self, keys: &Keyspace, slot: &Slot) -> Option<u64> {
        self.intents.get(&keys.intents(slot)).and_then(Intents::deadline)
    }

    /// The live intents of a slot.
    fn intents(&mut self, keys: &Keyspace, slot: &Slot, now: u64) -> &mut Intents {
        let intents = self.intents.entry(keys.intents(slot)).or_default();
        intents.expire(now);
        intents
    }

    fn lease_holder(&self, keys: &Keyspace, slot: &Slot, now: u64) -> Option<&str> {
        let (token, deadline) = self.leases.get(&keys.lease(slot))?;
        (*deadline > now).then_some(token.as_str())
    }

    pub(super) fn lease(
        &mut self,
        keys: &Keyspace,
        format: Format,
        ask: &LeaseAsk<'_>,
        (token, until): (&str, u64),
        now: u64,
    ) -> Lease {
        let slot = ask.slot;
        if self.is_intended(keys, slot, now) {
            return Lease::Blocked;
        }
        let usable = !ask.replace && self.entries.is_of(&slot.entry, format, now);
        if usable || self.entries.is_pinned(&slot.entry, now) {
            return Lease::Present;
        }
        // Rows are copies of what `redis_only` kept a while ago.
        if self.side(keys, slot.partition).is_redis_only() {
            return Lease::Blocked;
        }
        if self.lease_holder(keys, slot, now).is_some() {
            return Lease::Held;
        }
        self.leases.insert(keys.lease(slot), (token.to_owned(), until));
        Lease::Granted { generation: self.generation(keys, slot.partition) }
    }

    pub(super) fn fill(&mut self, keys: &Keyspace, fill: &Fill<'_>, token: &str, now: u64) -> bool {
        let slot = fill.slot;
        if self.lease_holder(keys, slot, now) != Some(token) {
            return false;
        }
        self.leases.remove(&keys.lease(slot));
        if self.is_intended(keys, slot, now)
            || self.generation(keys, slot.partition) != fill.generation
            || self.entries.is_pinned(&slot.entry, now)
        {
            return false;
        }
        if let Some(content) = &fill.content {
            self.entries.write(slot, content, 0, fill.generation, now);
        }
        true
    }

    pub(super) fn begin(
        &mut self,
        keys: &Keyspace,
        slots: &[Slot],
        token: &str,
        hold: u64,
        now: u64,
    ) -> Begin {
        let Some(first) = slots.first() else { return Begin::Begun { epoch: 0, generation: 0 } };
        let side = self.side(keys, first.partition);
        if side.is_redis_only() {
            return Begin::Kept(0);
        }
        let meta = self.meta(keys, first.partition);
        if meta.exists() && !meta.is_at_home() {
            return Begin::Fenced;
        }
        for (index, slot) in slots.iter().enumerate() {
            match self.entries.state(&slot.entry, now).flatten() {
                Some(EntryState::Kept) if side != Side::Stored => return Begin::Kept(index),
                Some(_) if self.entries.journaled_version(&slot.entry, now) > Some(meta.acked) => {
                    return Begin::Dirty(index);
                }
                _ => {}
            }
        }
        for slot in slots {
            self.intents(keys, slot, now).begin(token, now + hold);
            self.entries.remove(&slot.entry);
            self.leases.remove(&keys.lease(slot));
        }
        Begin::Begun { epoch: meta.epoch, generation: self.generation(keys, first.partition) }
    }

    pub(super) fn end(&mut self, keys: &Keyspace, end: &End<'_>, now: u64) -> bool {
        let slot = end.slot;
        let alone = self.intents(keys, slot, now).end(end.token);
        if !self.intents(keys, slot, now).is_live() {
            self.intents.remove(&keys.intents(slot));
        }
        self.leases.remove(&keys.lease(slot));
        if self.entries.is_pinned(&slot.entry, now) {
            return false;
        }
        let same = self.meta(keys, slot.partition).epoch == end.epoch
            && self.generation(keys, slot.partition) == end.generation;
        match &end.content {
            Some(content) if alone && same => {
                self.entries.write(slot, content, 0, end.generation, now);
                true
            }
            _ => {
                self.entries.remove(&slot.entry);
                false
            }
        }
    }

    pub(super) fn put(&mut self, keys: &Keyspace, puts: &[Put<'_>], now: u64) -> PutReply {
        let side = puts.first().map_or(Side::Open, |put| self.side(keys, put.slot.partition));
        if side.is_elsewhere() {
            return PutReply::Elsewhere(side);
        }
        for (index, put) in puts.iter().enumerate() {
            let state = self.entries.state(&put.slot.entry, now).flatten();
            if state.is_some_and(|s| s.is_pinned() && s != EntryState::Kept) {
                return PutReply::Dirty(index);
            }
        }
        let mut versions = Vec::with_capacity(puts.len());
        for put in puts {
            let slot = put.slot;
            let generation = self.generation(keys, slot.partition);
            let version = self.partition(keys, slot.partition).tick(now);
            versions.push(version);
            self.leases.remove(&keys.lease(slot));
            let ttl = put.content.and_then(|content| content.ttl);
            let deadline = ttl.map(|ttl| now + super::micros(ttl));
            self.partition(keys, slot.partition).marks.mark(put.id, version, deadline);
            match &put.content {
                Some(content) => self.entries.write(slot, content, version, generation, now),
                None => self.entries.remove(&slot.entry),
            }
        }
        PutReply::Written { versions, server: self.server.clone() }
    }

    pub(super) fn evict(&mut self, keys: &Keyspace, slot: &Slot, now: u64) -> bool {
        let version = self.entries.journaled_version(&slot.entry, now);
        let drained = version.is_some_and(|v| v <= self.meta(keys, slot.partition).acked);
        let is_left = self.side(keys, slot.partition) == Side::Stored
            && self.entries.is_kept(&slot.entry, now);
        let copy = drained || is_left || !self.entries.is_pinned(&slot.entry, now);
        if copy {
            self.entries.remove(&slot.entry);
            self.leases.remove(&keys.lease(slot));
        }
        copy
    }

    pub(super) fn register(
        &mut self,
        keys: &Keyspace,
        facts: &[(&'static str, String)],
    ) -> Vec<String> {
        let known = self.registries.entry(keys.registry()).or_default();
        let record = |(name, value): &(&'static str, String)| {
            known.entry(name).or_insert_with(|| value.clone()).clone()
        };
        facts.iter().map(record).collect()
    }

    pub(super) fn amend(
        &mut self,
        keys: &Keyspace,
        fact: &'static str,
        before: &str,
        after: &str,
    ) -> bool {
        let known = self.registries.entry(keys.registry()).or_default();
        let found = known.get(fact).map_or("", String::as_str);
        let may_amend = found == before || found == after;
        if may_amend {
            known.insert(fact, after.to_owned());
        }
        may_amend
    }
}
