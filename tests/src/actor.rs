//! What the kill tests and their processes share: orders, the entity, and the lines of a log.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use cached_repo::{
    Cache, CachedEntity, Counts, Durability, Event, OnFull, Outcome, Repository, Result, Saved,
    Strategy,
    failpoint::{self, Failure, Point},
    store,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

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
/// What stands in the log in place of an error, where a write went to the database.
pub const STORED: &str = "it was written through";
/// The event that a process which is told to end logs last.
pub const ENDED: &str = "Ended";
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

/// What a process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// What it is for.
    pub role: Role,
    /// The URL of Redis.
    pub redis: String,
    /// The URL of the database.
    pub postgres: String,
    /// How many replicas a write waits for.
    pub replicas: u32,
    /// Where it writes what it did.
    pub log: PathBuf,
    /// Writers stop when this file is there.
    pub stop: PathBuf,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Saves and deletes.
    Writer {
        /// Whether it drains as well.
        embedded: bool,
        /// Tells writers apart, and what they do.
        seed: u64,
        /// So many tasks at a time.
        tasks: usize,
        /// At least so many writes of each task; more until it is told to stop.
        writes: usize,
        /// The mean pause between two writes of a task.
        pace_us: u64,
    },
    /// Drains until it is killed.
    Worker,
    /// Reads.
    Reader,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Line {
    /// The repository is built.
    Ready,
    /// A write that was acknowledged. Without a name it is a delete.
    Acknowledged {
        /// Of what.
        id: i64,
        /// The value.
        name: Option<String>,
        /// As the receipt says.
        version: u64,
    },
    /// A write that failed.
    Failed {
        /// Of what.
        id: i64,
        /// The value.
        name: Option<String>,
        /// Whether it may have been journaled all the same.
        unknown: bool,
        /// Why.
        error: String,
    },
    /// Something happened to a journal.
    Event {
        /// Which event.
        name: String,
        /// All of it.
        text: String,
    },
    /// What the repository did so far.
    Counts {
        /// Records that were applied.
        drained: u64,
        /// Records that were left out.
        coalesced: u64,
        /// Drains that lost against another one.
        conflicts: u64,
        /// Drains that failed.
        failures: u64,
    },
}

impl Line {
    /// What became of a write. One that was written through has no version to order it by: it counts as
    /// one of which nobody knows.
    pub fn written(id: i64, name: Option<String>, outcome: Result<Saved>) -> Self {
        match outcome.map(|saved| saved.version()) {
            Ok(Some(version)) => Self::Acknowledged { id, name, version },
            Ok(None) => Self::Failed { id, name, unknown: true, error: STORED.to_owned() },
            Err(error) => {
                let unknown = error.outcome() != Outcome::NotApplied;
                Self::Failed { id, name, unknown, error: error.to_string() }
            }
        }
    }

    /// How a process ended that was told to: with so many writes that it did not drain.
    pub fn ended(left: u64) -> Self {
        Self::Event { name: ENDED.to_owned(), text: left.to_string() }
    }

    /// What a repository did.
    pub fn counts(counts: &Counts) -> Self {
        Self::Counts {
            drained: counts.drained,
            coalesced: counts.coalesced,
            conflicts: counts.drain_conflicts,
            failures: counts.drain_failures,
        }
    }

    fn event(event: &Event) -> Self {
        let text = format!("{event:?}");
        let name = text.split(' ').next().unwrap_or_default().to_owned();
        Self::Event { name, text }
    }
}

/// Where a process writes what it did, one line at a time.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<fs::File>>);

impl Log {
    /// Opens it.
    pub fn new(path: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(path);
        Self(Arc::new(Mutex::new(file.unwrap())))
    }

    /// Appends a line. When this returns, a kill of the process cannot lose it.
    pub fn write(&self, line: &Line) {
        let text = format!("{}\n", serde_json::to_string(line).unwrap());
        self.0.lock().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The lines of a log; its process may be writing another one.
    pub fn read(path: &Path) -> Vec<Line> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
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
pub async fn connect(orders: &Orders, log: &Log) -> Result<(Cache, Repository<Item>)> {
    let told = log.clone();
    let mut builder = Cache::builder()
        .namespace(NAMESPACE)
        .timeout(REDIS_TIMEOUT)
        .on_event(move |event| told.write(&Line::event(event)));
    if !matches!(orders.role, Role::Writer { embedded: true, .. }) {
        builder = builder.no_worker();
    }
    let cache = builder.connect(&orders.redis).await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    let pool = pool.connect_lazy(&orders.postgres).unwrap();
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
        .store(&store::postgres(pool))
        .build()
        .await?;
    Ok((cache, repository))
}
