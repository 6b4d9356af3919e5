//! The in-process backend: the protocol of `redis/` over maps, with tokio's (and so virtual) time.
//!
//! Each method is one critical section, as each script of `redis/` is one atomic step. Nothing
//! awaits, so every call completes at its first poll.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    backend::{
        Backend, Begin, CacheError, End, Fill, Lease, LeaseAsk, Put, PutReply, Reply, Seen, Server,
    },
    clock::Clock,
    codec::{Format, State as EntryState},
    key::{Keyspace, Slot, Topology},
};

mod entries;
mod intents;

use entries::Entries;
use intents::Intents;

/// A cache in this process.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    clock: Clock,
    topology: Topology,
    state: Mutex<State>,
}

/// What Redis would hold, by key.
#[derive(Debug, Default)]
struct State {
    entries: Entries,
    /// Token and deadline (µs) of the reader that may fill.
    leases: HashMap<String, (String, u64)>,
    intents: HashMap<String, Intents>,
    metas: HashMap<String, Meta>,
    generations: HashMap<String, u64>,
    registries: HashMap<String, HashMap<&'static str, String>>,
    /// Calls until what has expired is thrown away.
    sweep_in: usize,
}

/// What is known of a partition.
#[derive(Debug, Default, Clone)]
struct Meta {
    clock: u64,
    epoch: u64,
    home: Option<String>,
}

/// Looking at everything once in so many calls keeps what has expired from piling up.
const SWEEP_EVERY: usize = 4096;

/// What this server is called where a journal says which server it belongs to.
const RUN_ID: &str = "in-process";

impl MemoryBackend {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, topology: Topology::Standalone, state: Mutex::default() }
    }

    /// Locks the state and tells the time.
    fn enter(&self) -> (MutexGuard<'_, State>, u64) {
        // Every critical section leaves valid maps behind at each step, so a panic in one (there is
        // none that we know of) spoils nothing.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.micros();
        match state.sweep_in.checked_sub(1) {
            Some(left) => state.sweep_in = left,
            None => state.sweep(now),
        }
        (state, now)
    }
}

impl State {
    fn sweep(&mut self, now: u64) {
        self.entries.expire(now);
        self.leases.retain(|_, (_, deadline)| *deadline > now);
        self.intents.retain(|_, intents| {
            intents.expire(now);
            intents.is_live()
        });
        self.sweep_in = SWEEP_EVERY;
    }

    fn generation(&self, keys: &Keyspace, partition: u32) -> u64 {
        self.generations.get(keys.generation(partition)).copied().unwrap_or(0)
    }

    fn meta(&self, keys: &Keyspace, partition: u32) -> Meta {
        self.metas.get(&keys.meta(partition)).cloned().unwrap_or_default()
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

    fn lease(
        &mut self,
        keys: &Keyspace,
        format: Format,
        ask: &LeaseAsk<'_>,
        (token, until): (&str, u64),
        now: u64,
    ) -> Lease {
        let slot = ask.slot;
        if self.intents(keys, slot, now).is_live() {
            return Lease::Blocked;
        }
        let usable = !ask.replace && self.entries.is_of(&slot.entry, format, now);
        if usable || self.entries.is_pinned(&slot.entry, now) {
            return Lease::Present;
        }
        if self.lease_holder(keys, slot, now).is_some() {
            return Lease::Held;
        }
        self.leases.insert(keys.lease(slot), (token.to_owned(), until));
        Lease::Granted { generation: self.generation(keys, slot.partition) }
    }

    fn fill(&mut self, keys: &Keyspace, fill: &Fill<'_>, token: &str, now: u64) -> bool {
        let slot = fill.slot;
        if self.lease_holder(keys, slot, now) != Some(token) {
            return false;
        }
        self.leases.remove(&keys.lease(slot));
        if self.intents(keys, slot, now).is_live()
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

    fn begin(
        &mut self,
        keys: &Keyspace,
        slots: &[Slot],
        token: &str,
        hold: u64,
        now: u64,
    ) -> Begin {
        let Some(first) = slots.first() else { return Begin::Begun { epoch: 0, generation: 0 } };
        let meta = self.meta(keys, first.partition);
        if meta.home.is_some_and(|home| home != RUN_ID) {
            return Begin::Fenced;
        }
        for (index, slot) in slots.iter().enumerate() {
            match self.entries.state(&slot.entry, now).flatten() {
                Some(EntryState::Kept) => return Begin::Kept(index),
                Some(state) if state.is_pinned() => return Begin::Dirty(index),
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

    fn end(&mut self, keys: &Keyspace, end: &End<'_>, now: u64) -> bool {
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

    fn put(&mut self, keys: &Keyspace, puts: &[Put<'_>], now: u64) -> PutReply {
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
            let meta = self.metas.entry(keys.meta(slot.partition)).or_default();
            meta.clock = now.max(meta.clock + 1);
            let version = meta.clock;
            versions.push(version);
            self.leases.remove(&keys.lease(slot));
            match &put.content {
                Some(content) => self.entries.write(slot, content, version, generation, now),
                None => self.entries.remove(&slot.entry),
            }
        }
        PutReply::Written(versions)
    }
}

fn done<'a, T: Send + 'a>(result: T) -> Reply<'a, T> {
    Box::pin(std::future::ready(Ok::<T, CacheError>(result)))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2)
}

impl Backend for MemoryBackend {
    fn read<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        slots: &'a [Slot],
    ) -> Reply<'a, Vec<Seen>> {
        let (state, now) = self.enter();
        let see = |slot: &Slot| Seen {
            raw: state.entries.read(&slot.entry, format, now),
            generation: state.generation(keys, slot.partition),
        };
        done(slots.iter().map(see).collect())
    }

    fn lease<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        asks: &'a [LeaseAsk<'a>],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Vec<Lease>> {
        let (mut state, now) = self.enter();
        let until = now + micros(hold);
        done(asks.iter().map(|ask| state.lease(keys, format, ask, (token, until), now)).collect())
    }

    fn fill<'a>(
        &'a self,
        keys: &'a Keyspace,
        fills: &'a [Fill<'a>],
        token: &'a str,
    ) -> Reply<'a, Vec<bool>> {
        let (mut state, now) = self.enter();
        done(fills.iter().map(|fill| state.fill(keys, fill, token, now)).collect())
    }

    fn begin<'a>(
        &'a self,
        keys: &'a Keyspace,
        slots: &'a [Slot],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Begin> {
        let (mut state, now) = self.enter();
        done(state.begin(keys, slots, token, micros(hold), now))
    }

    fn end<'a>(&'a self, keys: &'a Keyspace, ends: &'a [End<'a>]) -> Reply<'a, Vec<bool>> {
        let (mut state, now) = self.enter();
        done(ends.iter().map(|end| state.end(keys, end, now)).collect())
    }

    fn put<'a>(&'a self, keys: &'a Keyspace, puts: &'a [Put<'a>]) -> Reply<'a, PutReply> {
        let (mut state, now) = self.enter();
        done(state.put(keys, puts, now))
    }

    fn evict<'a>(&'a self, keys: &'a Keyspace, slots: &'a [Slot]) -> Reply<'a, Vec<bool>> {
        let (mut state, now) = self.enter();
        let mut evict = |slot: &Slot| {
            let copy = !state.entries.is_pinned(&slot.entry, now);
            if copy {
                state.entries.remove(&slot.entry);
                state.leases.remove(&keys.lease(slot));
            }
            copy
        };
        done(slots.iter().map(&mut evict).collect())
    }

    fn register<'a>(
        &'a self,
        keys: &'a Keyspace,
        facts: &'a [(&'static str, String)],
    ) -> Reply<'a, Vec<String>> {
        let (mut state, _) = self.enter();
        let known = state.registries.entry(keys.registry()).or_default();
        let record = |(name, value): &(&'static str, String)| {
            known.entry(name).or_insert_with(|| value.clone()).clone()
        };
        done(facts.iter().map(record).collect())
    }

    fn server(&self) -> Reply<'_, Server> {
        let policy = "noeviction".to_owned();
        done(Server { version: RUN_ID.to_owned(), eviction_policy: policy })
    }

    fn topology(&self) -> Topology {
        self.topology
    }

    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: crate::codec::Raw) -> Reply<'a, ()> {
        let (mut state, _) = self.enter();
        state.entries.plant(key, raw);
        done(())
    }

    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        planted: crate::backend::Meta,
    ) -> Reply<'a, ()> {
        use crate::backend::Meta as Planted;
        let (mut state, _) = self.enter();
        let meta = state.metas.entry(keys.meta(partition)).or_default();
        match planted {
            Planted::Home(home) => meta.home = Some(home.to_owned()),
            Planted::Epoch(epoch) => meta.epoch = epoch,
            Planted::Generation(generation) => {
                state.generations.insert(keys.generation(partition).to_owned(), generation);
            }
        }
        done(())
    }
}
