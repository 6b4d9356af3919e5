//! The copying of one entity that `redis_only` keeps: what its worker, its repositories and the store know
//! of it.
//!
//! The store has a position for each partition that only counts copies: a copier reads it before it reads
//! entries, and moves it in the transaction that writes them. So what is written was read later than all
//! that was written before, whoever was paused in between. The position is sealed while the store keeps the
//! entity: then nothing that comes back from an older state of Redis is copied over newer rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Journal;
use crate::{
    backend::{
        CacheError, Standing,
        snapshot::{Turn, Turned},
    },
    error::{Error, ErrorKind, Result},
    store::{Entry, Ledger, Offset, StoreError},
};

/// The copying of one entity.
#[derive(Debug)]
pub(crate) struct Copying {
    /// Nothing is journaled under `redis_only`: it is for what others have journaled, and for its fences.
    pub(crate) journal: Arc<Journal>,
    /// How often; `None`: when somebody asks.
    pub(crate) interval: Option<Duration>,
    ledger: String,
    /// Changes of a batch: what the store does not manage in its time it may manage in parts.
    batch: AtomicUsize,
}

/// Where a copier stands at a partition.
#[derive(Clone, Debug)]
pub(crate) struct CopyPosition {
    pub(crate) journal: String,
    pub(crate) epoch: u64,
    pub(crate) at: u64,
}

impl Copying {
    pub(crate) fn new(journal: Arc<Journal>, interval: Option<Duration>) -> Self {
        let ledger = journal.entries.keys.snapshot_ledger();
        Self { journal, interval, ledger, batch: AtomicUsize::new(BATCH_MAX) }
    }

    pub(crate) fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// Halves the batch where one was not copied, and raises it slowly where one was.
    pub(crate) fn adapt(&self, is_copied: bool) {
        let batch = self.batch();
        let batch = if is_copied { batch + batch / 4 + 1 } else { batch / 2 };
        self.batch.store(batch.clamp(1, BATCH_MAX), Ordering::Relaxed);
    }

    /// What the store calls it.
    pub(crate) fn ledger(&self) -> &str {
        &self.ledger
    }

    pub(crate) fn prefix(&self) -> &str {
        self.journal.prefix()
    }

    pub(crate) async fn standing(&self, partition: u32) -> Result<Standing> {
        Ok(self.journal.meta(partition).await.map_err(CacheError::into_error)?.standing)
    }

    pub(crate) async fn turn(&self, partition: u32, turn: Turn<'_>) -> Result<Turned> {
        let entries = &self.journal.entries;
        let turned = entries.backend.turn(&entries.keys, partition, turn).await;
        turned.map_err(CacheError::into_error)
    }

    /// Keeps every store-first write from its commit that began before `redis_only` took the partition
    /// over.
    pub(crate) async fn fence(&self, partition: u32) -> Result<()> {
        let journal = &self.journal;
        let before = journal.offset(partition).await.map_err(StoreError::into_error)?;
        let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
        journal.check_layout(before.as_ref()).await?;
        if let Some(before) = &before {
            journal.check_identity(&meta, before)?;
        }
        // If it is raised by somebody else, it is raised.
        journal.raise(partition, &meta, before.map_or(0, |before| before.epoch)).await?;
        journal.recover(partition).await
    }

    /// Where copying goes on, which begins where there is nothing. `None` if the partition is not there any
    /// more where it was seen.
    pub(crate) async fn position(
        &self,
        partition: u32,
        seen: &Standing,
    ) -> Result<Option<CopyPosition>> {
        loop {
            let known = self.offset(partition).await?;
            if known.as_ref().is_some_and(|offset| offset.sealed) {
                return Err(exported());
            }
            let epoch = match known {
                Some(Offset { journal, epoch, settled, last_id, .. }) if epoch == settled => {
                    return Ok(Some(CopyPosition { journal, epoch, at: last_id }));
                }
                known => known.map_or(0, |offset| offset.epoch),
            };
            // In this order: whoever turns the partition over later raises the position behind that, so that
            // this opens nothing that an export seals.
            if self.standing(partition).await? != *seen {
                return Ok(None);
            }
            if let Some(position) = self.raise(partition, epoch).await? {
                return Ok(Some(position));
            }
        }
    }

    /// The epoch of the position; 0 before there is one.
    pub(crate) async fn epoch(&self, partition: u32) -> Result<u64> {
        Ok(self.offset(partition).await?.map_or(0, |offset| offset.epoch))
    }

    /// Keeps every copier from its commit that has read the position before, and opens the position: if it
    /// was not raised since this epoch. Answers the position.
    pub(crate) async fn raise(&self, partition: u32, seen: u64) -> Result<Option<CopyPosition>> {
        let (entity, journal, home, epoch_min) = (&*self.ledger, JOURNAL, "", 0);
        let recover = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
        let Entry::Offset(Some(raised)) = self.ask(recover).await? else { return Ok(None) };
        let Offset { journal, epoch, last_id, .. } = raised;
        self.ask(Ledger::Settle { entity, partition, epoch }).await?;
        Ok(Some(CopyPosition { journal, epoch, at: last_id }))
    }

    /// Remembers in the store that it keeps the partition: nothing is copied any more. False if the position
    /// is another one by now.
    pub(crate) async fn seal(&self, partition: u32, position: &CopyPosition) -> Result<bool> {
        let (entity, epoch, last_id) = (&*self.ledger, position.epoch, position.at);
        let sealed = self.ask(Ledger::Seal { entity, partition, epoch, last_id }).await?;
        Ok(sealed == Entry::Changed(true))
    }

    /// Whether the store says that it keeps the partition.
    pub(crate) async fn is_sealed(&self, partition: u32) -> Result<bool> {
        Ok(self.offset(partition).await?.is_some_and(|offset| offset.sealed))
    }

    async fn offset(&self, partition: u32) -> Result<Option<Offset>> {
        match self.ask(Ledger::Offset { entity: &self.ledger, partition }).await? {
            Entry::Offset(offset) => Ok(offset),
            _ => Err(Error::new(ErrorKind::Internal, "the store did not answer an offset")),
        }
    }

    async fn ask(&self, operation: Ledger<'_>) -> Result<Entry> {
        self.journal.store.ledger(operation).await.map_err(StoreError::into_error)
    }
}

/// Why nothing is copied.
pub(crate) fn exported() -> Error {
    Error::configuration(
        "the store keeps this entity, as it was exported: use a strategy with a store, or \
         `Repository::import` it. If Redis came back in a state from before the export, call \
         `Repository::export` again",
    )
}

/// Changes of a batch at most.
const BATCH_MAX: usize = 500;
/// The identity of a position that only counts.
const JOURNAL: &str = "snapshot";
