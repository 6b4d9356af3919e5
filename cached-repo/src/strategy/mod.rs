//! How entities are cached: the promise table, the names, and the one place that chooses.
//!
//! | strategy | read miss | write | acknowledged when | Redis down | store down |
//! |---|---|---|---|---|---|
//! | `cache_aside` | load, fill under a lease | store, then invalidate | the store committed | served by the store, under a concurrency cap | hits are served, misses are errors |
//! | `read_through` | one load per id across processes | store, then invalidate | the store committed | the same | the same |
//! | `write_through` | as `read_through` | store, then put | the store committed | the same | the same |
//! | `write_behind` | as `read_through` | entry and journal record, one atomic step | Redis accepted it | writes fail, reads too unless stale ones are allowed | all works until the journal's bound |
//! | `redis_only` | absent is absent | put | Redis accepted it | fails | not used; a snapshot waits |
//!
//! In each of them: a process reads its own writes, other processes read them as soon as the receipt
//! says that the cache step is done, and a deleted entity does not come back.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::{
    cache::Entries,
    change::{Change, EntityId},
    error::{Error, ErrorKind, Outcome, Result},
    journal::{DurabilitySettings, Journal},
    record::Record,
    store::SharedStore,
};

mod cache_aside;
mod fetch;
mod loader;
mod read_through;
mod redis_only;
mod saved;
mod store_first;
mod write_behind;
mod write_through;

pub use saved::{CacheStep, Durable, Saved};

/// What a repository does with reads and writes. The module's table says what each one promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The store is written first and the entry removed; a miss loads it. Defaults to this.
    #[default]
    CacheAside,
    /// As cache-aside, and a miss is loaded by one process for all of them.
    ReadThrough,
    /// The store is written first and the entry put.
    WriteThrough,
    /// The entry is written and journaled in one step; a worker carries the journal to the store.
    WriteBehind,
    /// Redis is the only place.
    RedisOnly,
}

impl Strategy {
    /// Every strategy that there is.
    pub const ALL: &'static [Strategy] = &[
        Self::CacheAside,
        Self::ReadThrough,
        Self::WriteThrough,
        Self::WriteBehind,
        Self::RedisOnly,
    ];

    /// The name that the attribute `strategy` uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CacheAside => "cache_aside",
            Self::ReadThrough => "read_through",
            Self::WriteThrough => "write_through",
            Self::WriteBehind => "write_behind",
            Self::RedisOnly => "redis_only",
        }
    }

    /// Whether the strategy keeps entities in a store.
    pub const fn needs_store(self) -> bool {
        !matches!(self, Self::RedisOnly)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|strategy| strategy.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
            Error::configuration(format!(
                "unknown strategy {text:?}; there are: {}",
                names.join(", ")
            ))
        })
    }
}

impl serde::Serialize for Strategy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Strategy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// What a store-first write does when Redis cannot be told about it beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outage {
    /// It is done, and the receipt says that the cache step is pending: other processes may read the
    /// old entry until Redis is back or the entry's time is over. Defaults to this.
    #[default]
    Available,
    /// It fails before the store is touched.
    Strict,
}

/// A read that is under way.
pub(crate) type Reading<'a> = BoxFuture<'a, Result<Vec<Option<Record<'static>>>>>;

/// The behaviour of a strategy. Reads and writes are batched; a flow that exists can run.
pub(crate) trait Flow: fmt::Debug + Send + Sync {
    /// The records of these ids, in order, each id at most once.
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a>;

    /// Makes these changes in order, and completes also when its caller is gone.
    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>>;
}

/// What a flow is made of.
pub(crate) struct Parts {
    pub(crate) entries: Arc<Entries>,
    pub(crate) store: Option<SharedStore>,
    /// What is, or may once have been, written behind; `None` if the store takes no journals.
    pub(crate) journal: Option<Arc<Journal>>,
    pub(crate) allow_stale_reads: bool,
    pub(crate) durability: DurabilitySettings,
    pub(crate) outage: Outage,
    pub(crate) store_timeout: Duration,
    pub(crate) intent_grace: Duration,
    /// Bounds the loads of all repositories while Redis cannot be reached: without it a dead cache
    /// would be a stampede.
    pub(crate) outage_loads: Arc<Semaphore>,
}

/// Refuses a strategy that needs a store and has none.
pub(crate) fn check_store(strategy: Strategy, store: Option<&SharedStore>) -> Result<()> {
    if strategy.needs_store() && store.is_none() {
        return Err(Error::configuration(format!(
            "the strategy `{strategy}` needs a store: call `.store(&db)` on the builder, with a `db` \
             from `store::connect(url)`, or choose `redis_only`"
        )));
    }
    Ok(())
}

/// The flow of a strategy.
pub(crate) fn flow(strategy: Strategy, parts: Parts) -> Result<Box<dyn Flow>> {
    check_store(strategy, parts.store.as_ref())?;
    let Some(store) = parts.store.clone() else {
        return Ok(Box::new(redis_only::RedisOnly::new(parts.entries, parts.durability)));
    };
    Ok(match strategy {
        Strategy::CacheAside => Box::new(cache_aside::CacheAside::new(parts, store)),
        Strategy::ReadThrough => Box::new(read_through::ReadThrough::new(parts, store)),
        Strategy::WriteThrough => Box::new(write_through::WriteThrough::new(parts, store)),
        Strategy::WriteBehind => {
            let journal = parts.journal.clone().ok_or_else(|| {
                Error::configuration(
                    "the store takes no journals, which `write_behind` needs: use a SQL store, or choose \
                     another strategy",
                )
            })?;
            Box::new(write_behind::WriteBehind::new(parts, journal))
        }
        Strategy::RedisOnly => {
            Box::new(redis_only::RedisOnly::new(parts.entries, parts.durability))
        }
    })
}

/// Runs work to its end also when the caller is dropped.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(stopped) => {
            let outcome = Outcome::Unknown;
            let message = "the task that did the work panicked or its runtime was shut down";
            Err(Error::new(ErrorKind::Internal, message).outcome_is(outcome).caused_by(stopped))
        }
    }
}
