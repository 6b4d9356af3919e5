//! E9: random readers and writers with crashing writers: no read is older than the last write that was
//! acknowledged before the read began. The scripted part of it stands in `interleavings.rs` and
//! `interleaved_writes.rs`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cached_repo::{
    Cache, CachedEntity, Change, Outage, Repository, Schema, Strategy,
    store::{
        Applied, Batch, BoxFuture, Description, Entry, Ledger, Query, SharedStore, Store,
        StoreError,
    },
};
use tests::{isolate, servers};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    campaign::{seed, sized, tell, turn},
    databases::{On, open},
    stage::{Todo, todo},
};

const IDS: usize = 16;
const READERS: usize = 8;
const WRITERS: usize = 4;
/// One write in so many dies, half of them before the commit and half after it.
const CRASH_EVERY: usize = 150;

/// A store that numbers the commits of each id, and in which writers die.
#[derive(Debug)]
struct Numbering {
    inner: SharedStore,
    /// Held from before a commit until it has its number.
    commits: Vec<AsyncMutex<usize>>,
    /// Commit number by the name that the write gave its todo.
    numbers: Mutex<HashMap<String, usize>>,
    writes: AtomicUsize,
    crashes: AtomicUsize,
}

impl Numbering {
    fn number(&self, name: &str) -> usize {
        self.numbers.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    async fn apply_one(
        &self,
        schema: &Schema,
        batch: Batch<'_>,
    ) -> Result<Vec<Applied>, StoreError> {
        let turn = self.writes.fetch_add(1, SeqCst) + 1;
        let dies = turn.is_multiple_of(CRASH_EVERY);
        let after = turn.is_multiple_of(2 * CRASH_EVERY);
        if dies && !after {
            self.crash().await;
        }
        let change = &batch.changes[0];
        let id: usize = change.id().text().parse().unwrap();
        let mut commits = self.commits[id].lock().await;
        if let Some(record) = change.record() {
            let name = Todo::from_record(&mut record.clone());
            self.numbers.lock().unwrap().insert(name.unwrap().name, *commits + 1);
        }
        let applied = self.inner.apply(schema, batch).await?;
        *commits += 1;
        drop(commits);
        if after {
            self.crash().await;
        }
        Ok(applied)
    }

    async fn crash(&self) {
        self.crashes.fetch_add(1, SeqCst);
        std::future::pending().await
    }
}

impl Store for Numbering {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<cached_repo::store::Row>, StoreError>> {
        self.inner.load(schema, query)
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        self.inner.check(schema, change)
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        Box::pin(self.apply_one(schema, batch))
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        self.inner.ledger(operation)
    }

    fn describe<'a>(
        &'a self,
        schema: &'a Schema,
    ) -> BoxFuture<'a, Result<Description, StoreError>> {
        self.inner.describe(schema)
    }
}

/// What all tasks of one run share.
struct Run {
    reads_wanted: usize,
    store: Arc<Numbering>,
    /// The highest commit number that was acknowledged, by id.
    acknowledged: Vec<AtomicUsize>,
    reads: AtomicUsize,
    older: AtomicUsize,
    over: AtomicBool,
}

impl Run {
    async fn read(self: Arc<Self>, repo: Repository<Todo>, mut random: fastrand::Rng) {
        while self.reads.fetch_add(1, SeqCst) < self.reads_wanted {
            let id = random.usize(..IDS);
            let floor = self.acknowledged[id].load(SeqCst);
            let found = repo.get(&*id.to_string()).await.unwrap();
            let seen = found.map_or(0, |todo| self.store.number(&todo.name));
            if seen < floor {
                self.older.fetch_add(1, SeqCst);
            }
            // A loop that always hits must not starve the others.
            tokio::task::consume_budget().await;
        }
        self.over.store(true, SeqCst);
    }

    async fn write(
        self: Arc<Self>,
        repo: Repository<Todo>,
        writer: usize,
        mut random: fastrand::Rng,
    ) {
        for turn in 0_usize.. {
            if self.over.load(SeqCst) {
                return;
            }
            let id = random.usize(..IDS);
            let name = format!("{writer}-{turn}");
            let saving = async { repo.save(&todo(&id.to_string(), &name)).await };
            // A crashed writer never answers: its process is gone.
            let deadline = Duration::from_millis(800);
            if let Ok(Ok(_)) = tokio::time::timeout(deadline, saving).await {
                self.acknowledged[id].fetch_max(self.store.number(&name), SeqCst);
            }
            tokio::time::sleep(Duration::from_micros(random.u64(..2000))).await;
        }
    }
}

async fn process(
    (namespace, table): (&str, &str),
    strategy: Strategy,
    store: &SharedStore,
) -> Repository<Todo> {
    let cache = Cache::builder().namespace(namespace).timeout(Duration::from_secs(30));
    Repository::builder(&cache.connect(&servers::redis_url()).await.unwrap())
        .store(store)
        .table(table)
        .strategy(strategy)
        .outage(Outage::Strict)
        .store_timeout(Duration::from_millis(500))
        .intent_grace(Duration::from_millis(500))
        .build()
        .await
        .unwrap()
}

/// The long form is over PostgreSQL, as the campaign is.
async fn no_read_is_older(strategy: Strategy, on: On) {
    let _turn = turn().await;
    let seed = seed();
    let (on, reads_wanted) = sized((on, 60_000), (On::Postgres, 200_000));
    let (inner, _directory) = open(on).await;
    let (namespace, table) = (isolate::unique("older"), isolate::unique("todos"));
    let schema = Todo::SCHEMA.with_table(table.clone());
    inner.ledger(Ledger::Install { schema: &schema }).await.unwrap();
    let store = Arc::new(Numbering {
        inner,
        commits: (0..IDS).map(|_| AsyncMutex::new(0)).collect(),
        numbers: Mutex::default(),
        writes: AtomicUsize::new(0),
        crashes: AtomicUsize::new(0),
    });
    let run = Arc::new(Run {
        reads_wanted,
        store: store.clone(),
        acknowledged: (0..IDS).map(|_| AtomicUsize::new(0)).collect(),
        reads: AtomicUsize::new(0),
        older: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let (place, shared) = ((&*namespace, &*table), store.clone() as SharedStore);
    let mut tasks = tokio::task::JoinSet::new();
    let processes =
        [process(place, strategy, &shared).await, process(place, strategy, &shared).await];
    for task in 0..READERS + WRITERS {
        let repo = processes[task % 2].clone();
        let random = fastrand::Rng::with_seed(seed.wrapping_add(task as u64));
        match task < READERS {
            true => tasks.spawn(run.clone().read(repo, random)),
            false => tasks.spawn(run.clone().write(repo, task, random)),
        };
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let counts = processes.map(|repo| repo.counts());
    let sum = |f: fn(&cached_repo::Counts) -> u64| counts.iter().map(f).sum::<u64>();
    let (writes, crashes) = (store.writes.load(SeqCst), store.crashes.load(SeqCst));
    let older = run.older.load(SeqCst);
    tell(
        &format!("E9 {strategy}"),
        format_args!(
            "{reads_wanted} reads of {IDS} ids over {on:?} by {READERS} readers in 2 processes, {writes} writes \
             by {WRITERS} writers, {crashes} crashed, {} hits, {} loads, {} fills, {} fills refused, {older} \
             older",
            sum(|c| c.hits),
            sum(|c| c.store_loads),
            sum(|c| c.fills),
            sum(|c| c.fills_refused),
        ),
    );
    // While a dead writer's token lives, reads of its id load and fill nothing.
    let idle = sum(|c| c.store_loads) == sum(|c| c.fills);
    assert!(crashes >= 4 && !idle, "the faults did not happen");
    assert!(sum(|c| c.hits) > reads_wanted as u64 / 10, "the cache was not used");
    assert_eq!(older, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_aside() {
    no_read_is_older(Strategy::CacheAside, On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_through() {
    no_read_is_older(Strategy::ReadThrough, On::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_through() {
    no_read_is_older(Strategy::WriteThrough, On::MySql).await;
}
