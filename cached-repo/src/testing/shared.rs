//! What the handles of a kit share: the servers, their faults, the processes, what happened.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Point, Step, gates::Gates, process::Life};
use crate::{
    clock::{Clock, Random},
    memory::MemoryBackend,
    store::MemoryStore,
};

/// So many calls are remembered, the latest ones.
const TRACE_MAX: usize = 10_000;

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) memory: Arc<MemoryBackend>,
    pub(super) tables: Arc<MemoryStore>,
    pub(super) redis: Machine,
    pub(super) database: Machine,
    pub(super) gates: Gates<Visit, Failure>,
    lives: Mutex<Vec<Arc<Life>>>,
    under_way: Mutex<UnderWay>,
    trace: Mutex<VecDeque<String>>,
}

/// A process at a point.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) process: u32,
    pub(super) point: Point,
    /// The entity's prefix; empty where it is about none.
    pub(super) entity: String,
}

/// What happens to who is caught.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    Fail,
    Crash,
}

/// The calls that were begun and are not over, by number.
#[derive(Debug, Default)]
struct UnderWay {
    begun: u64,
    calls: BTreeMap<u64, Call>,
}

/// A call of a process.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) life: Arc<Life>,
    pub(super) step: Step,
    pub(super) what: String,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        let clock = Clock::new();
        Self {
            clock,
            seed,
            memory: Arc::new(MemoryBackend::new(clock)),
            tables: Arc::new(MemoryStore::new(&Random::seeded(seed))),
            redis: Machine::default(),
            database: Machine::default(),
            gates: Gates::default(),
            lives: Mutex::default(),
            under_way: Mutex::default(),
            trace: Mutex::default(),
        }
    }

    /// Begins a process' life, with random numbers of its own.
    pub(super) fn begin(&self) -> (Arc<Life>, Random) {
        let mut lives = lock(&self.lives);
        let number = u32::try_from(lives.len()).unwrap_or(u32::MAX - 1) + 1;
        let life = Life::new(number);
        lives.push(Arc::clone(&life));
        (life, Random::seeded(self.seed.wrapping_add(u64::from(number))))
    }

    pub(super) fn lives(&self) -> Vec<Arc<Life>> {
        lock(&self.lives).clone()
    }

    /// Remembers a call until the answer is dropped.
    pub(super) fn enter(&self, call: Call) -> Entered<'_> {
        let mut under_way = lock(&self.under_way);
        under_way.begun += 1;
        let number = under_way.begun;
        under_way.calls.insert(number, call);
        Entered { shared: self, number }
    }

    /// The calls of running processes that are not over.
    pub(super) fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<_> = lock(&self.under_way).calls.values().cloned().collect();
        calls.retain(|call| !call.life.is_over());
        calls
    }

    /// Remembers what became of something.
    pub(super) fn tell(&self, what: fmt::Arguments<'_>) {
        let (seconds, micros) = (self.clock.micros() / 1_000_000, self.clock.micros() % 1_000_000);
        let mut trace = lock(&self.trace);
        if trace.len() >= TRACE_MAX {
            trace.pop_front();
        }
        trace.push_back(format!("{seconds:4}.{micros:06} s  {what}"));
    }

    pub(super) fn trace(&self) -> Vec<String> {
        lock(&self.trace).iter().cloned().collect()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Ends a call when it is dropped.
pub(super) struct Entered<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        lock(&self.shared.under_way).calls.remove(&self.number);
    }
}

/// What is wrong with a server.
#[derive(Debug, Default)]
pub(super) struct Machine {
    is_down: AtomicBool,
    delay: Mutex<Duration>,
    /// Why nothing can be written until a person mends it, if so.
    broken: Mutex<Option<String>>,
}

impl Machine {
    pub(super) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        *lock(&self.delay) = delay;
    }

    pub(super) fn delay(&self) -> Duration {
        *lock(&self.delay)
    }

    pub(super) fn set_broken(&self, why: Option<String>) {
        *lock(&self.broken) = why;
    }

    pub(super) fn broken(&self) -> Option<String> {
        lock(&self.broken).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid whenever they are free.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
