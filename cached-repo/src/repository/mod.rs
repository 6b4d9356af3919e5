//! The front door: get, save and delete entities of one type.

use std::{fmt, marker::PhantomData, sync::Arc};

use tracing::Instrument;

use crate::{
    builder::RepositoryBuilder,
    cache::{Counts, Entries},
    change::{Change, EntityId},
    column::json::check_depth,
    entity::{CachedEntity, Id, IntoId},
    error::{Error, ErrorKind, Result},
    handle::{Cache, Duties},
    journal::{Copying, Journal},
    key,
    record::{Record, Value},
    strategy::{Flow, Saved, Strategy},
};

mod barriers;
mod snapshots;

/// So many ids or entities may stand in one call. A larger call is refused: split it.
pub const BATCH_MAX: usize = 10_000;
/// So many bytes of values may stand in one call.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The entities of one type, behind the strategy that the type (or the builder) names.
///
/// Cheap to clone; clones share everything. All methods may be called from many tasks at a time.
/// Dropping a future of a read loses nothing. Dropping a future of a write does not undo it: it
/// either happens whole or not at all, and a read tells which.
pub struct Repository<E> {
    shared: Arc<Shared>,
    entity: PhantomData<fn() -> E>,
}

/// What the clones of a repository share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) strategy: Strategy,
    pub(crate) flow: Box<dyn Flow>,
    pub(crate) entries: Arc<Entries>,
    /// What is, or may once have been, written behind; `None` where the store takes no journals.
    pub(crate) journal: Option<Arc<Journal>>,
    /// What is copied to a store, or may be; under `redis_only` with a store.
    pub(crate) copying: Option<Arc<Copying>>,
    /// Keeps the worker at work.
    #[allow(dead_code)] // It is dropped.
    pub(crate) duties: Arc<Duties>,
    pub(crate) value_max_bytes: usize,
}

impl<E: CachedEntity> Repository<E> {
    /// Settings for a repository on this cache; what is not set is as the struct's attributes say.
    pub fn builder(cache: &Cache) -> RepositoryBuilder<E> {
        RepositoryBuilder::new(cache)
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), entity: PhantomData }
    }

    /// The entity with this id, or `None`.
    ///
    /// A hit is one round trip to Redis. A miss asks the store (in every strategy but `redis_only`)
    /// and fills the entry.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for an id that cannot be; `StoreUnavailable`, `Store`,
    /// `Overloaded` when the store is needed and does not answer; `Undecodable` when the row is no
    /// such entity. Redis being down is an error under `redis_only`, and under
    /// `write_behind` unless stale reads are allowed.
    pub async fn get(&self, id: impl IntoId<E::Id>) -> Result<Option<E>> {
        let id = id.into_id();
        let read = self.read("get", vec![id]);
        Ok(read.await?.pop().flatten())
    }

    /// The entities with these ids, in the order of the ids; `None` where there is none.
    ///
    /// One round trip to Redis, and one query for all that is missing there. At most [`BATCH_MAX`] ids.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get): one error for all, as there is one query.
    pub async fn get_many<I: IntoId<E::Id>>(
        &self,
        ids: impl IntoIterator<Item = I>,
    ) -> Result<Vec<Option<E>>> {
        let ids = ids.into_iter().map(IntoId::into_id).collect();
        self.read("get_many", ids).await
    }

    /// Whether there is an entity with this id. Costs what [`get`](Self::get) costs.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn exists(&self, id: impl IntoId<E::Id>) -> Result<bool> {
        let ids = self.ids("exists", &[id.into_id()])?;
        let found = self.shared.flow.read(&ids).instrument(self.span("exists")).await;
        Ok(found.map_err(|e| self.name("exists", e))?.iter().any(Option::is_some))
    }

    /// Writes an entity, whether it is there or not. The receipt says what was reached.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for a value that cannot be stored as it is, before anything
    /// is sent; [`Refused`](ErrorKind::Refused) when a constraint of the store is violated;
    /// `StoreUnavailable` and `CacheUnavailable` when it may work later. [`Error::outcome`] tells
    /// whether the write took effect.
    pub async fn save(&self, entity: &E) -> Result<Saved> {
        let changes = vec![self.put("save", entity)?];
        self.one(self.write("save", changes).await?, "save")
    }

    /// Writes entities: all or none under a store-first strategy; under `write_behind` and `redis_only`
    /// each partition in one step. Of several with the same id the last is what remains. At most [`BATCH_MAX`]
    /// entities.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn save_many<'e>(
        &self,
        entities: impl IntoIterator<Item = &'e E>,
    ) -> Result<Vec<Saved>> {
        let put = |entity| self.put("save_many", entity);
        let changes = entities.into_iter().map(put).collect::<Result<_>>()?;
        self.write("save_many", changes).await
    }

    /// Deletes an entity, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn delete(&self, id: impl IntoId<E::Id>) -> Result<Saved> {
        let ids = self.ids("delete", &[id.into_id()])?;
        let changes = ids.into_iter().map(|id| Change::Delete { id }).collect();
        self.one(self.write("delete", changes).await?, "delete")
    }

    /// Removes an entity from the cache and leaves the store alone: the next read loads it. For rows
    /// that another program changed. Answers whether nothing of it is cached now.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) under `redis_only`, where the entry is the only
    /// copy; `CacheUnavailable` when Redis does not answer.
    pub async fn evict(&self, id: impl IntoId<E::Id>) -> Result<bool> {
        let ids = self.ids("evict", &[id.into_id()])?;
        if !self.shared.strategy.needs_store() {
            let message = "under `redis_only` the entry is the only copy: use `delete`";
            return Err(self.name("evict", Error::configuration(message)));
        }
        let evicted = self.shared.entries.evict(&ids).instrument(self.span("evict")).await;
        Ok(evicted.map_err(|e| self.name("evict", e.into_error()))?.iter().all(|evicted| *evicted))
    }

    /// Writes an entity to the cache only, as a copy that lives for its `ttl`: for a row that another
    /// program wrote. Answers whether it is there now; it is not where a write of the id is under way
    /// or not in the store yet.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) under `redis_only`, where `save` does that;
    /// [`Invalid`](ErrorKind::Invalid) as [`save`](Self::save); `CacheUnavailable`.
    pub async fn save_cached(&self, entity: &E) -> Result<bool> {
        const OPERATION: &str = "save_cached";
        if !self.shared.strategy.needs_store() {
            let message = "under `redis_only` there is only the cache: use `save`";
            return Err(self.name(OPERATION, Error::configuration(message)));
        }
        let change = self.put(OPERATION, entity)?;
        let Some(record) = change.record() else { return Ok(false) };
        let put = self.shared.entries.put_copy(change.id(), record);
        let put = put.instrument(self.span(OPERATION)).await;
        put.map_err(|e| self.name(OPERATION, e.into_error()))
    }

    /// The key of an entity's entry, as one would type it into redis-cli.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for an id that cannot be.
    pub fn key(&self, id: impl IntoId<E::Id>) -> Result<String> {
        let ids = self.ids("key", &[id.into_id()])?;
        Ok(self.shared.entries.slots(&ids).pop().map(|slot| slot.entry).unwrap_or_default())
    }

    /// The strategy that this repository follows.
    pub fn strategy(&self) -> Strategy {
        self.shared.strategy
    }

    /// What this repository and its clones did since they were built.
    pub fn counts(&self) -> Counts {
        self.shared.entries.counters.read()
    }

    async fn read(&self, operation: &'static str, ids: Vec<E::Id>) -> Result<Vec<Option<E>>> {
        let ids = self.ids(operation, &ids)?;
        self.check_len(operation, ids.len())?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let reading = self.shared.flow.read(&ids).instrument(self.span(operation));
        let records = reading.await.map_err(|e| self.name(operation, e))?;
        let mut entities = Vec::with_capacity(ids.len());
        for (record, id) in records.into_iter().zip(&ids) {
            entities.push(match self.entity(record, id) {
                Err(_) if self.shared.strategy.needs_store() => {
                    self.load_anew(operation, id).await?
                }
                built => built.map_err(|e| self.name(operation, e))?,
            });
        }
        Ok(entities)
    }

    fn entity(&self, record: Option<Record<'static>>, id: &EntityId) -> Result<Option<E>> {
        let Some(mut record) = record else { return Ok(None) };
        E::from_record(&mut record).map(Some).map_err(|cause| {
            let message = "what is stored is no such entity";
            Error::new(ErrorKind::Undecodable, message).of(id).caused_by(cause)
        })
    }

    /// Reads an id again whose record is no entity: the entry may be of another version of the struct,
    /// while the row is fine.
    async fn load_anew(&self, operation: &'static str, id: &EntityId) -> Result<Option<E>> {
        let shared = &self.shared;
        shared.entries.counters.undecodable.add(1);
        let ids = std::slice::from_ref(id);
        // If the entry stays, the second record is the first one, and the error is the same.
        if let Err(error) = shared.entries.evict(ids).await {
            tracing::debug!(%error, "an entry that cannot be decoded could not be removed");
        }
        let mut records = shared.flow.read(ids).await.map_err(|e| self.name(operation, e))?;
        self.entity(records.pop().flatten(), id).map_err(|e| self.name(operation, e))
    }

    async fn write(&self, operation: &'static str, changes: Vec<Change>) -> Result<Vec<Saved>> {
        self.check_len(operation, changes.len())?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: usize = changes.iter().filter_map(Change::record).map(Record::size).sum();
        if bytes > BATCH_BYTES_MAX.max(self.shared.value_max_bytes) {
            let message =
                format!("{bytes} bytes in one call, {BATCH_BYTES_MAX} are allowed: split it");
            return Err(self.name(operation, Error::invalid(message)));
        }
        let writing = self.shared.flow.write(changes).instrument(self.span(operation));
        writing.await.map_err(|e| self.name(operation, e))
    }

    fn put(&self, operation: &'static str, entity: &E) -> Result<Change> {
        let id = self.id(operation, &entity.id())?;
        let schema = &self.shared.entries.schema;
        let checked = entity.to_record().and_then(|record| check_depth(record, schema));
        let record = checked.map_err(|cause| {
            let error = Error::invalid("the value cannot be written").of(&id).caused_by(cause);
            self.name(operation, error)
        })?;
        let (size, max) = (record.size(), self.shared.value_max_bytes);
        if size > max {
            let message = format!(
                "the value has {size} bytes and {max} are allowed; `value_max_bytes` on the builder \
                 says how many"
            );
            return Err(self.name(operation, Error::invalid(message).of(&id)));
        }
        Ok(Change::Put { id, record: record.into_owned() })
    }

    fn ids(&self, operation: &'static str, ids: &[E::Id]) -> Result<Vec<EntityId>> {
        ids.iter().map(|id| self.id(operation, id)).collect()
    }

    fn id(&self, operation: &'static str, id: &E::Id) -> Result<EntityId> {
        let values = id.values().into_iter().map(Value::into_owned).collect();
        key::entity_id(values).map_err(|e| self.name(operation, e))
    }

    fn one(&self, saved: Vec<Saved>, operation: &'static str) -> Result<Saved> {
        let missing =
            || self.name(operation, Error::new(ErrorKind::Internal, "no receipt came back"));
        saved.into_iter().next().ok_or_else(missing)
    }

    fn check_len(&self, operation: &'static str, len: usize) -> Result<()> {
        if len <= BATCH_MAX {
            return Ok(());
        }
        let message = format!("{len} in one call, {BATCH_MAX} are allowed: split the call");
        Err(self.name(operation, Error::invalid(message)))
    }

    fn name(&self, operation: &'static str, error: Error) -> Error {
        error.during(operation, self.shared.entries.schema.prefix())
    }

    /// No ids and no values: they are the users' data.
    fn span(&self, operation: &'static str) -> tracing::Span {
        tracing::debug_span!(
            "cached_repo",
            operation,
            entity = self.shared.entries.schema.prefix(),
            strategy = self.shared.strategy.name(),
        )
    }
}

impl<E> Clone for Repository<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), entity: PhantomData }
    }
}

impl<E> fmt::Debug for Repository<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("entity", &self.shared.entries.schema.prefix())
            .field("strategy", &self.shared.strategy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        codec::Format,
        store::{self, SharedStore},
    };

    #[derive(Clone, Debug, PartialEq, crate::CachedEntity)]
    #[cache(prefix = "rows", strategy = "read_through", crate = "crate")]
    struct Row {
        #[cache(id)]
        id: i64,
        name: String,
    }

    async fn repository(db: &SharedStore) -> Repository<Row> {
        Repository::builder(&Cache::in_memory()).store(db).build().await.unwrap()
    }

    /// The store does not have it, and whoever journaled it has been told that everybody reads it.
    #[tokio::test(start_paused = true)]
    async fn a_journaled_write_is_read_although_an_invalidation_is_owed() {
        let (cache, db) = (Cache::builder().no_worker().in_memory(), store::memory());
        let builder = || Repository::<Row>::builder(&cache).store(&db);
        for format in [Format::Json, Format::Hash] {
            let repo = builder().build().await.unwrap();
            let behind = builder().strategy(Strategy::WriteBehind).format(format);
            let behind = behind.build().await.unwrap();
            let ids = repo.ids("test", &[1]).unwrap();
            repo.shared.entries.owe(repo.shared.entries.slots(&ids), "token");
            let row = Row { id: 1, name: format.to_string() };
            behind.save(&row).await.unwrap();
            assert_eq!(repo.get(1).await.unwrap(), Some(row));
            behind.delete(1).await.unwrap();
            assert_eq!(repo.get(1).await.unwrap(), None);
            assert_eq!(repo.counts().store_loads, 0, "the entry says everything");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_whose_invalidation_is_owed_is_not_believed() {
        let db = store::memory();
        let (repo, elsewhere) = (repository(&db).await, repository(&db).await);
        let row = |name: &str| Row { id: 1, name: name.to_owned() };
        repo.save(&row("old")).await.unwrap();
        assert_eq!(repo.get(1).await.unwrap(), Some(row("old")));
        elsewhere.save(&row("new")).await.unwrap();
        assert_eq!(repo.get(1).await.unwrap(), Some(row("old")), "this cache was not told");
        let ids = repo.ids("test", &[1]).unwrap();
        repo.shared.entries.owe(repo.shared.entries.slots(&ids), "token");
        for _ in 0..2 {
            assert_eq!(repo.get(1).await.unwrap(), Some(row("new")));
        }
        assert_eq!(repo.counts().fills, 1, "nothing is filled while it is owed");
        while !repo.shared.entries.owed(&ids).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..2 {
            assert_eq!(repo.get(1).await.unwrap(), Some(row("new")));
        }
        assert_eq!(repo.counts().fills, 2, "the debt was paid");
    }
}
