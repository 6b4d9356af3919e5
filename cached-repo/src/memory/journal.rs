//! The journals of the in-process backend: what the scripts of `redis/` do with them, over maps.

use super::{
    MemoryBackend, done, micros,
    partition::{Partition, TRIED_AGAIN},
    state::State,
};
use crate::{
    backend::{
        CacheError, Reply, Side,
        journal::{
            Acknowledged, Acknowledgement, Append, Appended, Confirmed, JournalBackend,
            JournalRecord, Mark, Meta, News, Repair, Repaired,
        },
    },
    entity::Durability,
    key::{Keyspace, Slot},
};
use std::time::Duration;

impl JournalBackend for MemoryBackend {
    fn append<'a>(&'a self, keys: &'a Keyspace, append: Append<'a>) -> Reply<'a, Appended> {
        let (mut state, now) = self.enter();
        let appended = state.append(keys, &append, now);
        Box::pin(std::future::ready(appended))
    }

    fn meta<'a>(&'a self, keys: &'a Keyspace, partition: u32) -> Reply<'a, Meta> {
        let (state, _) = self.enter();
        done(state.meta(keys, partition))
    }

    fn backlog<'a>(&'a self, keys: &'a Keyspace) -> Reply<'a, Vec<(String, u32, u64)>> {
        let (state, _) = self.enter();
        done(state.backlog(keys))
    }

    fn claim<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Option<Meta>> {
        let (mut state, now) = self.enter();
        let is_claimed = state.claim(keys, partition, token, micros(hold), now);
        done(is_claimed.then(|| state.meta(keys, partition)))
    }

    fn release<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()> {
        let (mut state, now) = self.enter();
        if state.is_claimed_by(keys, partition, token, now) {
            state.claims.remove(&keys.claim(partition));
        }
        done(())
    }

    fn records<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Reply<'a, Vec<JournalRecord>> {
        let (state, _) = self.enter();
        let partition = state.partitions.get(&keys.meta(partition));
        done(partition.map(|p| p.records(after, count, bytes)).unwrap_or_default())
    }

    fn acknowledge<'a>(
        &'a self,
        keys: &'a Keyspace,
        acknowledgement: Acknowledgement<'a>,
    ) -> Reply<'a, Acknowledged> {
        let (mut state, now) = self.enter();
        done(state.acknowledge(keys, &acknowledgement, now))
    }

    fn ticket<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        ticket: &'a str,
    ) -> Reply<'a, Meta> {
        let (mut state, _) = self.enter();
        state.partition(keys, partition).ticket = Some(ticket.to_owned());
        done(state.meta(keys, partition))
    }

    fn repair<'a>(&'a self, keys: &'a Keyspace, repair: Repair<'a>) -> Reply<'a, Repaired> {
        let (mut state, now) = self.enter();
        done(state.repair(keys, &repair, now))
    }

    /// A repair has done it: maps are never half written.
    fn sweep<'a>(&'a self, _: &'a Keyspace, _: u32, _: u64, _: u64) -> Reply<'a, Option<u64>> {
        done(None)
    }

    fn confirm<'a>(
        &'a self,
        keys: &'a Keyspace,
        marks: &'a [Mark<'a>],
        durability: Durability,
        _: Duration,
    ) -> Reply<'a, Confirmed> {
        let (mut state, _) = self.enter();
        done(state.confirm(keys, marks, durability))
    }

    fn seal<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        epoch: u64,
        may_be_left: bool,
    ) -> Reply<'a, Option<u64>> {
        let (mut state, _) = self.enter();
        let meta = state.meta(keys, partition);
        let is_sound = meta.exists() && meta.is_at_home() && meta.epoch == epoch;
        // A seal lets store-first writes pass that know nothing of `redis_only`.
        let is_shared = matches!(meta.side, Side::Open | Side::Stored);
        let may_seal = is_sound && is_shared && (may_be_left || meta.backlog() == 0);
        state.partition(keys, partition).meta.sealed |= may_seal;
        done(may_seal.then_some(meta.acked))
    }
}

impl State {
    /// There is no disk. What is asked for is there at once, also on the replica that a test may have.
    fn confirm(
        &mut self,
        keys: &Keyspace,
        marks: &[Mark<'_>],
        durability: Durability,
    ) -> Confirmed {
        let is_here = |mark: &Mark<'_>| {
            let meta = self.meta(keys, mark.partition);
            meta.is_at_home() && meta.journal == mark.journal && meta.epoch == mark.epoch
        };
        if !marks.iter().all(is_here) {
            return Confirmed::Elsewhere;
        }
        match durability {
            Durability::Memory => Confirmed::Here { fsynced: false, replicas: 0 },
            Durability::Fsync => Confirmed::Here { fsynced: true, replicas: 0 },
            Durability::Replicated(replicas) => {
                #[cfg(any(feature = "conformance", feature = "testing"))]
                self.suffer(crate::backend::Incident::Replicate);
                Confirmed::Here { fsynced: false, replicas }
            }
        }
    }

    fn append(
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

    pub(super) fn meta(&self, keys: &Keyspace, partition: u32) -> Meta {
        let found = self.partitions.get(&keys.meta(partition)).map(|p| p.meta.clone());
        let (server, side) = (self.server.clone(), self.side(keys, partition));
        Meta { server, side, ..found.unwrap_or_default() }
    }

    pub(super) fn partition(&mut self, keys: &Keyspace, partition: u32) -> &mut Partition {
        self.partitions.entry(keys.meta(partition)).or_default()
    }

    fn backlog(&self, keys: &Keyspace) -> Vec<(String, u32, u64)> {
        let Some(members) = self.backlogs.get(&keys.backlog(0)) else { return Vec::new() };
        let parse = |(member, version): (&String, &u64)| {
            let (prefix, partition) = Keyspace::parse_member(member)?;
            Some((prefix.to_owned(), partition, *version))
        };
        members.iter().filter_map(parse).collect()
    }

    /// Brings the backlog up to date with a partition.
    fn enlist(&mut self, keys: &Keyspace, partition: u32) {
        let oldest = self.partition(keys, partition).oldest();
        let members = self.backlogs.entry(keys.backlog(partition)).or_default();
        match oldest {
            Some(version) => drop(members.insert(keys.member(partition), version)),
            None => drop(members.remove(&keys.member(partition))),
        }
    }

    fn acknowledge(
        &mut self,
        keys: &Keyspace,
        ack: &Acknowledgement<'_>,
        now: u64,
    ) -> Acknowledged {
        let meta = self.meta(keys, ack.partition);
        if !meta.exists() || meta.epoch != ack.epoch || meta.acked < ack.from {
            return Acknowledged::Elsewhere;
        }
        for settled in ack.settled {
            self.entries.settle(settled, now);
        }
        let partition = self.partition(keys, ack.partition);
        partition.acknowledge(ack.last_id);
        // Only a settled epoch is drained, so it was told.
        partition.meta.news = News::None;
        partition.trim(ack.last_id, micros(ack.retention), ack.retained_bytes, now);
        let left = partition.meta.backlog();
        self.enlist(keys, ack.partition);
        if self.is_claimed_by(keys, ack.partition, ack.token, now) {
            let claim = keys.claim(ack.partition);
            match left {
                0 => drop(self.claims.remove(&claim)),
                _ => {
                    self.claims.insert(claim, (ack.token.to_owned(), now + micros(ack.hold)));
                }
            }
        }
        Acknowledged::Done { left }
    }

    fn repair(&mut self, keys: &Keyspace, repair: &Repair<'_>, now: u64) -> Repaired {
        let server = self.server.clone();
        let partition = self.partition(keys, repair.partition);
        if partition.ticket.as_deref() != Some(repair.ticket) {
            return Repaired::Overtaken;
        }
        let epoch = partition.meta.epoch;
        let entries: Vec<String> = partition.entries().map(str::to_owned).collect();
        let is_home = partition.meta.home == server;
        let repaired = partition.repair(repair, &server);
        if partition.meta.epoch != epoch {
            let generation = partition.meta.epoch;
            self.generations.insert(keys.generation(repair.partition).to_owned(), generation);
        }
        let latest = match repaired {
            Repaired::Replaced { .. } => u64::MAX,
            // The store may have later writes of these ids, which this server never saw.
            _ if !is_home => repair.last_id,
            _ => 0,
        };
        for entry in entries {
            self.entries.forget(&entry, latest, now);
        }
        self.enlist(keys, repair.partition);
        repaired
    }
}

/// How long it is remembered that an append was tried again (µs).
const TRIED_AGAIN_KEPT: u64 = 60_000_000;
