//! A repository of todos on a fresh namespace and table, for one point of the matrix.

use std::{sync::Arc, time::Duration};

use cached_repo::{
    Cache, CachedEntity, Format, Outage, Repository, RepositoryBuilder, Result, Saved, Strategy,
    store::{self, SharedStore, Store},
};
use tests::{Gated, isolate, servers};
use tokio::task::JoinHandle;

pub(crate) use crate::databases::{DATABASES, On, one_name, open, unique_names};
use crate::{databases::run, users};

/// The entity of most tests: one column of each sort.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "todos", jitter = "0%")]
pub(crate) struct Todo {
    #[cache(id)]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) done: bool,
    pub(crate) rank: i64,
    pub(crate) score: f64,
    pub(crate) blob: Vec<u8>,
    #[cache(json)]
    pub(crate) labels: Vec<String>,
}

/// A todo that is told from others of its id by its name.
pub(crate) fn todo(id: &str, name: &str) -> Todo {
    Todo {
        id: id.to_owned(),
        name: name.to_owned(),
        description: Some(format!("{name} in full")),
        done: false,
        rank: -7,
        score: 0.1,
        blob: vec![0, 255],
        labels: vec!["a\"b".to_owned()],
    }
}

/// Those with a store.
pub(crate) const WITH_STORE: [Strategy; 4] =
    [Strategy::CacheAside, Strategy::ReadThrough, Strategy::WriteThrough, Strategy::WriteBehind];

pub(crate) const STORE_FIRST: [Strategy; 3] =
    [Strategy::CacheAside, Strategy::ReadThrough, Strategy::WriteThrough];

/// Runs a body for each store-first strategy over both backends.
macro_rules! each_store_first {
    ($(#[$doc:meta])* $name:ident, |$stage:ident| $body:block) => {
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            for strategy in STORE_FIRST {
                for over in [Over::InProcess, Over::Redis] {
                    let $stage = Stage::new(strategy, Format::Json, On::Memory, over).await;
                    $body
                }
            }
        }
    };
}

/// Which backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    InProcess,
    Redis,
    /// A Redis that holds documents.
    RedisJson,
}

impl Over {
    /// A Redis that can hold entries in these formats.
    pub(crate) fn redis_of(formats: &[Format]) -> Self {
        match formats.contains(&Format::JsonDoc) {
            true => Over::RedisJson,
            false => Over::Redis,
        }
    }

    /// Where the server of all tests is.
    pub(crate) fn url(self) -> String {
        match self {
            Over::RedisJson => servers::redis_json_url(),
            Over::InProcess | Over::Redis => servers::redis_url(),
        }
    }
}

/// Everything one test needs, made for it alone.
pub(crate) struct Stage {
    pub(crate) strategy: Strategy,
    pub(crate) on: On,
    pub(crate) over: Over,
    pub(crate) gate: Arc<Gated>,
    /// The first process.
    pub(crate) repo: Repository<Todo>,
    cache: Cache,
    namespace: String,
    settings: Settings,
    /// Holds the file of an SQLite database.
    directory: Option<tempfile::TempDir>,
}

impl Stage {
    pub(crate) async fn new(strategy: Strategy, format: Format, on: On, over: Over) -> Self {
        let (store, directory) = open(on).await;
        let stage = Self::with(store, strategy, format, on, over).await;
        Self { directory, ..stage }
    }

    /// Over a store that was opened before.
    pub(crate) async fn with(
        store: SharedStore,
        strategy: Strategy,
        format: Format,
        on: On,
        over: Over,
    ) -> Self {
        let namespace = isolate::unique("stage");
        let table = isolate::unique("todos");
        let schema = Todo::SCHEMA.with_table(table.clone());
        store.ledger(store::Ledger::Install { schema: &schema }).await.unwrap();
        let gate = Gated::new(store);
        let cache = connect(over, &namespace, At::Shared).await;
        let settings = Settings { strategy, format, table, store: gate.clone() };
        let repo = settings.builder(&cache).build().await.unwrap();
        Self { strategy, on, over, gate, repo, cache, namespace, settings, directory: None }
    }

    /// The cheapest stage: everything in this process, so that time may be paused.
    pub(crate) async fn in_process(strategy: Strategy) -> Self {
        Self::new(strategy, Format::Json, On::Memory, Over::InProcess).await
    }

    pub(crate) fn is_store_first(&self) -> bool {
        STORE_FIRST.contains(&self.strategy)
    }

    pub(crate) fn table(&self) -> &str {
        &self.settings.table
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The settings that every repository of this stage starts from.
    pub(crate) fn builder(&self, cache: &Cache) -> RepositoryBuilder<Todo> {
        self.settings.builder(cache)
    }

    /// Another process: its own connection and repository over the same servers.
    pub(crate) async fn process(&self) -> Repository<Todo> {
        let cache = match self.over {
            Over::InProcess => self.cache.clone(),
            Over::Redis | Over::RedisJson => connect(self.over, &self.namespace, At::Shared).await,
        };
        self.builder(&cache).build().await.unwrap()
    }

    /// Another process that reaches Redis at another address, such as a proxy's.
    pub(crate) async fn process_at(&self, url: &str, outage: Outage) -> Repository<Todo> {
        self.process_elsewhere(At::Proxy(url), outage).await
    }

    /// Another process over a Redis of the test's own, which forgets its users when it is killed.
    pub(crate) async fn process_over(&self, url: &str, outage: Outage) -> Repository<Todo> {
        self.process_elsewhere(At::Private(url), outage).await
    }

    async fn process_elsewhere(&self, at: At<'_>, outage: Outage) -> Repository<Todo> {
        let cache = connect(self.over, &self.namespace, at).await;
        self.builder(&cache).outage(outage).build().await.unwrap()
    }

    /// Raises the epoch of a partition in the store, as recovery of its journal will.
    pub(crate) async fn raise_epoch(&self, partition: u32) {
        let entity = format!("{}:{}", self.namespace, Todo::SCHEMA.prefix());
        let (entity, journal, home, epoch_min) = (&*entity, "journal", "home", 0);
        let before = self.gate.ledger(store::Ledger::Offset { entity, partition }).await.unwrap();
        let store::Entry::Offset(before) = before else { panic!("an offset, or none") };
        let seen = before.map_or(0, |offset| offset.epoch);
        let recover = store::Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
        let store::Entry::Offset(Some(offset)) = self.gate.ledger(recover).await.unwrap() else {
            panic!("a recovery is answered with an offset");
        };
        let settle = store::Ledger::Settle { entity, partition, epoch: offset.epoch };
        self.gate.ledger(settle).await.unwrap();
    }

    /// Gives the table a trigger that writes each name in capitals.
    pub(crate) async fn let_a_trigger_shout(&self) {
        let table = self.table();
        let trigger = match self.on {
            On::Sqlite => format!(
                "CREATE TRIGGER shout AFTER INSERT ON {table} BEGIN \
                 UPDATE {table} SET name = upper(name) WHERE id = NEW.id; END"
            ),
            On::MySql => format!(
                "CREATE TRIGGER shout_{table} BEFORE INSERT ON {table} \
                 FOR EACH ROW SET NEW.name = UPPER(NEW.name)"
            ),
            _ => format!(
                "CREATE FUNCTION shout_{table}() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END'; \
                 CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION shout_{table}()"
            ),
        };
        run(self.on, self.directory.as_ref(), &trigger).await;
    }

    /// A plain connection, for what only another program would do.
    pub(crate) async fn raw(&self) -> redis::aio::MultiplexedConnection {
        tests::raw(self.over.url()).await
    }
}

/// What all repositories of a stage have in common.
struct Settings {
    strategy: Strategy,
    format: Format,
    table: String,
    store: SharedStore,
}

impl Settings {
    fn builder(&self, cache: &Cache) -> RepositoryBuilder<Todo> {
        Repository::builder(cache)
            .store(&self.store)
            .strategy(self.strategy)
            .format(self.format)
            .table(&*self.table)
    }
}

/// Which Redis, and how it is reached.
#[derive(Clone, Copy)]
enum At<'a> {
    Shared,
    Proxy(&'a str),
    Private(&'a str),
}

async fn connect(over: Over, namespace: &str, at: At<'_>) -> Cache {
    let builder = Cache::builder().namespace(namespace);
    if over == Over::InProcess {
        return builder.in_memory();
    }
    // A busy machine is no reason for a test to see Redis as down.
    let patient = if matches!(at, At::Shared) { 30_000 } else { 250 };
    let builder = builder.timeout(Duration::from_millis(patient));
    if let At::Private(url) = at {
        return builder.connect(url).await.unwrap();
    }
    let schema = Todo::SCHEMA;
    let user = users::redis(&over.url(), namespace, &[schema.prefix()], PLANT).await;
    let url = match at {
        At::Proxy(url) => users::log_in(url, namespace),
        _ => user,
    };
    builder.connect(&url).await.unwrap()
}

/// What tests do to a server through a cache, which the library never does.
pub(crate) const PLANT: &[&str] = &["scan", "del", "lpush"];

/// A read in a task of its own.
pub(crate) fn get(repo: &Repository<Todo>, id: &'static str) -> JoinHandle<Option<Todo>> {
    let repo = repo.clone();
    tokio::spawn(async move { repo.get(id).await.unwrap() })
}

/// A write in a task of its own.
pub(crate) fn save(repo: &Repository<Todo>, entity: Todo) -> JoinHandle<Result<Saved>> {
    let repo = repo.clone();
    tokio::spawn(async move { repo.save(&entity).await })
}

/// The todo's name, or "none".
pub(crate) fn name(found: Option<Todo>) -> String {
    found.map_or("none".to_owned(), |todo| todo.name)
}
