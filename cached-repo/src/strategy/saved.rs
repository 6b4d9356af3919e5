//! The receipt of a write: what "ok" meant.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    journal::{Journal, Reached, Receipt},
};

/// What a write that succeeded has reached.
#[derive(Clone, Debug)]
pub struct Saved {
    durable: Durable,
    cache: CacheStep,
    version: Option<u64>,
    journaled: Option<(Arc<Journal>, Receipt)>,
    reached: Reached,
}

/// Where the write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durable {
    /// The store committed it.
    Stored,
    /// Redis accepted it and has it journaled; a worker carries it to the store.
    Journaled,
    /// Redis accepted it, and is the only place.
    CachedOnly,
}

/// Whether the cache knows of the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStep {
    /// Every read that begins from now on, in any process, sees the write.
    Done,
    /// Redis could not be told. Reads of this process see the write; those of others may see the old
    /// entry until Redis is told (it is tried again) or the entry's time to live is over.
    Pending,
}

impl Saved {
    pub(crate) fn stored(cache: CacheStep) -> Self {
        Self {
            durable: Durable::Stored,
            cache,
            version: None,
            journaled: None,
            reached: Reached::default(),
        }
    }

    pub(crate) fn journaled(journal: &Arc<Journal>, receipt: Receipt, reached: Reached) -> Self {
        Self {
            durable: Durable::Journaled,
            cache: CacheStep::Done,
            version: Some(receipt.version),
            journaled: Some((Arc::clone(journal), receipt)),
            reached,
        }
    }

    pub(crate) fn cached_only(version: u64, reached: Reached) -> Self {
        Self {
            durable: Durable::CachedOnly,
            cache: CacheStep::Done,
            version: Some(version),
            journaled: None,
            reached,
        }
    }

    /// Where the write is durable.
    pub fn durable(&self) -> Durable {
        self.durable
    }

    /// Whether the cache knows of the write.
    pub fn cache(&self) -> CacheStep {
        self.cache
    }

    /// The place of the write in the order of its partition (microseconds, growing), where Redis
    /// decides that order; `None` where the store does.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// Whether Redis confirmed, or the builder was told to assert, that the write is on its disk. Asked
    /// only where [`durability`](crate::RepositoryBuilder::durability) says so.
    pub fn is_fsynced(&self) -> bool {
        self.reached.fsynced
    }

    /// How many replicas of Redis confirmed that they have the write, which may be more than were
    /// waited for. Asked only where [`durability`](crate::RepositoryBuilder::durability) says so.
    pub fn replicas(&self) -> u32 {
        self.reached.replicas
    }

    /// Names a journaled write, so that another process can wait for it with
    /// [`Repository::persisted`](crate::Repository::persisted). `None` for writes that are not journaled.
    pub fn token(&self) -> Option<String> {
        self.journaled.as_ref().map(|(_, receipt)| receipt.to_string())
    }

    /// Waits until the write is in the store, wherever it is drained. A [`Stored`](Durable::Stored)
    /// write is there already.
    ///
    /// It waits for as long as it takes: wrap it in a timeout. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`DeadLettered`](crate::ErrorKind::DeadLettered) if the store refused the write,
    /// [`Recovered`](crate::ErrorKind::Recovered) if the journal was recovered meanwhile: then nobody
    /// knows; read the entity. [`Configuration`](crate::ErrorKind::Configuration) for a write that never
    /// goes to a store. `StoreUnavailable` if the store does not say whether it refused.
    pub async fn persisted(&self) -> Result<()> {
        match (self.durable, &self.journaled) {
            (Durable::Journaled, Some((journal, receipt))) => {
                let persisted = journal.persisted(receipt).await;
                persisted.map_err(|e| e.during("persisted", journal.prefix()))
            }
            (Durable::CachedOnly, _) => Err(Error::configuration(
                "`redis_only` writes reach a store by snapshots only: call `snapshot_now`",
            )),
            _ => Ok(()),
        }
    }
}

/// Two receipts are equal if they say the same of the same write.
impl PartialEq for Saved {
    fn eq(&self, other: &Self) -> bool {
        let receipt = |saved: &Self| saved.journaled.as_ref().map(|(_, receipt)| receipt.clone());
        (self.durable, self.cache, self.version) == (other.durable, other.cache, other.version)
            && receipt(self) == receipt(other)
    }
}

impl Eq for Saved {}
