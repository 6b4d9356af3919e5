//! One entity in one partition, a process that writes and one that drains, and what must hold at the end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cached_repo::{
    Cache, CacheBuilder, CachedEntity, ErrorKind, Repository, Strategy,
    failpoint::{self, Failure, Point},
    store::{Entry, Ledger, Offset, SharedStore},
};
use tests::{isolate, servers};
use tokio::time::sleep;

use crate::stage::{On, Todo, name, one_name, open, todo};

/// A test hangs if what it waits for takes longer.
const HANG: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
const IDS: usize = 8;
/// One write in so many is a delete.
const DELETE_EVERY: u8 = 4;
const BATCH: usize = 8;
/// The name that only one row may have.
const POISON: &str = "poison";

pub(super) struct Scene {
    point: Point,
    failure: Failure,
    what: String,
    entity: String,
    table: String,
    store: SharedStore,
    /// A process that does not drain.
    writer: Repository<Todo>,
    cache: Cache,
    worker: Repository<Todo>,
    redis: redis::aio::MultiplexedConnection,
    /// How often the worker is to have met the failure.
    met: usize,
    /// The names of the rows, and "none" for what was deleted.
    model: BTreeMap<String, String>,
    /// The versions of the writes that the database refuses.
    poison: Vec<u64>,
    /// Holds the file of an SQLite database.
    _directory: Option<tempfile::TempDir>,
}

impl Scene {
    pub(super) async fn new(point: Point, failure: Failure, on: On) -> Self {
        let (store, directory) = open(on).await;
        let (namespace, table) = (isolate::unique("points"), isolate::unique("todos"));
        let schema = Todo::SCHEMA.with_table(table.clone());
        store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        one_name(on, directory.as_ref(), &table, Some(POISON)).await;
        let builder = || Cache::builder().namespace(&*namespace).timeout(HANG);
        let connect = async |builder: CacheBuilder| {
            let cache = builder.connect(&servers::redis_url()).await.unwrap();
            let repo = repository(&cache, &store, &table).build().await.unwrap();
            (cache, repo)
        };
        let (_, writer) = connect(builder().no_worker()).await;
        let (cache, worker) = connect(builder()).await;
        let redis = tests::raw(servers::redis_url()).await;
        // The one row, and the journal's first epoch.
        let first = worker.save(&todo("first", POISON)).await.unwrap();
        first.persisted().await.unwrap();
        Self {
            point,
            failure,
            what: format!("{failure:?} at {point:?} over {on:?}"),
            entity: format!("{namespace}:{}", Todo::SCHEMA.prefix()),
            table,
            store,
            writer,
            cache,
            worker,
            redis,
            met: 0,
            model: BTreeMap::from([("first".to_owned(), POISON.to_owned())]),
            poison: Vec::new(),
            _directory: directory,
        }
    }

    pub(super) fn is_of_a_recovery(point: Point) -> bool {
        matches!(point, Point::TicketPlaced | Point::EpochRaised | Point::Repaired)
    }

    /// Puts and deletes, several of each id.
    pub(super) async fn write(&mut self, writes: usize) {
        for _ in 0..writes {
            let id = fastrand::usize(..IDS).to_string();
            let value = match fastrand::u8(..DELETE_EVERY) {
                0 => "none".to_owned(),
                _ => isolate::unique("value"),
            };
            let written = match value.as_str() {
                "none" => self.writer.delete(&id).await,
                _ => self.writer.save(&todo(&id, &value)).await,
            };
            written.unwrap();
            self.model.insert(id, value);
        }
    }

    /// One write that the database refuses.
    pub(super) async fn write_poison(&mut self) {
        let id = format!("poison-{}", self.poison.len());
        let saved = self.writer.save(&todo(&id, POISON)).await.unwrap();
        self.poison.push(saved.version().unwrap());
        self.model.insert(id, "none".to_owned());
    }

    /// Lets the worker meet the failure so many times.
    pub(super) fn meet(&mut self, times: usize) {
        failpoint::arm(self.point, &self.entity, self.failure, times);
        self.met += times;
    }

    /// Waits until it has.
    pub(super) async fn was_met(&mut self) {
        let begin = Instant::now();
        while failpoint::left(self.point, &self.entity) > 0 || self.noticed() < self.expected() {
            assert!(begin.elapsed() < HANG, "{} was not met", self.what);
            if failpoint::left(self.point, &self.entity) > 0 {
                self.write(1).await;
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// How often the worker says that it failed.
    fn noticed(&self) -> usize {
        let counts = self.worker.counts();
        match self.failure {
            Failure::Panic => counts.drain_panics as usize,
            _ => counts.drain_failures as usize,
        }
    }

    fn expected(&self) -> usize {
        if matches!(self.failure, Failure::Delay(_)) { 0 } else { self.met }
    }

    /// Raises the epoch in the store, as a recovery does that is not complete, and lets the worker meet the
    /// failure once. The recovery before is complete: else it would do for both.
    pub(super) async fn raise_epoch(&mut self) {
        let begin = Instant::now();
        while self.offset().await.settled < self.offset().await.epoch {
            assert!(begin.elapsed() < HANG, "{}: it does not recover", self.what);
            sleep(LOOK_INTERVAL).await;
        }
        let key = self.own_key("meta");
        let home: String =
            redis::cmd("HGET").arg(key).arg("home").query_async(&mut self.redis).await.unwrap();
        self.meet(1);
        let (entity, journal, home) = (&*self.entity, "another", &*home);
        let (partition, epoch_min, seen) = (0, 0, self.offset().await.epoch);
        let recover = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
        self.store.ledger(recover).await.unwrap();
    }

    /// Everything is drained, and where it belongs.
    pub(super) async fn check(&mut self) {
        let what = self.what.clone();
        self.flush().await;
        let rows = Cache::builder().no_worker().in_memory();
        let rows = repository(&rows, &self.store, &self.table).strategy(Strategy::CacheAside);
        let rows: Repository<Todo> = rows.build().await.unwrap();
        assert_eq!(self.read(&rows).await, self.model, "the store after {what}");
        for when in ["drained", "evicted"] {
            assert_eq!(self.read(&self.writer).await, self.model, "{when} after {what}");
            for id in self.model.keys() {
                assert!(self.worker.evict(id).await.unwrap(), "{id} is dirty still after {what}");
            }
        }
        let offset = self.offset().await;
        let meta: BTreeMap<String, String> = redis::cmd("HGETALL")
            .arg(self.own_key("meta"))
            .query_async(&mut self.redis)
            .await
            .unwrap();
        let count: u64 = meta["count"].parse().unwrap();
        let sum = offset.applied + offset.coalesced + offset.dead_lettered;
        assert_eq!((count, &meta["count"]), (sum, &meta["acked_count"]), "{what}: {offset:?}");
        let letters = self.cache.dead_letters().list(Todo::SCHEMA.prefix()).await.unwrap();
        let letters: Vec<u64> = letters.iter().map(|letter| letter.version).collect();
        assert_eq!(letters, self.poison, "the dead letters after {what}");
        assert_eq!(offset.dead_lettered as usize, self.poison.len(), "{what}");
        assert!(self.noticed() >= self.expected(), "{what} was not noticed");
    }

    /// Waits until everything is drained.
    pub(super) async fn flush(&mut self) {
        let begin = Instant::now();
        while let Err(error) = self.worker.flush().await {
            // A recovery came in between.
            assert_eq!(error.kind(), ErrorKind::Recovered, "{}: {error}", self.what);
            assert!(begin.elapsed() < HANG, "{}: it does not drain", self.what);
            sleep(LOOK_INTERVAL).await;
        }
    }

    async fn read(&self, repo: &Repository<Todo>) -> BTreeMap<String, String> {
        let found = repo.get_many(self.model.keys()).await.unwrap();
        self.model.keys().cloned().zip(found.into_iter().map(name)).collect()
    }

    async fn offset(&self) -> Offset {
        let find = Ledger::Offset { entity: &self.entity, partition: 0 };
        match self.store.ledger(find).await.unwrap() {
            Entry::Offset(Some(offset)) => offset,
            other => panic!("there is no offset: {other:?}"),
        }
    }

    /// One of the library's own keys of the partition.
    fn own_key(&self, what: &str) -> String {
        format!("{}:@{what}:0", self.entity)
    }
}

fn repository(
    cache: &Cache,
    store: &SharedStore,
    table: &str,
) -> cached_repo::RepositoryBuilder<Todo> {
    Repository::builder(cache)
        .store(store)
        .strategy(Strategy::WriteBehind)
        .table(table)
        .partitions(1)
        .batch(BATCH)
}
