//! One entity under `write_behind`, in a single partition unless a test asks for more, and the processes that use
//! it.

use std::{sync::Arc, time::Duration};

use cached_repo::{
    Cache, CacheBuilder, CachedEntity, Change, Event, Format, Repository, RepositoryBuilder,
    Strategy, Value,
    store::{Entry, Ledger, Offset, SharedStore, Store},
};
use tests::{Gated, isolate};
use tokio::sync::watch;

use crate::{
    databases::run,
    stage::{On, Over, PLANT, Todo, name, open, todo, unique_names},
    users,
};

/// The servers that processes share, and the names that they use there.
pub(crate) struct Scene {
    pub(crate) gate: Arc<Gated>,
    on: On,
    pub(crate) over: Over,
    pub(crate) namespace: String,
    pub(crate) table: String,
    /// Its backend is that of all processes, where they are over none of Redis.
    pub(crate) host: Cache,
    url: String,
    partitions: u32,
    /// Holds the file of an SQLite database.
    directory: Option<tempfile::TempDir>,
}

/// One process: a connection, a repository, and what it was told.
pub(crate) struct Process {
    pub(crate) cache: Cache,
    pub(crate) repo: Repository<Todo>,
    pub(crate) events: Events,
}

impl Scene {
    pub(crate) async fn new(on: On, over: Over) -> Self {
        Self::at(on, over, over.url()).await
    }

    /// Everything in this process, so that time may be paused.
    pub(crate) async fn in_process() -> Self {
        Self::new(On::Memory, Over::InProcess).await
    }

    /// Over a Redis that listens elsewhere.
    pub(crate) async fn at(on: On, over: Over, url: String) -> Self {
        let (store, directory) = open(on).await;
        let (namespace, table) = (isolate::unique("scene"), isolate::unique("todos"));
        let schema = Todo::SCHEMA.with_table(table.clone());
        store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        let host = Cache::builder().namespace(&*namespace).in_memory();
        let (gate, partitions) = (Gated::new(store), 1);
        Self { gate, on, over, namespace, table, host, url, partitions, directory }
    }

    /// In so many partitions.
    pub(crate) fn in_parts(self, partitions: u32) -> Self {
        Self { partitions, ..self }
    }

    /// A process that writes, reads and drains.
    pub(crate) async fn worker(&self) -> Process {
        self.process(patient(), |builder| builder).await
    }

    /// A process that leaves draining to others.
    pub(crate) async fn writer(&self) -> Process {
        self.process(patient().no_worker(), |builder| builder).await
    }

    /// A process that does not drain, under another strategy.
    pub(crate) async fn under(&self, strategy: Strategy) -> Process {
        self.process(patient().no_worker(), |builder| builder.strategy(strategy)).await
    }

    pub(crate) async fn process(
        &self,
        cache: CacheBuilder,
        settings: impl FnOnce(RepositoryBuilder<Todo>) -> RepositoryBuilder<Todo>,
    ) -> Process {
        let events = Events::default();
        let cache = self.cache(events.listen(cache)).await;
        let repo = settings(self.builder(&cache)).build().await.unwrap();
        Process { cache, repo, events }
    }

    pub(crate) async fn cache(&self, cache: CacheBuilder) -> Cache {
        match self.over {
            Over::InProcess => cache.beside(&self.host),
            Over::Redis | Over::RedisJson => {
                let mut url = self.url.clone();
                // One of a test's own forgets its users when it is killed.
                if url == self.over.url() {
                    let prefixes =
                        ["todos", "bounded", "others", "shapes", "customers", "orders", "notes"];
                    url = users::redis(&url, &self.namespace, &prefixes, PLANT).await;
                }
                cache.namespace(&*self.namespace).connect(&url).await.unwrap()
            }
        }
    }

    /// The partition's first write, which the store is asked for: later ones can do without.
    pub(crate) async fn open(&self) {
        let worker = self.worker().await;
        worker.repo.save(&todo("first", "write")).await.unwrap().persisted().await.unwrap();
    }

    /// The settings that every repository starts from.
    pub(crate) fn builder<E: CachedEntity>(&self, cache: &Cache) -> RepositoryBuilder<E> {
        Repository::builder(cache)
            .store(&(self.gate.clone() as SharedStore))
            .strategy(Strategy::WriteBehind)
            .format(Format::Json)
            .table(&*self.table)
            .partitions(self.partitions)
    }

    /// What the store calls the entity.
    pub(crate) fn entity(&self) -> String {
        format!("{}:{}", self.namespace, Todo::SCHEMA.prefix())
    }

    /// What the store keeps for the partition.
    pub(crate) async fn offset(&self) -> Offset {
        let entity = self.entity();
        match self.gate.ledger(Ledger::Offset { entity: &entity, partition: 0 }).await.unwrap() {
            Entry::Offset(Some(offset)) => offset,
            other => panic!("there is no offset: {other:?}"),
        }
    }

    /// The name in the store's own row, or "none".
    pub(crate) async fn row(&self, id: &str) -> String {
        // A cache of its own is empty, and journals of other names.
        let cache = Cache::builder().no_worker().in_memory();
        let rows: Repository<Todo> =
            self.builder(&cache).strategy(Strategy::CacheAside).build().await.unwrap();
        name(rows.get(id).await.unwrap())
    }

    /// Runs SQL in the store's database, where `{table}` is the entity's table.
    pub(crate) async fn sql(&self, sql: &str) {
        let sql = sql.replace("{table}", &self.table);
        run(self.on, self.directory.as_ref(), &sql).await;
    }

    /// From now on no two rows have the same name.
    pub(crate) async fn let_names_be_unique(&self) {
        self.sql(&unique_names(self.on, &self.table, None)).await;
    }

    pub(crate) async fn let_names_repeat(&self) {
        let sql = match self.on {
            On::MySql => "ALTER TABLE {table} DROP COLUMN one_name",
            _ => "DROP INDEX one_{table}",
        };
        self.sql(sql).await;
    }

    /// Copies an SQLite database as it is now; answers the copy's URL.
    pub(crate) async fn back_up(&self, name: &str) -> String {
        let directory = self.directory.as_ref().unwrap().path();
        let copy = directory.join(name);
        self.sql(&format!("VACUUM INTO '{}'", copy.display())).await;
        sqlite_url(directory, name)
    }

    /// A plain connection, for what only another program would do.
    pub(crate) async fn raw(&self) -> redis::aio::MultiplexedConnection {
        tests::raw(&*self.url).await
    }

    /// One of the library's own keys of the partition.
    pub(crate) fn own_key(&self, what: &str) -> String {
        format!("{}:@{what}:0", self.entity())
    }

    /// The names that the store was given for an id, in order; "none" for a delete.
    pub(crate) fn written(&self, id: &str) -> Vec<String> {
        let index = Todo::SCHEMA.columns().iter().position(|c| c.column() == "name").unwrap();
        let changes = self.gate.written().into_iter().flatten().filter(|c| c.id().text() == id);
        let name = |change: Change| match change.record().and_then(|r| r.get(index).cloned()) {
            Some(Value::Text(text)) => text.into_owned(),
            _ => "none".to_owned(),
        };
        changes.map(name).collect()
    }
}

fn sqlite_url(directory: &std::path::Path, file: &str) -> String {
    format!("sqlite://{}", directory.join(file).display())
}

/// A busy machine is no reason for a test to see Redis as down.
pub(crate) fn patient() -> CacheBuilder {
    Cache::builder().timeout(Duration::from_secs(30))
}

/// What a process was told of its journals.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<watch::Sender<Vec<Event>>>);

impl Events {
    pub(crate) fn listen(&self, cache: CacheBuilder) -> CacheBuilder {
        let told = self.0.clone();
        cache.on_event(move |event| told.send_modify(|all| all.push(event.clone())))
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub(crate) fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| is_meant(event)).count()
    }

    /// Waits until such an event was told.
    pub(crate) async fn until(&self, is_meant: impl Fn(&Event) -> bool) -> Event {
        let mut told = self.0.subscribe();
        let all = told.wait_for(|all| all.iter().any(&is_meant)).await.unwrap();
        all.iter().find(|event| is_meant(event)).unwrap().clone()
    }
}
