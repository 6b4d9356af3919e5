//! The worker: carries every journal of a cache to its store.
//!
//! It finds the partitions with something to drain from one key in Redis, drains several of them at a
//! time, and asks the store for nothing while there is nothing to do.

use std::{
    collections::{HashMap, VecDeque},
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
    key::Topology,
};

mod acknowledge;
mod copy;
mod copy_items;
mod dead_letters;
mod drain;
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
mod retire;
mod seal;
mod snapshot;
mod supervise;
mod survey;

pub use dead_letters::DeadLetters;
use drain::Session;
use ending::{Ending, Trouble};
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
/// A partition that was drained is looked at again so often, for as long as its records are retained:
/// the store may have been restored to an older state.
const REVISIT_INTERVAL: Duration = Duration::from_secs(10);
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
        visited: HashMap::new(),
        sealing: HashMap::new(),
        known: 0,
    };
    let mut poll = clock.now();
    loop {
        worker.start();
        tokio::select! {
            biased;
            () = roster.stopped() => break,
            Some(ended) = worker.sessions.join_next_with_id() => worker.end(ended),
            nudged = roster.nudged() => nudged.into_iter().for_each(|target| worker.add(target)),
            () = sleep_until(poll) => {
                worker.poll().await;
                poll = clock.now() + POLL_INTERVAL;
            }
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
    sessions: JoinSet<Ending>,
    running: HashMap<Id, Running>,
    /// Tasks that seal a partition.
    seals: HashMap<Id, Target>,
    /// That of all its claims: it has one session at a partition at a time.
    token: String,
    /// What is to be drained next, each once.
    due: VecDeque<Target>,
    pauses: Pauses,
    /// What retains records: since when nothing else is known, and when it was last looked at.
    visited: HashMap<Target, (Instant, Instant)>,
    /// What is to be sealed when nobody writes to it until then.
    sealing: HashMap<Target, Instant>,
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

    /// Looks what all processes have journaled, and what is to be looked at again.
    async fn poll(&mut self) {
        let journals = self.roster.journals();
        // On one server one key says it for all entities of the namespace.
        let asked = match journals.first().map(|journal| journal.entries.backend.topology()) {
            Some(Topology::Standalone) => &journals[..1],
            _ => &journals[..],
        };
        for journal in asked {
            let entries = &journal.entries;
            match entries.backend.backlog(&entries.keys).await {
                Ok(backlog) => {
                    for (prefix, partition, _) in backlog {
                        self.add(Target { prefix, partition });
                    }
                }
                Err(error) => tracing::debug!(%error, "the backlog cannot be read"),
            }
        }
        self.greet(&journals);
        self.pauses.targets().into_iter().for_each(|target| self.add(target));
        self.revisit();
        self.seal(&journals);
    }

    /// Looks again at what was drained: the store may have been restored to before that.
    fn revisit(&mut self) {
        let now = self.clock.now();
        self.visited.retain(|_, (drained, _)| now - *drained < 2 * acknowledge::RETENTION);
        let mut stale = Vec::new();
        for (target, (_, seen)) in &mut self.visited {
            if now - *seen >= REVISIT_INTERVAL {
                *seen = now;
                stale.push(target.clone());
            }
        }
        stale.into_iter().for_each(|target| self.add(target));
    }

    /// Looks at every partition of a new journal once: the store may have been restored while nobody
    /// was there.
    fn greet(&mut self, journals: &[Arc<Journal>]) {
        let until = self.clock.now() + SEAL_AFTER;
        for journal in &journals[self.known.min(journals.len())..] {
            for target in journal.partitions().map(|partition| journal.target(partition)) {
                self.sealing.insert(target.clone(), until);
                self.add(target);
            }
            let earlier = 0..journal.partitions().start;
            earlier.for_each(|partition| self.add(journal.target(partition)));
        }
        self.known = journals.len();
    }

    /// Seals what is not written any more, according to the strategies of this process, and was not
    /// for a while, whatever those of others say.
    fn seal(&mut self, journals: &[Arc<Journal>]) {
        let now = self.clock.now();
        let due: Vec<_> = self.sealing.extract_if(|_, until| *until <= now).collect();
        for (target, _) in due {
            let journal = journals.iter().find(|journal| journal.prefix() == target.prefix);
            if let Some(journal) = journal.filter(|journal| !journal.settings.written) {
                let sealing = seal::seal(Arc::clone(journal), target.partition);
                self.seals.insert(self.sessions.spawn(sealing).id(), target);
            }
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
            let session =
                session(Arc::clone(&journal), target.partition, self.token.clone(), batch);
            let started = self.sessions.spawn(session);
            self.running.insert(started.id(), Running { target, journal });
        }
        self.due = later;
    }

    fn end(&mut self, ended: Result<(Id, Ending), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        if let Some(target) = self.seals.remove(&id) {
            if !matches!(ended, Ok((_, Ending::Idle))) {
                self.sealing.insert(target, self.clock.now() + SEAL_AFTER);
            }
            return;
        }
        let Some(Running { target, journal }) = self.running.remove(&id) else { return };
        let ending =
            ended.map_or_else(|error| self.panicked(&journal, &target, &error), |(_, e)| e);
        match ending {
            Ending::Failed(trouble) => self.wait(&journal, target, trouble),
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
        self.roster.trouble(target, None);
        if self.pauses.succeeded(target, journal.settings.batch) {
            let (entity, partition) = (journal.name().to_owned(), target.partition);
            self.roster.listener.tell(&Event::Resumed { entity, partition });
        }
    }
}

async fn session(journal: Arc<Journal>, partition: u32, token: String, batch: usize) -> Ending {
    Session::new(&journal, partition, token, batch).run().await
}
