//! The in-process backend: the protocol of `redis/` over maps, with tokio's (and so virtual) time.
//!
//! Each method is one critical section, as each script of `redis/` is one atomic step. Nothing
//! awaits, so every call completes at its first poll.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    backend::{
        Backend, Begin, CacheError, Documents, End, Fill, Lease, LeaseAsk, Put, PutReply, Reply,
        Seen, Server, Syncs,
    },
    clock::Clock,
    codec::Format,
    key::{Keyspace, Slot, Topology},
};

mod append;
mod claims;
mod entries;
#[cfg(any(feature = "conformance", feature = "testing"))]
mod incidents;
mod intents;
mod journal;
mod partition;
mod snapshot;
mod state;

#[cfg(feature = "testing")]
pub(crate) use incidents::Undrained;
use state::State;

/// The server's name and version, until a test restarts it.
const RUN_ID: &str = "in-process";

/// A cache in this process.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    clock: Clock,
    topology: Topology,
    state: Mutex<State>,
}

impl MemoryBackend {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, topology: Topology::Standalone, state: Mutex::new(State::of(RUN_ID)) }
    }

    /// Lets something happen to the server.
    #[cfg(any(feature = "conformance", feature = "testing"))]
    pub(crate) fn suffer(&self, incident: crate::backend::Incident) {
        self.enter().0.suffer(incident);
    }

    /// The partitions with records that are not drained.
    #[cfg(feature = "testing")]
    pub(crate) fn undrained(&self) -> Vec<Undrained> {
        self.enter().0.undrained()
    }

    /// Locks the state and tells the time.
    fn enter(&self) -> (MutexGuard<'_, State>, u64) {
        // Every critical section leaves valid maps behind at each step, so a panic in one (there is
        // none that we know of) spoils nothing.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.micros();
        state.sweep_now_and_then(now);
        (state, now)
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
            raw: state.read(slot, format, now),
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

    fn put<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        asks_server: bool,
    ) -> Reply<'a, PutReply> {
        let (mut state, now) = self.enter();
        let mut reply = state.put(keys, puts, now);
        if let PutReply::Written { server, .. } = &mut reply
            && !asks_server
        {
            server.clear();
        }
        done(reply)
    }

    fn evict<'a>(&'a self, keys: &'a Keyspace, slots: &'a [Slot]) -> Reply<'a, Vec<bool>> {
        let (mut state, now) = self.enter();
        done(slots.iter().map(|slot| state.evict(keys, slot, now)).collect())
    }

    fn register<'a>(
        &'a self,
        keys: &'a Keyspace,
        facts: &'a [(&'static str, String)],
    ) -> Reply<'a, Vec<String>> {
        let (mut state, _) = self.enter();
        done(state.register(keys, facts))
    }

    fn amend<'a>(
        &'a self,
        keys: &'a Keyspace,
        fact: &'static str,
        before: &'a str,
        after: &'a str,
    ) -> Reply<'a, bool> {
        let (mut state, _) = self.enter();
        done(state.amend(keys, fact, before, after))
    }

    fn server(&self) -> Reply<'_, Server> {
        let policy = "noeviction".to_owned();
        done(Server {
            version: RUN_ID.to_owned(),
            eviction_policy: policy,
            aof: true,
            syncs: Syncs::Told,
            ..Server::default()
        })
    }

    fn documents(&self) -> Reply<'_, Documents> {
        done(Documents::Held)
    }

    fn topology(&self) -> Topology {
        self.topology
    }

    fn commands(&self) -> Vec<&'static str> {
        Vec::new()
    }

    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: crate::codec::Raw) -> Reply<'a, ()> {
        let (mut state, _) = self.enter();
        state.plant(key, raw);
        done(())
    }

    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        planted: crate::backend::Meta,
    ) -> Reply<'a, ()> {
        let (mut state, _) = self.enter();
        state.plant_meta(keys, partition, planted);
        done(())
    }

    #[cfg(feature = "conformance")]
    fn incident<'a>(
        &'a self,
        _: &'a Keyspace,
        incident: crate::backend::Incident,
    ) -> Reply<'a, ()> {
        self.suffer(incident);
        done(())
    }
}
