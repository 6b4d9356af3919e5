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
        for _ in 0..TRIES_MAX {
            let known = self.offset(partition).await?;
            if known.as_ref().is_some_and(|offset| offset.sealed) {
                return Err(self.why_sealed(partition).await);
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
        Err(busy())
    }

    /// The epoch of the position; 0 before there is one.
    pub(crate) async fn epoch(&self, partition: u32) -> Result<u64> {
        Ok(self.offset(partition).await?.map_or(0, |offset| offset.epoch))
    }

    /// Keeps every copier from its commit that has read the position before, and opens the position: if it
    /// was not raised since this epoch. Answers the position.
    pub(crate) async fn raise(&self, partition: u32, seen: u64) -> Result<Option<CopyPosition>> {
        self.raise_above(partition, seen, 0).await
    }

    /// The same, and the epoch is above `epoch_min` then.
    pub(crate) async fn raise_above(
        &self,
        partition: u32,
        seen: u64,
        epoch_min: u64,
    ) -> Result<Option<CopyPosition>> {
        let (entity, journal, home) = (&*self.ledger, JOURNAL, "");
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

    /// Where the store says that it keeps a partition which Redis has under `redis_only`: which of the two
    /// came back in an older state. `None` if the store does not say so.
    ///
    /// Each export seals the position in a higher epoch than the one that Redis noted when `redis_only` took
    /// the partition over, and each import opens it in a higher one than it was sealed in.
    pub(crate) async fn older(&self, partition: u32) -> Result<Option<Older>> {
        let Some(Offset { epoch, sealed: true, .. }) = self.offset(partition).await? else {
            return Ok(None);
        };
        let meta = self.journal.meta(partition).await.map_err(CacheError::into_error)?;
        let noted = meta.copies_epoch;
        Ok(Some(if epoch > noted { Older::Redis } else { Older::Store { sealed: epoch, noted } }))
    }

    /// Why nothing is copied from a partition whose position is sealed.
    pub(crate) async fn why_sealed(&self, partition: u32) -> Error {
        match self.older(partition).await {
            Ok(Some(Older::Redis)) => fell_back(),
            Ok(Some(Older::Store { .. })) => restored(),
            Ok(None) => busy(),
            Err(error) => error,
        }
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

/// Which of the two came back in an older state than the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Older {
    /// In one from before the export that the store knows of.
    Redis,
    /// In one from before the import that Redis knows of: Redis has the only copies.
    Store {
        /// The epoch of its position.
        sealed: u64,
        /// The epoch that Redis noted.
        noted: u64,
    },
}

/// Why nothing is copied.
pub(crate) fn exported() -> Error {
    Error::configuration(
        "the store keeps this entity, as it was exported: use a strategy with a store, or \
         `Repository::import` it",
    )
}

/// The same where Redis has it still, or again.
pub(crate) fn fell_back() -> Error {
    Error::configuration(
        "the store keeps this entity, as it was exported, and Redis came back in a state from before that: \
         what `redis_only` writes there is written to old entities, and is not copied. Use a strategy with \
         a store, and call `Repository::export` once more, which removes these entities from Redis",
    )
}

/// Why nothing is copied where the store does not know that `redis_only` took the entity over.
fn restored() -> Error {
    Error::configuration(
        "the database came back in a state from before this entity was imported, and Redis has the only \
         copies. Call `Repository::import`, behind which the next snapshot copies everything anew, or \
         `Repository::export`, which copies everything itself",
    )
}

/// Others raise the position again and again.
pub(crate) fn busy() -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        "other processes copy or move this entity at the same time",
    )
}

/// How often a position is looked up, or raised, that others have raised meanwhile.
pub(crate) const TRIES_MAX: usize = 10;
/// Changes of a batch at most.
const BATCH_MAX: usize = 500;
/// The identity of a position that only counts.
const JOURNAL: &str = "snapshot";
