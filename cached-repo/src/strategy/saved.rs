//! The receipt of a write: what "ok" meant.

use crate::error::{Error, Result};

/// What a write that succeeded has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    durable: Durable,
    cache: CacheStep,
    version: Option<u64>,
}

/// Where the write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durable {
    /// The store committed it.
    Stored,
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
        Self { durable: Durable::Stored, cache, version: None }
    }

    pub(crate) fn cached_only(version: u64) -> Self {
        Self { durable: Durable::CachedOnly, cache: CacheStep::Done, version: Some(version) }
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

    /// Waits until the write is in the store. A [`Stored`](Durable::Stored) write is there already.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) for a write that never goes to a store.
    pub async fn persisted(&self) -> Result<()> {
        match self.durable {
            Durable::Stored => Ok(()),
            Durable::CachedOnly => {
                Err(Error::configuration("`redis_only` writes never reach a store"))
            }
        }
    }
}
