//! Waiting until writes are as durable as the repository was told.

use std::{collections::BTreeSet, time::Duration};

use super::{Journal, Receipt};
use crate::{
    backend::journal::{Confirmed, Mark},
    cache::Entries,
    entity::Durability,
    error::{Error, ErrorKind, Outcome, Result},
    retry::Backoff,
};

const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(100);

/// How durable a write is before it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DurabilitySettings {
    pub(crate) level: Durability,
    /// How long it is waited for.
    pub(crate) longest: Duration,
    /// Whether the user says that the server syncs with every write, so that nobody asks.
    pub(crate) is_asserted: bool,
}

/// What Redis has confirmed of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) fsynced: bool,
    pub(crate) replicas: u32,
}

impl Journal {
    /// Waits until these writes are as durable as the settings say.
    pub(crate) async fn confirm(&self, receipts: &[Receipt]) -> Result<Reached> {
        let marks = receipts.iter().map(|receipt| Mark::Journal {
            partition: receipt.partition,
            journal: &receipt.journal,
            epoch: receipt.epoch,
        });
        let marks: BTreeSet<Mark<'_>> = marks.collect();
        let confirmed = self.settings.durability.confirm(&self.entries, marks, "journaled").await;
        let tokens = || receipts.iter().map(Receipt::to_string).collect();
        match confirmed.map_err(|error| error.journaled_as(tokens()))? {
            Some(reached) => Ok(reached),
            None => Err(recovered().journaled_as(tokens())),
        }
    }
}

impl DurabilitySettings {
    /// Whether Redis is asked for anything.
    pub(crate) fn asks(self) -> bool {
        match self.level {
            Durability::Memory => false,
            Durability::Fsync => !self.is_asserted,
            Durability::Replicated(_) => true,
        }
    }

    /// Waits until the writes that were made there are that durable. For messages: what they are already.
    /// `None` if nobody knows, as another server answers, or the journal was recovered.
    pub(crate) async fn confirm(
        self,
        entries: &Entries,
        marks: BTreeSet<Mark<'_>>,
        already: &'static str,
    ) -> Result<Option<Reached>> {
        // Without a mark everything was written through, and is in the store.
        if marks.is_empty() || self.level == Durability::Memory {
            return Ok(Some(Reached::default()));
        }
        if !self.asks() {
            return Ok(Some(Reached { fsynced: true, replicas: 0 }));
        }
        let marks: Vec<Mark<'_>> = marks.into_iter().collect();
        let Confirmed::Here { fsynced, replicas } = self.ask(entries, &marks, already).await?
        else {
            return Ok(None);
        };
        let reached = Reached { fsynced, replicas };
        match is_met(self.level, reached) {
            true => Ok(Some(reached)),
            false => Err(self.unmet(reached, already).outcome_is(Outcome::Applied)),
        }
    }

    /// Asks until there is an answer.
    async fn ask(
        self,
        entries: &Entries,
        marks: &[Mark<'_>],
        already: &'static str,
    ) -> Result<Confirmed> {
        let Self { level, longest, .. } = self;
        let until = entries.clock.now() + longest;
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        loop {
            let left = until.saturating_duration_since(entries.clock.now());
            let asking = entries.backend.confirm(&entries.keys, marks, level, left);
            let error = match asking.await {
                // Whoever asked for several may have been less patient.
                Ok(Confirmed::Here { fsynced, replicas })
                    if !is_met(level, Reached { fsynced, replicas })
                        && entries.clock.now() < until =>
                {
                    tokio::time::sleep(backoff.wait(&entries.random)).await;
                    continue;
                }
                Ok(confirmed) => return Ok(confirmed),
                Err(error) => error,
            };
            let wait = backoff.wait(&entries.random);
            if !error.is_retryable() || entries.clock.now() + wait >= until {
                let message =
                    format!("the write is {already}, and Redis does not say how durable it is");
                let unknown = Error::new(ErrorKind::DurabilityNotMet, message);
                return Err(unknown.outcome_is(Outcome::Unknown).caused_by(error.to_string()));
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn unmet(self, reached: Reached, already: &str) -> Error {
        let longest = self.longest;
        let message = match self.level {
            Durability::Replicated(wanted) => format!(
                "the write is {already}, and {} of {wanted} replicas had it after {longest:?}: see whether \
                 they are connected (INFO replication), or raise `durability_timeout`",
                reached.replicas
            ),
            _ => format!(
                "the write is {already}, and was not on the disk of Redis after {longest:?}: set \
                 appendfsync always on a Redis before 7.2, everysec or always on a newer one, or raise \
                 `durability_timeout`"
            ),
        };
        Error::new(ErrorKind::DurabilityNotMet, message)
    }
}

fn is_met(level: Durability, reached: Reached) -> bool {
    match level {
        Durability::Memory => true,
        Durability::Fsync => reached.fsynced,
        Durability::Replicated(wanted) => reached.replicas >= wanted,
    }
}

fn recovered() -> Error {
    let message = "the journal was recovered before the write was as durable as it was to be: read the \
                   entity";
    Error::new(ErrorKind::Recovered, message).outcome_is(Outcome::Unknown)
}
