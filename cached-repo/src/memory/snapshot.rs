//! What copies of `redis_only` entities to a store ask of the in-process backend.

use std::{collections::BTreeMap, mem, time::Duration};

use super::{MemoryBackend, done, micros, state::State};
use crate::{
    backend::{
        Put, PutReply, Reply, SnapshotBackend,
        snapshot::{
            AskChanged, Changed, Copied, Mark, Report, Side, Standing, Survey, Turn, Turned,
        },
    },
    key::Keyspace,
};

/// What Redis would hold in a partition's sorted sets, and its side.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) standing: Standing,
    pub(super) copies_epoch: u64,
    /// Version by id.
    changed: BTreeMap<String, u64>,
    /// When (µs) by id.
    expiring: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
}

/// How far the survey of an entity is.
#[derive(Clone, Debug)]
pub(super) struct Surveyed {
    server: String,
    at: Survey,
    token: String,
    until: u64,
}

impl Marks {
    /// Marks a write, and when its entry expires, if it does.
    pub(super) fn mark(&mut self, id: &str, version: u64, deadline: Option<u64>) {
        if self.standing.side != Side::Kept {
            return;
        }
        self.changed.insert(id.to_owned(), version);
        self.refused.remove(id);
        match deadline {
            Some(deadline) => self.expiring.insert(id.to_owned(), deadline),
            None => self.expiring.remove(id),
        };
    }
}

impl SnapshotBackend for MemoryBackend {
    fn turn<'a>(&'a self, keys: &'a Keyspace, partition: u32, turn: Turn<'a>) -> Reply<'a, Turned> {
        let (mut state, _) = self.enter();
        let marks = &mut state.partition(keys, partition).marks;
        let standing = &mut marks.standing;
        let is_expected = turn.behind.is_none_or(|token| standing.turned_by == token);
        if !is_expected || !turn.from.contains(&standing.side) {
            return done(Turned::Is(standing.clone()));
        }
        if let Some(epoch) = turn.epoch {
            marks.copies_epoch = epoch;
        }
        let turned = Standing { side: turn.to, turned_by: turn.token.to_owned() };
        done(Turned::From(mem::replace(standing, turned)))
    }

    fn take_move<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, bool> {
        let (mut state, now) = self.enter();
        done(state.hold(keys.mover(), token, micros(hold), now))
    }

    fn end_move<'a>(&'a self, keys: &'a Keyspace, token: &'a str) -> Reply<'a, ()> {
        let (mut state, _) = self.enter();
        state.let_go(&keys.mover(), token);
        done(())
    }

    fn changed<'a>(
        &'a self,
        keys: &'a Keyspace,
        ask: AskChanged<'a>,
    ) -> Reply<'a, Option<Changed>> {
        let (mut state, now) = self.enter();
        let is_free = state.hold(keys.copier(ask.partition), ask.token, micros(ask.hold), now);
        done(is_free.then(|| state.changed(keys, &ask, now)))
    }

    fn copied<'a>(&'a self, keys: &'a Keyspace, report: Report<'a>) -> Reply<'a, u64> {
        let (mut state, now) = self.enter();
        if let Some(claim) = state.claims.get_mut(&keys.copier(report.partition))
            && claim.0 == report.token
        {
            claim.1 = now + micros(report.hold);
        }
        let partition = state.partition(keys, report.partition);
        for (id, version, copied) in report.copies {
            if partition.marks.changed.get(*id) != Some(version) {
                continue;
            }
            partition.marks.changed.remove(*id);
            match copied {
                Copied::Done => {}
                Copied::Refused => {
                    partition.marks.refused.insert((*id).to_owned(), *version);
                }
                Copied::Later => {
                    let version = partition.tick(now);
                    partition.marks.changed.insert((*id).to_owned(), version);
                }
            }
        }
        done(partition.marks.changed.len() as u64)
    }

    fn let_go<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()> {
        let (mut state, _) = self.enter();
        state.let_go(&keys.copier(partition), token);
        done(())
    }

    fn mark<'a>(&'a self, keys: &'a Keyspace, marks: &'a [Mark<'a>]) -> Reply<'a, ()> {
        let (mut state, now) = self.enter();
        for Mark { slot, id } in marks {
            if !matches!(state.side(keys, slot.partition), Side::Kept | Side::Exporting) {
                continue;
            }
            let Some((version, deadline)) = state.entries.kept(&slot.entry, now) else { continue };
            let known = &mut state.partition(keys, slot.partition).marks;
            known.changed.entry((*id).to_owned()).or_insert(version);
            if let Some(deadline) = deadline {
                known.expiring.entry((*id).to_owned()).or_insert(deadline);
            }
        }
        done(())
    }

    fn keep<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        token: &'a str,
    ) -> Reply<'a, PutReply> {
        let (mut state, now) = self.enter();
        done(state.keep(keys, puts, token, now))
    }

    fn free<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        entries: &'a [String],
        token: &'a str,
    ) -> Reply<'a, Option<u64>> {
        let (mut state, now) = self.enter();
        let Standing { side, turned_by } = state.standing(keys, partition);
        if !matches!(side, Side::Leaving | Side::Stored) || turned_by != token {
            return done(None);
        }
        let left: Vec<_> = entries.iter().filter(|e| state.entries.is_kept(e, now)).collect();
        left.iter().for_each(|entry| state.entries.remove(entry));
        done(Some(left.len() as u64))
    }

    fn scan<'a>(
        &'a self,
        keys: &'a Keyspace,
        cursor: u64,
        count: usize,
    ) -> Reply<'a, (u64, Vec<String>)> {
        let (state, now) = self.enter();
        let is_meant = |key: &&str| keys.id_text(key).is_some();
        done(state.entries.page(is_meant, cursor, count, now))
    }

    fn survey<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
        progress: Option<Survey>,
    ) -> Reply<'a, Option<Survey>> {
        let (mut state, now) = self.enter();
        let known = state.surveys.get(&keys.survey());
        if known.is_some_and(|known| known.token != token && known.until > now) {
            return done(None);
        }
        let server = state.server.clone();
        // Progress that was made on another server means nothing on this one.
        let at = match known {
            Some(known) if known.server != server => Survey::At(0),
            known => progress.or(known.map(|known| known.at)).unwrap_or(Survey::At(0)),
        };
        let until = if at == Survey::Done { 0 } else { now + micros(hold) };
        let surveyed = Surveyed { server, at, token: token.to_owned(), until };
        state.surveys.insert(keys.survey(), surveyed);
        done(Some(at))
    }
}

impl State {
    fn keep(&mut self, keys: &Keyspace, puts: &[Put<'_>], token: &str, now: u64) -> PutReply {
        let Some(first) = puts.first() else { return PutReply::nothing() };
        let Standing { side, turned_by } = self.standing(keys, first.slot.partition);
        if side != Side::Importing || turned_by != token {
            return PutReply::Elsewhere(side);
        }
        let mut versions = Vec::with_capacity(puts.len());
        for Put { slot, id, content } in puts {
            let kept = self.entries.kept(&slot.entry, now);
            let generation = self.generation(keys, slot.partition);
            let partition = self.partition(keys, slot.partition);
            match (kept, content) {
                // `redis_only` wrote it after the store did: it goes to the store.
                (Some((version, deadline)), _) => {
                    partition.marks.changed.entry((*id).to_owned()).or_insert(version);
                    if let Some(deadline) = deadline {
                        partition.marks.expiring.entry((*id).to_owned()).or_insert(deadline);
                    }
                    versions.push(version);
                }
                (None, Some(content)) => {
                    let version = partition.tick(now);
                    if let Some(ttl) = content.ttl {
                        partition.marks.expiring.insert((*id).to_owned(), now + micros(ttl));
                    }
                    versions.push(version);
                    self.entries.write(slot, content, version, generation, now);
                    self.leases.remove(&keys.lease(slot));
                }
                (None, None) => versions.push(0),
            }
        }
        PutReply::Written { versions, server: String::new() }
    }

    fn changed(&mut self, keys: &Keyspace, ask: &AskChanged<'_>, now: u64) -> Changed {
        let partition = self.partition(keys, ask.partition);
        let marks = &partition.marks;
        let expired = marks.expiring.iter().filter(|(_, deadline)| **deadline < now);
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).take(ask.count).collect();
        let refused = marks.refused.keys().take(if ask.retry { ask.count } else { 0 });
        let refused: Vec<String> = refused.cloned().collect();
        let more = expired.len() == ask.count || refused.len() == ask.count;
        let mut until = ask.until;
        for id in expired.into_iter().chain(refused) {
            let version = partition.tick(now);
            partition.marks.expiring.remove(&id);
            partition.marks.refused.remove(&id);
            partition.marks.changed.insert(id, version);
            until = None;
        }
        let until = until.unwrap_or(partition.meta.clock);
        let changed = &partition.marks.changed;
        let mut ids: Vec<_> = changed.iter().map(|(id, version)| (id.clone(), *version)).collect();
        ids.retain(|(_, version)| *version <= until);
        ids.sort_unstable_by_key(|(_, version)| *version);
        ids.truncate(ask.count);
        let standing = partition.marks.standing.clone();
        Changed { standing, until, left: changed.len() as u64, more, ids }
    }
}
