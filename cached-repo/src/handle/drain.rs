//! What a [`Cache`] keeps and does for its repositories: whose a prefix is, the worker of their journals,
//! health, shutdown.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::{
    Cache,
    started::{Started, Working},
};
use crate::{
    backend::CacheError,
    builder::stranger,
    error::{Error, Result},
    journal::{Copying, Journal, Listener, Roster},
    store::{Batch, Journaled, Position, Refused, StoreError},
    worker::{self, DeadLetters},
};

/// How often a shutdown looks whether everything is drained.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a cache's worker and probe have to do. When the last handle is gone, they end.
#[derive(Debug)]
pub(crate) struct Duties {
    pub(crate) roster: Arc<Roster>,
    /// Whether this process drains by itself.
    embedded: bool,
    worker: Started,
    probe: Started,
    /// The struct of each prefix.
    owners: Mutex<HashMap<String, &'static str>>,
    #[cfg(feature = "testing")]
    pub(super) entries: super::kit::AllEntries,
}

impl Duties {
    pub(super) fn new(listener: Listener, embedded: bool) -> Self {
        Self {
            roster: Roster::new(listener),
            embedded,
            worker: Started::default(),
            probe: Started::default(),
            owners: Mutex::default(),
            #[cfg(feature = "testing")]
            entries: super::kit::AllEntries::default(),
        }
    }

    /// Refuses a second struct with the same keys: each would read what the other one wrote.
    pub(crate) fn own(&self, prefix: &str, owner: &'static str) -> Result<()> {
        // The map is valid whenever the lock is free.
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        match *owners.entry(prefix.to_owned()).or_insert(owner) {
            first if first == owner => Ok(()),
            first => Err(Error::configuration(format!(
                "`{owner}` and `{first}` have the same prefix `{prefix}`, so they would read each \
                 other's entries: give one of them another prefix, or its cache another namespace"
            ))),
        }
    }
}

impl Drop for Duties {
    fn drop(&mut self) {
        self.roster.stop();
        if self.embedded {
            self.roster.abandon();
        }
        self.roster.clear();
    }
}

/// What a shutdown left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// The stores have everything that was journaled.
    Drained,
    /// So many journaled writes are not in their store yet. They stay in Redis, and other processes, or
    /// this one when it starts again, drain them.
    Left(u64),
}

/// Whether what is written is safe and on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing is wrong that this process knows of.
    Ok,
    /// Everything works, but for what these sentences say.
    Degraded(Vec<String>),
    /// Redis cannot be used, or nothing may be journaled.
    Down(Vec<String>),
}

impl Cache {
    /// Starts to drain a journal and to copy what is to be copied, and to watch the server where it is
    /// written.
    pub(crate) fn enlist(&self, journal: &Arc<Journal>, copying: Option<&Arc<Copying>>) {
        let Duties { roster, embedded, worker, probe, .. } = &*self.duties;
        roster.enlist(journal);
        if let Some(copying) = copying {
            roster.enlist_copying(copying);
        }
        if *embedded
            && !roster.is_stopped()
            && let Some(running) = worker.start()
        {
            // From now on: a shutdown may come before the worker's first step.
            let working = Working::new(roster, running);
            let draining = worker::supervise(Arc::clone(roster), self.clock, self.random.clone());
            tokio::spawn(async move {
                draining.await;
                drop(working);
            });
        }
        if journal.settings.written
            && let Some(running) = probe.start()
        {
            let watching = worker::watch(Arc::clone(&self.backend), Arc::clone(roster));
            tokio::spawn(async move {
                watching.await;
                drop(running);
            });
        }
    }

    /// Drains the journals of this cache's repositories on the calling task, until
    /// [`shutdown`](Self::shutdown), or until the last handle of the cache and its repositories is
    /// dropped. For a process that does nothing else: build the repositories on a cache with
    /// [`no_worker`](super::CacheBuilder::no_worker), then await this. Any number of processes may do so.
    ///
    /// Dropping the future stops draining; nothing is lost.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + 'static {
        // Without a handle of its own, so that the last one can be dropped.
        let roster = Arc::clone(&self.duties.roster);
        let running = self.duties.worker.start();
        let draining = worker::supervise(roster, self.clock, self.random.clone());
        async move {
            draining.await;
            drop(running);
        }
    }

    /// The journaled writes that stores refused.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(Arc::clone(&self.duties.roster))
    }

    /// Waits until everything that was journaled before the call is in the stores, but no longer than
    /// `deadline`, and stops draining in this process. Nothing is lost either way. Where this process does
    /// not drain, it only tells what is left.
    ///
    /// What is journaled later, here or elsewhere, is for others to drain. Where there are none, stop
    /// writing before, and wait for no receipt and no flush afterwards: they would wait for ever.
    ///
    /// # Errors
    ///
    /// `CacheUnavailable` if Redis cannot be asked what is left. This process stops draining anyway.
    pub async fn shutdown(&self, deadline: Duration) -> Result<Shutdown> {
        let roster = &self.duties.roster;
        let journals = roster.journals();
        let mut goals = None;
        let drained = async {
            while roster.working.load(Ordering::Relaxed) {
                match left(&mut goals, &journals).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "what is left to drain is not known yet"),
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        // Whether it was in time is seen below.
        drop(timeout(deadline, drained).await);
        let left = left(&mut goals, &journals).await;
        roster.stop();
        match left.map_err(|e| e.into_error().during("shutdown", "the cache"))? {
            0 => Ok(Shutdown::Drained),
            left => Ok(Shutdown::Left(left)),
        }
    }

    /// How many journaled writes of this cache's entities are not in their stores yet, whoever journaled
    /// them.
    ///
    /// # Errors
    ///
    /// `CacheUnavailable` if Redis does not answer.
    pub async fn backlog(&self) -> Result<u64> {
        let left = left(&mut None, &self.duties.roster.journals()).await;
        left.map_err(|e| e.into_error().during("backlog", "the cache"))
    }

    /// Whether what is written is safe and on its way: asks Redis, and tells what the worker of this
    /// process has met.
    pub async fn health(&self) -> Health {
        let roster = &self.duties.roster;
        if let Err(error) = worker::probe(&*self.backend, roster).await {
            return Health::Down(vec![format!("Redis: {error}")]);
        }
        let is_written = roster.journals().iter().any(|journal| journal.settings.written);
        if let Some(reason) = roster.suspension().filter(|_| is_written) {
            return Health::Down(vec![reason]);
        }
        let mut reasons = roster.troubles();
        if is_written {
            reasons.extend(roster.warnings());
        }
        for journal in roster.journals() {
            let strangers = journal.strangers().await.unwrap_or_default();
            reasons.extend(strangers.iter().map(|parent| stranger(journal.prefix(), parent)));
            reasons.extend(journal.contradiction().await.unwrap_or_default());
        }
        if let Ok(left @ 1..) = left(&mut None, &roster.journals()).await
            && !roster.working.load(Ordering::Relaxed)
        {
            reasons.push(format!(
                "{left} journaled writes are not drained, and this process does not drain: see whether \
                 another one does"
            ));
        }
        if reasons.is_empty() { Health::Ok } else { Health::Degraded(reasons) }
    }

    /// Goes on draining an entity (its prefix) whose database was restored to a state that is older than
    /// what its journal retained ([`Event::JournalGap`](crate::Event::JournalGap)). The writes in between
    /// are given up: the database does not have them, and the journal no longer does.
    ///
    /// # Errors
    ///
    /// `Configuration` if this cache has no such repository; errors of Redis and the store.
    pub async fn skip_gap(&self, entity: &str) -> Result<()> {
        // By the prefix, or by the name that events have.
        let prefix = entity.rsplit_once(':').map_or(entity, |(_, prefix)| prefix);
        let journal = self.duties.roster.journal(prefix).ok_or_else(|| {
            Error::configuration(format!(
                "this cache has no repository of `{entity}` that journals"
            ))
        })?;
        for partition in journal.partitions() {
            let skipped = skip(&journal, partition).await;
            skipped.map_err(|error| error.during("skip_gap", entity))?;
            journal.nudge(partition);
        }
        Ok(())
    }
}

async fn skip(journal: &Journal, partition: u32) -> Result<()> {
    let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
    let offset = journal.offset(partition).await.map_err(StoreError::into_error)?;
    let Some(offset) = offset.filter(|offset| meta.trimmed_to > offset.last_id) else {
        return Ok(());
    };
    journal.check_identity(&meta, &offset)?;
    let journaled = Journaled {
        position: Position {
            entity: journal.name(),
            partition,
            journal: &offset.journal,
            epoch: meta.epoch,
            from: offset.last_id,
            to: meta.trimmed_to,
        },
        sources: &[],
        unreadable: &[],
        coalesced: 0,
        refused: Refused::Fail,
    };
    let deadline = journal.entries.clock.now() + journal.settings.store_timeout;
    let batch = Batch::new(&[], deadline).journaled(journaled);
    let skipped = journal.store.apply(&journal.entries.schema, batch).await;
    skipped.map_err(StoreError::into_error)?;
    // Receipts of what was given up are of another epoch from now on.
    journal.raise(partition, &meta, offset.epoch).await?;
    journal.recover(partition).await
}

/// A partition, and the version up to which it is to be drained.
struct Goal {
    journal: Arc<Journal>,
    partition: u32,
    version: u64,
}

/// How many records are not drained where the goals are not reached. The goals are set the first time
/// that Redis answers.
async fn left(goals: &mut Option<Vec<Goal>>, journals: &[Arc<Journal>]) -> Result<u64, CacheError> {
    let goals = match goals {
        Some(goals) => goals,
        None => goals.insert(backlog(journals).await?),
    };
    let metas = goals.iter().map(|goal| goal.journal.meta(goal.partition));
    let metas = try_join_all(metas).await?;
    let missed = metas.iter().zip(goals).filter(|(meta, goal)| meta.acked < goal.version);
    Ok(missed.map(|(meta, _)| meta.backlog()).sum())
}

/// The partitions with something to drain.
async fn backlog(journals: &[Arc<Journal>]) -> Result<Vec<Goal>, CacheError> {
    let mut goals = Vec::new();
    for journal in journals {
        let entries = &journal.entries;
        let backlog = entries.backend.backlog(&entries.keys).await?;
        for (_, partition, _) in backlog.iter().filter(|(prefix, ..)| prefix == journal.prefix()) {
            let (journal, partition) = (Arc::clone(journal), *partition);
            let version = journal.meta(partition).await?.clock;
            goals.push(Goal { journal, partition, version });
        }
    }
    Ok(goals)
}
