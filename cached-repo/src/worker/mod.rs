//! The worker: carries every journal of a cache to its store.
//!
//! It finds the partitions with something to drain from one key in Redis, drains several of them at a
//! time, and asks the store for nothing while there is nothing to do.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    clock::{Clock, Random},
    journal::{Event, Journal, Roster, Target},
};

mod acknowledge;
mod after;
mod copy;
mod copy_items;
mod dead_letters;
mod drain;
mod drained;
mod ending;
mod export;
mod import;
mod moving;
mod pauses;
mod plan;
mod opening;
mod position;
mod probe;
mod repartition;
mod rounds;
mod retire;
mod seal;
mod snapshot;
mod supervise;
mod survey;

pub use dead_letters::DeadLetters;
use drain::{REFERENCE_WAIT, Session};
use ending::{Ending, Kept, Trouble};
pub(crate) use export::export;
pub(crate) use import::import;
use pauses::Pauses;
pub(crate) use probe::{Evictions, probe, watch};
pub(crate) use repartition::repartition;
pub use snapshot::Snapshot;
pub(crate) use snapshot::{Ask, copy_all};
pub(crate) use supervise::supervise;

/// How often the key is looked at that says what is to be drained. Writes of this process are drained
/// at once.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// So many partitions are drained into a store at a time: more than it writes at a time, fewer than it
/// has connections. One that hangs keeps the partitions of other stores from nothing.
const SESSIONS_MAX: usize = 4;
/// A journal that nobody has written to for so long, and that this process does not write to, is sealed.
const SEAL_AFTER: Duration = Duration::from_secs(60);

/// Drains the journals of a roster until it is stopped.
async fn run(roster: Arc<Roster>, clock: Clock, random: Random) {
    roster.working.store(true, Ordering::Relaxed);
    let working = Working(&roster);
    let mut worker = Worker {
        roster: &roster,
        clock,
        token: random.token(),
        random,
        sessions: JoinSet::new(),
        running: HashMap::new(),
        seals: HashMap::new(),
        due: VecDeque::new(),
        pauses: Pauses::default(),
        kept: BTreeMap::new(),
        visited: BTreeMap::new(),
        sealing: BTreeMap::new(),
        known: 0,
    };
    let mut poll = clock.now();
    loop {
        worker.start();
        tokio::select! {
            biased;
            () = roster.stopped() => break,
            // Now and then, so it comes first: a process that writes all the time nudges all the time.
            () = sleep_until(poll) => {
                worker.poll().await;
                poll = clock.now() + POLL_INTERVAL;
            }
            Some(ended) = worker.sessions.join_next_with_id() => worker.end(ended),
            nudged = roster.nudged() => nudged.into_iter().for_each(|target| worker.add(target)),
        }
    }
    // Sessions that are cut off roll back, or are found committed by whoever comes next.
    worker.sessions.shutdown().await;
    worker.release().await;
    drop(working);
}

/// While it lives, the roster knows that a worker runs.
struct Working<'a>(&'a Roster);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.store(false, Ordering::Relaxed);
    }
}

struct Worker<'a> {
    roster: &'a Arc<Roster>,
    clock: Clock,
    random: Random,
    sessions: JoinSet<(Ending, Kept)>,
    running: HashMap<Id, Running>,
    /// Tasks that seal a partition.
    seals: HashMap<Id, Target>,
    /// That of all its claims: it has one session at a partition at a time.
    token: String,
    /// What is to be drained next, each once.
    due: VecDeque<Target>,
    pauses: Pauses,
    /// What sessions left to the next ones, where these go on.
    kept: BTreeMap<Target, Kept>,
    /// What retains records: since when nothing else is known, and when it was last looked at.
    visited: BTreeMap<Target, (Instant, Instant)>,
    /// What is to be sealed when nobody writes to it until then.
    sealing: BTreeMap<Target, Instant>,
    /// How many journals were there when it was last looked.
    known: usize,
}

struct Running {
    target: Target,
    journal: Arc<Journal>,
}

impl Worker<'_> {
    /// Gives back what sessions had claimed that were cut off, so that nobody waits for them.
    async fn release(&self) {
        let released = self.running.values().map(|Running { target, journal }| {
            let entries = &journal.entries;
            entries.backend.release(&entries.keys, target.partition, &self.token)
        });
        // If it cannot be given back it ends by itself.
        drop(join_all(released).await);
    }

    fn add(&mut self, target: Target) {
        if !self.pauses.is_waiting(&target, self.clock.now()) && !self.due.contains(&target) {
            self.due.push_back(target);
        }
    }

    /// Starts sessions for as many partitions as may run.
    fn start(&mut self) {
        let mut later = VecDeque::new();
        while let Some(target) = self.due.pop_front() {
            let Some(journal) = self.roster.journal(&target.prefix) else { continue };
            let running = || self.running.values();
            let is_running = running().any(|running| running.target == target);
            let at_store = running().filter(|r| Arc::ptr_eq(&r.journal.store, &journal.store));
            if is_running || at_store.count() >= SESSIONS_MAX {
                later.push_back(target);
                continue;
            }
            // None of a later change of their number, which this process does not know.
            let Some(journal) = journal.of(target.partition) else { continue };
            let batch = self.pauses.batch(&target, journal.settings.batch);
            let (token, kept) = (self.token.clone(), self.kept.get(&target).cloned());
            let running = Running { target, journal };
            let started =
                self.sessions.spawn(running.session(token, batch, kept.unwrap_or_default()));
            self.running.insert(started.id(), running);
        }
        self.due = later;
    }

    fn end(&mut self, ended: Result<(Id, (Ending, Kept)), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        if let Some(target) = self.seals.remove(&id) {
            if !matches!(ended, Ok((_, (Ending::Idle, _)))) {
                self.sealing.insert(target, self.clock.now() + SEAL_AFTER);
            }
            return;
        }
        let Some(Running { target, journal }) = self.running.remove(&id) else { return };
        let ending = match ended {
            Ok((_, (ending, kept))) => {
                self.kept.insert(target.clone(), kept);
                ending
            }
            Err(error) => self.panicked(&journal, &target, &error),
        };
        if matches!(ending, Ending::Idle | Ending::Retaining | Ending::Drained) {
            self.kept.remove(&target);
        }
        match ending {
            Ending::Failed(trouble) => self.wait(&journal, target, trouble),
            Ending::Waiting => self.wait_for_parents(&journal, target),
            Ending::Missing => {
                self.pauses.waits(target, REFERENCE_WAIT, self.clock.now(), &self.random);
            }
            Ending::Taken => {}
            Ending::Idle => self.recovered(&journal, &target),
            Ending::Retaining => {
                self.recovered(&journal, &target);
                let now = self.clock.now();
                self.visited.entry(target).or_insert((now, now)).0 = now;
            }
            Ending::Drained | Ending::More => {
                self.recovered(&journal, &target);
                let now = self.clock.now();
                if matches!(ending, Ending::More) {
                    self.add(target.clone());
                }
                self.sealing.insert(target.clone(), now + SEAL_AFTER);
                self.visited.insert(target, (now, now));
            }
        }
    }

    fn panicked(&self, journal: &Journal, target: &Target, error: &JoinError) -> Ending {
        journal.entries.counters.drain_panics.add(1);
        let (entity, partition) = (journal.name().to_owned(), target.partition);
        self.roster.listener.tell(&Event::Panicked { entity, partition });
        Ending::Failed(Trouble::Passing(format!("draining panicked: {error}")))
    }

    /// Tries a partition again after a while.
    fn wait(&mut self, journal: &Journal, target: Target, trouble: Trouble) {
        journal.entries.counters.drain_failures.add(1);
        let reason = trouble.reason().to_owned();
        tracing::debug!(reason, partition = target.partition, "draining failed");
        let news = self.roster.trouble(&target, Some(reason.clone()));
        if news && matches!(trouble, Trouble::Lasting(_)) {
            let (entity, partition) = (journal.name().to_owned(), target.partition);
            self.roster.listener.tell(&Event::Paused { entity, partition, reason });
        }
        let full = journal.settings.batch;
        self.pauses.failed(target, &trouble, full, self.clock.now(), &self.random);
    }

    /// A partition that failed before works.
    fn recovered(&mut self, journal: &Journal, target: &Target) {
        self.wake(target);
        self.roster.trouble(target, None);
        if self.pauses.succeeded(target, journal.settings.batch) {
            let (entity, partition) = (journal.name().to_owned(), target.partition);
            self.roster.listener.tell(&Event::Resumed { entity, partition });
        }
    }
}

impl Running {
    fn session(
        &self,
        token: String,
        batch: usize,
        kept: Kept,
    ) -> impl Future<Output = (Ending, Kept)> + use<> {
        let Self { target, journal } = self;
        let (partition, journal) = (target.partition, Arc::clone(journal));
        async move { Session::new(&journal, partition, token, batch).going_on(kept).run().await }
    }
}
