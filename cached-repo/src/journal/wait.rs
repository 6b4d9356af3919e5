//! Waiting until the store has what was journaled: one write, one entity, or everything.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Journal, Receipt,
    moved::{check_open, is_closed_behind},
};
use crate::{
    backend::{CacheError, journal::Meta},
    error::{Error, ErrorKind, Result},
    retry::Backoff,
    store::{Entry, Ledger, LetterKey, LetterState, Offset, StoreError},
};

const BACKOFF_FIRST: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(50);

impl Journal {
    /// Waits until the store has a write, wherever it is drained.
    pub(crate) async fn persisted(&self, receipt: &Receipt) -> Result<()> {
        let Receipt { partition, journal, epoch, version, .. } = receipt;
        let same = |meta: &Meta| meta.journal == *journal && meta.epoch == *epoch;
        let reached = self.reaches(*partition, *version, same, None).await;
        if reached.as_ref().is_err_and(|error| error.kind() != ErrorKind::Recovered) {
            return reached;
        }
        // Redis knows what was committed; the database may have been restored since.
        let offset = self.offset(*partition).await.map_err(StoreError::into_error)?;
        let has = |offset: Offset| {
            let in_epoch = offset.epoch == *epoch && offset.last_id >= *version;
            offset.journal == *journal
                && (reached.is_ok() && in_epoch || is_closed_behind(&offset, *epoch, *version))
        };
        if !offset.is_some_and(has) {
            return Err(recovered());
        }
        let key = LetterKey { entity: self.name(), partition: *partition, version: *version };
        let letters = self.store.ledger(Ledger::Letter(key)).await;
        let Entry::Letters(letters) = letters.map_err(StoreError::into_error)? else {
            return Err(Error::new(ErrorKind::Internal, "the store did not answer dead letters"));
        };
        match letters.first() {
            Some(letter) if letter.state != LetterState::Replayed => Err(Error::new(
                ErrorKind::DeadLettered,
                format!(
                    "the store refused the write, which is a dead letter now: {}",
                    letter.error
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Waits until the store has everything that was journaled in a partition before the call.
    pub(crate) async fn flush(&self, partition: u32, deadline: Option<Instant>) -> Result<()> {
        let meta = self.meta(partition).await.map_err(CacheError::into_error)?;
        if !meta.is_at_home() || meta.sealed {
            let offset = self.offset(partition).await.map_err(StoreError::into_error)?;
            offset.as_ref().map_or(Ok(()), check_open)?;
            // What an incident lost is noticed here, and not waited for.
            if !meta.is_at_home() && offset.is_some_and(|offset| !offset.sealed) {
                self.recover(partition).await?;
            }
        }
        let meta = self.meta(partition).await.map_err(CacheError::into_error)?;
        if meta.backlog() == 0 {
            return Ok(());
        }
        let same = |now: &Meta| now.journal == meta.journal && now.epoch == meta.epoch;
        self.reaches(partition, meta.clock, same, deadline).await
    }

    /// Waits until the position has reached a version, in the same journal and epoch.
    async fn reaches(
        &self,
        partition: u32,
        version: u64,
        same: impl Fn(&Meta) -> bool,
        deadline: Option<Instant>,
    ) -> Result<()> {
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        loop {
            match self.meta(partition).await {
                Ok(meta) if !same(&meta) || !meta.is_at_home() => {
                    return Err(recovered());
                }
                Ok(meta) if meta.acked >= version || meta.backlog() == 0 => return Ok(()),
                Ok(_) if self.roster.is_abandoned() => return Err(abandoned()),
                Ok(_) => self.nudge(partition),
                // A moment's outage is no reason to give up waiting.
                Err(error) if error.is_ambiguous() || error.is_retryable() => {}
                Err(error) => return Err(error.into_error()),
            }
            if deadline.is_some_and(|deadline| self.entries.clock.now() >= deadline) {
                return Err(Error::new(
                    ErrorKind::Dirty,
                    "journaled writes of this partition are not in the store yet: see whether a worker \
                     runs and whether the store takes writes (`Cache::health`)",
                ));
            }
            sleep(backoff.wait(&self.entries.random)).await;
        }
    }
}

fn abandoned() -> Error {
    Error::new(
        ErrorKind::Dirty,
        "the write is journaled and not in the store yet, and this process does not drain any more: the last \
         handle of the cache was dropped, or the tokio runtime on which its repositories were built has \
         ended; keep the cache, or build a repository on the runtime that is in use",
    )
    .retryable()
}

fn recovered() -> Error {
    Error::new(
        ErrorKind::Recovered,
        "the journal or the database was recovered since: whether the store has the write is not known; \
         read the entity to find out",
    )
}
