//! Settings of a repository, and the checks that make sure it can run.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use crate::{
    cache::{Entries, Owed},
    codec::{Codec, Compression, Format},
    entity::{CachedEntity, Settings},
    error::Result,
    handle::Cache,
    journal::{Journal, JournalSettings},
    key::{self, Keyspace},
    layout::Recorded,
    repository::{Repository, Shared},
    schema::Schema,
    store::SharedStore,
    strategy::{self, Outage, Parts, Strategy},
};

mod after;
mod agreement;
mod checks;
mod journal;
mod repartition;
mod settled;
mod snapshot;

pub(crate) use after::stranger;
use journal::WriteBehindSettings;

const PARTITIONS: u32 = 16;
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Clocks run at different speeds, and a commit that was sent in time takes effect a moment later.
const INTENT_GRACE: Duration = Duration::from_secs(5);
const VALUE_MAX_BYTES: usize = 1024 * 1024;
/// Below it there is little to win, and a save waits.
const COMPRESS_MIN_BYTES: usize = 4 * 1024;

/// Settings of a [`Repository`]. What is set here wins over the struct's attributes.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct RepositoryBuilder<E> {
    cache: Cache,
    schema: Schema,
    settings: Settings,
    /// The time to live that the builder was told, which counts for only copies too.
    ttl: Option<Duration>,
    strategy: Option<Strategy>,
    format: Option<Format>,
    compression: Option<Compression>,
    compress_min_bytes: usize,
    store: Option<SharedStore>,
    outage: Outage,
    store_timeout: Duration,
    intent_grace: Duration,
    value_max_bytes: usize,
    /// What the builder was told, which may be that there are none.
    snapshot: Option<Option<Duration>>,
    behind: WriteBehindSettings,
    /// What the builder was told of the entities before this one.
    after: Option<Vec<String>>,
    entity: PhantomData<fn() -> E>,
}

/// What a repository is made of, but for which partitions it has.
struct Ready {
    strategy: Strategy,
    entries: Entries,
    store: Option<SharedStore>,
    settings: JournalSettings,
    recorded: Recorded,
    /// Whether the store takes journals.
    journals: bool,
    /// How often what `redis_only` keeps is copied.
    interval: Option<Duration>,
    /// Whose journaled writes come before its own.
    parents: Vec<Keyspace>,
}

impl<E: CachedEntity> RepositoryBuilder<E> {
    pub(crate) fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            schema: E::SCHEMA,
            settings: E::SETTINGS,
            ttl: None,
            strategy: None,
            format: None,
            compression: None,
            compress_min_bytes: COMPRESS_MIN_BYTES,
            store: None,
            outage: Outage::default(),
            store_timeout: STORE_TIMEOUT,
            intent_grace: INTENT_GRACE,
            value_max_bytes: VALUE_MAX_BYTES,
            snapshot: None,
            behind: WriteBehindSettings::default(),
            after: None,
            entity: PhantomData,
        }
    }

    /// The store behind the cache. Every strategy but `redis_only` needs one; that one needs it for
    /// snapshots, `import` and `export`.
    pub fn store(mut self, store: &SharedStore) -> Self {
        self.store = Some(Arc::clone(store));
        self
    }

    /// The strategy. Defaults to the attribute, and without one to cache-aside.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// The format of entries. [`Format::JsonDoc`] needs a server with RedisJSON. Defaults to the attribute, and without one to JSON.
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Compresses the entries that this process writes, in the formats `json` and `msgpack`. Other
    /// processes may do otherwise. Defaults to the attribute, and without one to none.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Entries of fewer bytes are not compressed. Defaults to 4 KiB.
    pub fn compress_min_bytes(mut self, bytes: usize) -> Self {
        self.compress_min_bytes = bytes;
        self
    }

    /// How long an entry lives, from 1 ms to 10 years. Under `redis_only`, where the entry is the only
    /// copy, it lives for ever unless it is set here: the attribute is for copies, so that changing the
    /// strategy's word does not make data vanish. Defaults to the attribute, and without one to 1 hour.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// By how many percent of itself (at most 100) a lifetime is spread, so that entries that were
    /// made together do not expire together. Defaults to the attribute, and without one to 10.
    pub fn jitter_percent(mut self, percent: u8) -> Self {
        self.settings.jitter_percent = Some(percent);
        self
    }

    /// How long "no such row" is remembered; zero turns it off. Defaults to the attribute, and
    /// without one to 30 s.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.negative_ttl = Some(ttl);
        self
    }

    /// The first part of every key. Defaults to the attribute. The table stays as it is.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.schema = self.schema.with_prefix(prefix.into());
        self
    }

    /// The table in the store; `schema.table` names a schema. It must be there: the store's
    /// `create_tables` makes the one that the attributes name. Defaults to the attribute, and without
    /// one to the prefix.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.schema = self.schema.with_table(table.into());
        self
    }

    /// Raise it for a change of the struct that names and types do not show: entries of another
    /// version are misses. Defaults to the attribute, and without one to 1.
    pub fn schema(mut self, version: u32) -> Self {
        self.schema = self.schema.with_version(version);
        self
    }

    /// Into how many partitions the entity's keys are divided, 1 to 4096. Every process must say the
    /// same; [`repartition`](Self::repartition) changes it. Defaults to the attribute, and without one
    /// to 16.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.settings.partitions = Some(partitions);
        self
    }

    /// What a write to the store first does while Redis is down. Defaults to [`Outage::Available`].
    /// Under `write_behind` and `redis_only` writes go to Redis, and fail while it is down.
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// How long a write may take in the store; it takes effect within this time or not at all.
    /// Defaults to 5 s.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// For how much longer than [`store_timeout`](Self::store_timeout) readers leave the entries of
    /// a write alone whose process died. It must exceed what clocks may drift apart and what a commit
    /// that was sent in time may still need. Defaults to 5 s.
    pub fn intent_grace(mut self, grace: Duration) -> Self {
        self.intent_grace = grace;
        self
    }

    /// How many bytes the values of one entity may have, at most 64 MiB. Larger ones are refused by
    /// `save`, and larger rows are not cached. Defaults to 1 MiB.
    pub fn value_max_bytes(mut self, bytes: usize) -> Self {
        self.value_max_bytes = bytes;
        self
    }

    /// Checks that the settings, the server and the store fit together, and builds the repository.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) with what to do about it: a strategy without its
    /// store, a store without its tables, a server that may evict the only copy or lacks what the format
    /// needs, other settings than
    /// the entity's other processes have, another store than the one this Redis knows.
    /// `CacheUnavailable` and `StoreUnavailable` when one of them does not answer.
    pub async fn build(self) -> Result<Repository<E>> {
        let entity = self.schema.prefix().to_owned();
        self.checked().await.map_err(|error| error.during("build", &entity))
    }

    async fn checked(self) -> Result<Repository<E>> {
        let Ready { strategy, entries, store, settings, recorded, journals, interval, parents } =
            self.ready().await?;
        let layout = agreement::layout(recorded, &entries.keys)?;
        let entries = Arc::new(entries.laid_out(layout));
        agreement::sides(&entries, strategy, store.is_some()).await?;
        let Cache { outage_loads, duties, .. } = self.cache.clone();
        let journal = store.as_ref().filter(|_| journals).map(|store| {
            let (roster, entries) = (Arc::clone(&duties.roster), Arc::clone(&entries));
            Arc::new(Journal::new(entries, Arc::clone(store), settings, roster).after(&parents))
        });
        if journal.is_some() {
            after::agree_here(&entries, &parents, &duties.roster)?;
            after::agree(&entries, &parents).await?;
        }
        duties.own(entries.schema.prefix(), std::any::type_name::<E>())?;
        #[cfg(feature = "testing")]
        duties.remember(&entries);
        let (journal, copying) = snapshot::copying(strategy, journal, interval);
        let parts = Parts {
            entries: Arc::clone(&entries),
            store,
            journal: journal.clone(),
            allow_stale_reads: self.behind.allow_stale_reads || !settings.written,
            durability: settings.durability,
            outage: self.outage,
            store_timeout: self.store_timeout,
            intent_grace: self.intent_grace,
            outage_loads,
        };
        let flow = strategy::flow(strategy, parts)?;
        if let Some(journal) = &journal {
            self.cache.enlist(journal, copying.as_ref());
        }
        let value_max_bytes = self.value_max_bytes;
        let shared = Shared { strategy, flow, entries, journal, copying, duties, value_max_bytes };
        Ok(Repository::new(shared))
    }

    /// Checks everything but the number of partitions.
    async fn ready(&self) -> Result<Ready> {
        let (strategy, format) = self.words()?;
        let packing = self.packing(format)?;
        let lifetimes = self.lifetimes()?;
        let partitions = self.settings.partitions.unwrap_or(PARTITIONS);
        checks::numbers(partitions, self.store_timeout, self.intent_grace)?;
        checks::value_max(self.value_max_bytes)?;
        checks::generated(&self.schema, strategy)?;
        let settings = self.journal_settings(strategy, partitions)?;
        let schema = Arc::new(self.schema.clone());
        let Cache { backend, namespace, clock, random, duties, .. } = self.cache.clone();
        let topology = backend.topology();
        let keys = Keyspace::new(&namespace, schema.prefix(), topology, partitions)?;
        key::check_table(schema.table())?;
        let parents = self.parents(&keys)?;
        let interval = self.snapshot.unwrap_or(self.settings.snapshot);
        checks::snapshot(strategy, interval, self.store.is_some())?;
        let store = self.store.clone();
        let entries = Entries {
            codec: Codec::new(Arc::clone(&schema), format, packing),
            backend,
            keys,
            schema,
            lifetimes,
            row_max_bytes: self.value_max_bytes,
            counters: Arc::default(),
            clock,
            random,
            owed: Owed::default(),
        };
        // First what a person can mend in the source, then what the servers say.
        strategy::check_store(strategy, store.as_ref())?;
        checks::format(&entries).await?;
        checks::server(&entries, strategy, settings.durability, &duties.roster).await?;
        let checked = match &store {
            Some(store) => Some(agreement::store(store, &entries).await?),
            None => None,
        };
        let journals = checked.as_ref().is_some_and(|checked| checked.journals);
        checks::copies(interval, journals)?;
        let recorded = agreement::registry(&entries, checked).await?;
        Ok(Ready { strategy, entries, store, settings, recorded, journals, interval, parents })
    }
}
