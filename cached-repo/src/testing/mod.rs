//! A test kit for services that use this crate: a Redis, a database and processes inside a test, with
//! virtual time, named faults and crash points.
//!
//! The repositories are the real ones, and so are the protocols: only the servers are inside the test. The
//! code that is tested gets a [`Cache`] and a store, as `main` would give them, and is not changed for it:
//!
//! ```
//! use cached_repo::{Cache, CachedEntity, Repository, Result, store::SharedStore, testing::{Kit, Point, Step}};
//!
//! #[derive(Clone, Debug, PartialEq, CachedEntity)]
//! #[cache(prefix = "orders", strategy = "write_behind")]
//! struct Order {
//!     #[cache(id)]
//!     id: u32,
//!     is_paid: bool,
//! }
//!
//! /// What is tested.
//! struct Shop(Repository<Order>);
//!
//! impl Shop {
//!     async fn open(cache: &Cache, store: &SharedStore) -> Result<Self> {
//!         Ok(Self(Repository::builder(cache).store(store).build().await?))
//!     }
//!
//!     async fn pay(&self, id: u32) -> Result<()> {
//!         self.0.save(&Order { id, is_paid: true }).await.map(drop)
//!     }
//! }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<()> {
//! let kit = Kit::seeded(7);
//! let process = kit.process();
//! let shop = Shop::open(process.cache(), process.store()).await?;
//!
//! // The worker dies when the database has committed the order, before it can tell Redis.
//! process.at(Point::After(Step::Drain)).crash();
//! shop.pay(1).await?;
//!
//! // Another process goes on, and the order is there, once.
//! let process = kit.process();
//! let shop = Shop::open(process.cache(), process.store()).await?;
//! kit.settle().await?;
//! assert_eq!(kit.database().rows::<Order>()?, [Order { id: 1, is_paid: true }]);
//! assert_eq!(kit.armed(), 0); // The crash that was to happen has happened.
//! # Ok(())
//! # }
//! ```
//!
//! ```toml
//! [dev-dependencies]
//! cached-repo = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! # What a test can do
//!
//! - Several processes: each [`Kit::process`] is one. [`Process::crash`] ends it here and now.
//! - Faults at named points: [`Kit::at`] catches the next call that comes by a [`Point`], [`Process::at`] that
//!   of one process. It fails, it is held until the test says how it goes on, or its process dies.
//! - [`Redis`] is down, slow, restarted, flushed, or replaced by a replica that lags; the [`Database`] is down,
//!   slow, broken, or refuses rows. Its rows are told, and written as another program would.
//! - [`Kit::settle`] waits until everything that was acknowledged is in the database, or says what keeps it.
//!   [`Kit::armed`] tells whether the faults that were to happen have happened.
//!
//! # Time
//!
//! Time is tokio's. With `start_paused = true` (tokio's feature `test-util`) it stands still while anything
//! can run, and jumps to the next timer when nothing can: an hour's time to live is over at once after
//! `tokio::time::sleep` of an hour, and no test sleeps. Without it everything works as well, and takes the
//! time that it takes.
//!
//! # The same run again
//!
//! On a runtime of one thread (`#[tokio::test]` has one) with paused time, a test that does the same is the
//! same run: the seed decides all random numbers of the library, and [`Kit::trace`] says what happened.
//!
//! # What is not as with real servers
//!
//! The database has no types, constraints and triggers of its own, but for what [`Database::refuse`] says;
//! run the tests that need those over the real one. Nothing is durable, and `fsync` is always reached.

use std::{sync::Arc, time::Duration};

use crate::{
    entity::CachedEntity,
    handle::{Cache, CacheBuilder},
    store::SharedStore,
};

#[doc(hidden)]
pub mod gates;

mod point;
pub use point::{Point, Step};

mod process;
pub use process::Process;

mod server;
pub use server::Redis;

mod database;
pub use database::Database;

mod settle;

mod line;
mod shared;
mod to_database;
mod to_redis;

use line::Line;
use shared::{Failure, Shared, Visit};
use to_database::ToDatabase;
use to_redis::ToRedis;

/// A Redis, a database, and the processes over them. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Kit {
    shared: Arc<Shared>,
}

impl Kit {
    /// A kit whose random numbers begin with this seed. Make it inside the test, whose time it follows.
    pub fn seeded(seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(seed)) }
    }

    /// Starts a process with the default settings.
    pub fn process(&self) -> Process {
        self.process_with(Cache::builder())
    }

    /// Starts a process whose cache has these settings: a namespace, a callback for events, no worker. What
    /// is about a real connection (`connect_timeout`, `tls`, `credentials`) does not matter here.
    pub fn process_with(&self, settings: CacheBuilder) -> Process {
        let shared = &self.shared;
        let (life, random) = shared.begin();
        let line = || Line { shared: Arc::clone(shared), life: Arc::clone(&life) };
        let connect = |timeout: Duration| {
            let memory = Arc::clone(&shared.memory);
            Arc::new(ToRedis { line: line(), memory, timeout }) as _
        };
        let listener = Arc::clone(&life);
        let cache = settings.of_kit(connect, (shared.clock, random), move || listener.is_over());
        life.begin(&cache.duties);
        let store: SharedStore = Arc::new(ToDatabase { line: line() });
        Process { shared: Arc::clone(shared), life, cache, store }
    }

    /// The Redis of all processes.
    pub fn redis(&self) -> Redis {
        Redis { shared: Arc::clone(&self.shared) }
    }

    /// The database of all processes.
    pub fn database(&self) -> Database {
        Database { shared: Arc::clone(&self.shared) }
    }

    /// The next time that any process comes by a point.
    pub fn at(&self, point: Point) -> At {
        At::new(Arc::clone(&self.shared), point, None)
    }

    /// How many of the faults, crashes and holds that [`at`](Self::at) placed nobody has met yet. A test that
    /// means to provoke one sees by this whether it did.
    pub fn armed(&self) -> usize {
        self.shared.gates.waiting()
    }

    /// What the processes did and what happened to them, in order, each with its time: for a person who
    /// looks for why a test fails. The latest 10 000 lines; what only looks whether there is something to do
    /// is left out.
    pub fn trace(&self) -> Vec<String> {
        self.shared.trace()
    }
}

/// The next time that a process comes by a point: say what happens to it there. Several of one point
/// happen one after another.
#[derive(Debug)]
#[must_use = "nothing happens there until it is said what: `crash`, `fail` or `hold`"]
pub struct At {
    shared: Arc<Shared>,
    point: Point,
    process: Option<u32>,
    prefix: Option<String>,
}

impl At {
    fn new(shared: Arc<Shared>, point: Point, process: Option<u32>) -> Self {
        Self { shared, point, process, prefix: None }
    }

    /// Only where it is about this entity.
    pub fn of<E: CachedEntity>(mut self) -> Self {
        self.prefix = Some(E::SCHEMA.prefix().to_owned());
        self
    }

    /// The process dies there: see [`Process::crash`].
    pub fn crash(self) {
        let catches = self.catches();
        self.shared.gates.fail(catches, Failure::Crash);
    }

    /// The call fails there, as if the connection were lost: before the step nothing is done, behind it
    /// everything is, and the answer is lost.
    pub fn fail(self) {
        let catches = self.catches();
        self.shared.gates.fail(catches, Failure::Fail);
    }

    /// The call waits there until the test says how it goes on, however long that is.
    pub fn hold(self) -> Held {
        let catches = self.catches();
        Held(self.shared.gates.hold(catches))
    }

    fn catches(&self) -> impl Fn(&Visit) -> bool + Send + use<> {
        let Self { point, process, prefix, .. } = self;
        let (point, process, prefix) = (*point, *process, prefix.clone());
        move |visit| {
            visit.point == point
                && process.is_none_or(|process| visit.process == process)
                && prefix.as_ref().is_none_or(|prefix| visit.entity == *prefix)
        }
    }
}

/// A call that is held at a point, or will be. Dropping it lets the call go on.
#[derive(Debug)]
#[must_use = "dropping it lets the call go on"]
pub struct Held(gates::Held<Failure>);

impl Held {
    /// Waits until a call is held.
    pub async fn arrived(&self) {
        self.0.arrived().await;
    }

    /// Whether a call is, or was, held.
    pub fn has_arrived(&self) -> bool {
        self.0.has_arrived()
    }

    /// Lets the call go on. Before it arrives: it will not be held.
    pub fn release(self) {
        self.0.release();
    }

    /// Lets the call fail here: see [`At::fail`].
    pub fn fail(self) {
        self.0.fail(Failure::Fail);
    }

    /// Lets the process of the call die here: see [`Process::crash`].
    pub fn crash(self) {
        self.0.fail(Failure::Crash);
    }
}
