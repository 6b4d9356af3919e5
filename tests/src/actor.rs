//! What the kill tests and their processes share: orders, the entity, and the lines of a log.

use std::{env, path::PathBuf, time::Duration};

use cached_repo::{
    Cache, CachedEntity, Durability, OnFull, Repository, Result, Strategy,
    failpoint::{self, Failure, Point},
    store::{self, SharedStore},
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

mod log;
pub use log::{Answer, ENDED, Line, Log, Operation, STORED};

mod burden;
pub use burden::Burden;

/// Ids that are written again and again.
pub const HOT: i64 = 400;
/// Ids that are written a few times.
pub const COLD: i64 = 5000;
/// The first part of every key.
pub const NAMESPACE: &str = "kills";
/// The partitions of the entity.
pub const PARTITIONS: u32 = 16;
/// A process shares 2 cores and a database with a dozen others.
const CONNECTIONS_MAX: u32 = 6;
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
/// A write that a replica does not get is given up soon, so that the next one is made.
const CONFIRMED_MAX: Duration = Duration::from_millis(100);

/// The environment variable that bounds the backlog of a process' writes.
pub const MAX_BACKLOG: &str = "CACHED_REPO_TEST_MAX_BACKLOG";
/// The one that says what its writes do then, as in the attribute `on_full`. They wait otherwise.
pub const ON_FULL: &str = "CACHED_REPO_TEST_ON_FULL";
/// The one that says how many milliseconds a process may take to end that is told to (SIGTERM).
pub const END_MS: &str = "CACHED_REPO_TEST_END_MS";

/// The environment variable that names the point at which a process kills itself.
pub const KILL_AT: &str = "CACHED_REPO_TEST_KILL_AT";
/// Every point, in the order in which a drain and then a recovery come by.
pub const POINTS: [Point; 11] = [
    Point::Claimed,
    Point::PositionRead,
    Point::RecordsRead,
    Point::PositionMoved,
    Point::RowsWritten,
    Point::LettersWritten,
    Point::Committed,
    Point::Acknowledged,
    Point::TicketPlaced,
    Point::EpochRaised,
    Point::Repaired,
];

/// The entity, as one release or another has it.
pub trait Named: CachedEntity<Id = i64> {
    /// One of this name.
    fn new(id: i64, name: &str) -> Self;

    /// Its name.
    fn name(&self) -> &str;
}

/// The entity that is written.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "items", strategy = "write_behind")]
pub struct Item {
    /// Hot or cold.
    #[cache(id)]
    pub id: i64,
    /// Different for every write.
    pub name: String,
}

impl Named for Item {
    fn new(id: i64, name: &str) -> Self {
        Self { id, name: name.to_owned() }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The same entity as a later release has it: what this one journals the earlier one cannot write.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "items", strategy = "write_behind")]
pub struct NewItem {
    /// Hot or cold.
    #[cache(id)]
    pub id: i64,
    /// Different for every write.
    pub name: String,
    /// The same as the name.
    pub note: Option<String>,
}

impl Named for NewItem {
    fn new(id: i64, name: &str) -> Self {
        Self { id, name: name.to_owned(), note: Some(name.to_owned()) }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// What a process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// What it is for.
    pub role: Role,
    /// The URL of Redis.
    pub redis: String,
    /// The URL of the database.
    pub database: String,
    /// Which release it is of.
    pub release: Release,
    /// How many replicas a write waits for.
    pub replicas: u32,
    /// Where it writes what it did.
    pub log: PathBuf,
    /// Writers and clients stop when this file is there.
    pub stop: PathBuf,
}

/// Which shape of the entity a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// [`Item`].
    Old,
    /// [`NewItem`].
    New,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Saves and deletes.
    Writer {
        /// Whether it drains as well.
        embedded: bool,
        /// Tells writers apart.
        number: u64,
        /// What it chooses follows from this.
        seed: u64,
        /// So many tasks at a time.
        tasks: usize,
        /// At least so many writes of each task; more until it is told to stop.
        writes: usize,
        /// The mean pause between two writes of a task.
        pace_us: u64,
    },
    /// Reads, saves, deletes and evicts a few ids, and logs when each of these began and ended.
    Client {
        /// Tells clients apart.
        number: u64,
        /// What it chooses follows from this.
        seed: u64,
        /// So many tasks at a time.
        tasks: u64,
        /// At least so many operations of each task; more until it is told to stop.
        operations: usize,
        /// How many ids there are.
        ids: i64,
    },
    /// Drains until it is killed.
    Worker,
    /// Reads.
    Reader,
}

/// Arms the point that the environment names, if it names one.
pub fn arm() {
    let Ok(name) = env::var(KILL_AT) else { return };
    let point = POINTS.into_iter().find(|point| format!("{point:?}") == name).unwrap();
    failpoint::arm(point, &format!("{NAMESPACE}:{}", Item::SCHEMA.prefix()), Failure::Kill, 1);
}

/// Connects as the orders say. Nothing is drained but by writers that are told so, and by whoever calls
/// [`Cache::drain`].
///
/// # Errors
///
/// While one of the servers does not answer.
pub async fn connect<E: Named>(orders: &Orders, log: &Log) -> Result<(Cache, Repository<E>)> {
    let told = log.clone();
    let mut builder = Cache::builder()
        .namespace(NAMESPACE)
        .timeout(REDIS_TIMEOUT)
        .on_event(move |event| told.write(&Line::event(event)));
    if !matches!(orders.role, Role::Writer { embedded: true, .. }) {
        builder = builder.no_worker();
    }
    let cache = builder.connect(&orders.redis).await?;
    let store = open(&orders.database).await?;
    let durability = match orders.replicas {
        0 => Durability::Memory,
        replicas => Durability::Replicated(replicas),
    };
    let mut builder = Repository::builder(&cache);
    if let Ok(writes) = env::var(MAX_BACKLOG) {
        builder = builder.max_backlog(writes.parse().unwrap());
    }
    match env::var(ON_FULL).as_deref() {
        Ok("reject") => builder = builder.on_full(OnFull::Reject),
        Ok("write_through") => builder = builder.on_full(OnFull::WriteThrough),
        _ => {}
    }
    let repository = builder
        .strategy(Strategy::WriteBehind)
        .partitions(PARTITIONS)
        .durability(durability)
        .durability_timeout(CONFIRMED_MAX)
        .store(&store)
        .build()
        .await?;
    Ok((cache, repository))
}

/// With few connections where the server has a process for each.
async fn open(url: &str) -> Result<SharedStore> {
    if !url.starts_with("postgres:") {
        return store::connect(url).await;
    }
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    Ok(store::postgres(pool.connect_lazy(url).unwrap()))
}
