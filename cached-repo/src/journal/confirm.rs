//! Waiting until appended writes are as durable as the repository was told.

use std::{collections::BTreeSet, time::Duration};

use super::{Journal, Receipt};
use crate::{
    backend::journal::{Confirmed, Mark},
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
        let DurabilitySettings { level, longest, is_asserted } = self.settings.durability;
        match level {
            // What was written through is in the store.
            _ if receipts.is_empty() => return Ok(Reached::default()),
            Durability::Memory => return Ok(Reached::default()),
            Durability::Fsync if is_asserted => return Ok(Reached { fsynced: true, replicas: 0 }),
            _ => {}
        }
        let places: BTreeSet<_> =
            receipts.iter().map(|r| (r.partition, r.journal.as_str(), r.epoch)).collect();
        let mark = |(partition, journal, epoch)| Mark { partition, journal, epoch };
        let marks: Vec<Mark<'_>> = places.into_iter().map(mark).collect();
        let tokens = || receipts.iter().map(Receipt::to_string).collect();
        let confirmed = self.ask(&marks, level, longest).await;
        match confirmed.map_err(|error| error.journaled_as(tokens()))? {
            Confirmed::Here { fsynced, replicas } => {
                let reached = Reached { fsynced, replicas };
                let unmet = || {
                    let error = unmet(level, reached, longest).outcome_is(Outcome::Applied);
                    error.journaled_as(tokens())
                };
                if is_met(level, reached) { Ok(reached) } else { Err(unmet()) }
            }
            Confirmed::Elsewhere => Err(recovered().journaled_as(tokens())),
        }
    }

    /// Asks until there is an answer.
    async fn ask(
        &self,
        marks: &[Mark<'_>],
        level: Durability,
        longest: Duration,
    ) -> Result<Confirmed> {
        let entries = &self.entries;
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
                let message = "Redis has journaled the write, and does not say how durable it is";
                let unknown = Error::new(ErrorKind::DurabilityNotMet, message);
                return Err(unknown.outcome_is(Outcome::Unknown).caused_by(error.to_string()));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn is_met(level: Durability, reached: Reached) -> bool {
    match level {
        Durability::Memory => true,
        Durability::Fsync => reached.fsynced,
        Durability::Replicated(wanted) => reached.replicas >= wanted,
    }
}

fn unmet(level: Durability, reached: Reached, longest: Duration) -> Error {
    let message = match level {
        Durability::Replicated(wanted) => format!(
            "the write is journaled, and {} of {wanted} replicas had it after {longest:?}: see whether \
             they are connected (INFO replication), or raise `durability_timeout`",
            reached.replicas
        ),
        _ => format!(
            "the write is journaled, and was not on the disk of Redis after {longest:?}: set \
             appendfsync always on a Redis before 7.2, everysec or always on a newer one, or raise \
             `durability_timeout`"
        ),
    };
    Error::new(ErrorKind::DurabilityNotMet, message)
}

fn recovered() -> Error {
    let message = "the journal was recovered before the write was as durable as it was to be: read the \
                   entity";
    Error::new(ErrorKind::Recovered, message).outcome_is(Outcome::Unknown)
}
