//! The journals of the in-process backend: what the scripts of `redis/` do with them, over maps.

use super::{MemoryBackend, done, micros, partition::Partition, state::State};
use crate::{
    backend::{
        Reply, Side,
        journal::{
            Acknowledged, Acknowledgement, Append, Appended, Confirmed, JournalBackend,
            JournalRecord, Mark, Meta, News, Repair, Repaired, Retired, STEP_RECORDS,
        },
    },
    entity::Durability,
    key::Keyspace,
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
        let server = state.server.clone();
        state.partition(keys, partition).ticket = Some((ticket.to_owned(), server));
        done(state.meta(keys, partition))
    }

    fn repair<'a>(&'a self, keys: &'a Keyspace, repair: Repair<'a>) -> Reply<'a, Repaired> {
        let (mut state, now) = self.enter();
        done(state.repair(keys, &repair, now))
    }

    fn sweep<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        last_id: u64,
    ) -> Reply<'a, Option<u64>> {
        let (mut state, now) = self.enter();
        for entry in state.named(keys, partition, after, last_id) {
            state.entries.forget(&entry, last_id, now);
        }
        done(None)
    }

    fn retire<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        journal: &'a str,
        epoch: u64,
    ) -> Reply<'a, Retired> {
        let (mut state, now) = self.enter();
        done(state.retire(keys, partition, (journal, epoch), now))
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
        let is_shared = matches!(meta.standing.side, Side::Open | Side::Stored);
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
        let is_here = |mark: &Mark<'_>| match *mark {
            Mark::Server { server, .. } => server == self.server,
            Mark::Journal { partition, journal, epoch } => {
                let meta = self.meta(keys, partition);
                meta.is_at_home() && meta.journal == journal && meta.epoch == epoch
            }
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

    pub(super) fn meta(&self, keys: &Keyspace, partition: u32) -> Meta {
        let (server, standing) = (self.server.clone(), self.standing(keys, partition));
        let Some(found) = self.partitions.get(&keys.meta(partition)) else {
            return Meta { server, ..Meta::default() };
        };
        let copies_epoch = found.marks.copies_epoch;
        Meta { server, standing, copies_epoch, ..found.meta.clone() }
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
    pub(super) fn enlist(&mut self, keys: &Keyspace, partition: u32) {
        let oldest = self.partition(keys, partition).oldest();
        let members = self.backlogs.entry(keys.backlog(partition)).or_default();
        match oldest {
            Some(version) => drop(members.insert(keys.member(partition), version)),
            None => drop(members.remove(&keys.member(partition))),
        }
    }

    /// The keys of the entries that records above `after` and up to a version name.
    fn named(&self, keys: &Keyspace, partition: u32, after: u64, last_id: u64) -> Vec<String> {
        let partition = self.partitions.get(&keys.meta(partition));
        partition.map(|p| p.entries(after, last_id)).unwrap_or_default()
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

    fn retire(
        &mut self,
        keys: &Keyspace,
        partition: u32,
        (journal, epoch): (&str, u64),
        now: u64,
    ) -> Retired {
        let meta = self.meta(keys, partition);
        if meta.exists() && (meta.journal != journal || meta.epoch >= epoch) {
            return Retired::Refused;
        }
        for entry in self.partition(keys, partition).give_up(STEP_RECORDS) {
            self.entries.disown(&entry, epoch, now);
        }
        if !self.partition(keys, partition).is_empty() {
            return Retired::More;
        }
        self.enlist(keys, partition);
        self.generations.insert(keys.generation(partition).to_owned(), epoch);
        Retired::Done
    }

    fn repair(&mut self, keys: &Keyspace, repair: &Repair<'_>, now: u64) -> Repaired {
        let server = self.server.clone();
        let partition = self.partition(keys, repair.partition);
        let of_here = (repair.ticket.to_owned(), server);
        if partition.ticket.as_ref() != Some(&of_here) {
            return Repaired::Overtaken;
        }
        let (_, server) = of_here;
        let epoch = partition.meta.epoch;
        let entries = partition.entries(0, u64::MAX);
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
