//! The handle to Redis, or to the in-process backend, that all repositories of an application share.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    backend::Backend,
    clock::{Clock, Random},
    memory::MemoryBackend,
};

mod counts;
mod entries;
mod flight;
mod owed;
mod steps;

pub(crate) use counts::Counters;
pub use counts::Counts;
pub(crate) use entries::{Entries, Entry, Lifetimes};
pub(crate) use flight::{Flights, Landing, Lead, Phase};
pub(crate) use owed::Owed;
pub(crate) use steps::{Begun, Filling, Refusal};

/// A connection to Redis, cheap to clone; build repositories on it.
///
/// All repositories of a cache share one multiplexed connection. It reconnects by itself; while
/// Redis cannot be reached, calls fail fast instead of waiting.
#[derive(Clone)]
pub struct Cache {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) namespace: String,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) outage_loads: Arc<Semaphore>,
}

impl Cache {
    /// Connects to a standalone Redis of version 6.2 or newer with the default settings; see
    /// [`CacheBuilder`] for others. The URL is `redis://[user[:password]@]host[:port][/database]` or
    /// `redis+unix:///path`.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if the URL or the server cannot be used,
    /// [`CacheUnavailable`](crate::ErrorKind::CacheUnavailable) if the server does not answer within
    /// the connect timeout.
    #[cfg(feature = "redis")]
    pub async fn connect(url: &str) -> crate::error::Result<Self> {
        Self::builder().connect(url).await
    }

    /// The same protocol inside this process, for a first try and for tests. It is not durable and
    /// other processes do not see it: with `redis_only`, what is saved is gone with the process.
    ///
    /// Time is tokio's, so a test with paused time can let entries expire.
    pub fn in_memory() -> Self {
        Self::builder().in_memory()
    }

    /// Checks that the backend keeps the promises that repositories build on. The namespace must be
    /// unused.
    ///
    /// # Panics
    ///
    /// Where the backend breaks a promise.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub async fn check_conformance(&self) {
        crate::backend::conformance::run(&*self.backend, &self.namespace).await;
    }

    /// The same while Redis refuses to do what it is told, which this brings about: the server must
    /// be nobody else's.
    ///
    /// # Panics
    ///
    /// Where the backend breaks a promise.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub async fn check_conformance_in_trouble(&self) {
        crate::backend::conformance::run_in_trouble(&*self.backend, &self.namespace).await;
    }

    /// Settings for a cache.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// Settings of a [`Cache`].
// The in-process backend has no connection to set.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Debug)]
pub struct CacheBuilder {
    namespace: String,
    timeout: Duration,
    connect_timeout: Duration,
    outage_loads_max: usize,
    accept_cluster: bool,
    refuse_functions: bool,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(2),
            outage_loads_max: OUTAGE_LOADS_MAX,
            accept_cluster: false,
            refuse_functions: false,
        }
    }
}

impl CacheBuilder {
    /// Puts `namespace:` in front of every key, so that applications can share a server. 1 to 64
    /// characters of `A-Z a-z 0-9 _ -`. Defaults to none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a call waits for Redis to answer. Defaults to 250 ms.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long an attempt to connect may take. Defaults to 2 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many queries the repositories of this cache may run at a time while Redis cannot be
    /// reached; further reads wait, and fail after their repository's `store_timeout`. At least 1.
    /// Defaults to 32.
    #[must_use]
    pub fn outage_loads_max(mut self, loads: usize) -> Self {
        self.outage_loads_max = loads.max(1);
        self
    }

    /// Lets tests use one node in cluster mode, to see that keys and scripts fit it.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[must_use]
    pub fn accept_cluster(mut self) -> Self {
        self.accept_cluster = true;
        self
    }

    /// Lets tests run the scripts one by one, as on a server without functions.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[must_use]
    pub fn refuse_functions(mut self) -> Self {
        self.refuse_functions = true;
        self
    }

    /// Connects; see [`Cache::connect`].
    ///
    /// # Errors
    ///
    /// As [`Cache::connect`].
    #[cfg(feature = "redis")]
    pub async fn connect(self, url: &str) -> crate::error::Result<Cache> {
        use crate::{
            error::Error,
            key,
            redis::{Allowed, RedisBackend},
        };

        if !self.namespace.is_empty() {
            key::check_name("namespace", &self.namespace)?;
        }
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("redis" | "redis+unix" | "unix") => {}
            Some("rediss") => {
                return Err(Error::configuration("TLS to Redis (rediss://) is not built yet"));
            }
            _ => {
                return Err(Error::configuration(
                    "the URL of a Redis starts with redis:// or redis+unix://",
                ));
            }
        }
        let (clock, random) = (Clock::new(), Random::new());
        let passed = (clock, random.clone());
        let connecting = RedisBackend::connect(
            url,
            self.timeout,
            self.connect_timeout,
            Allowed { cluster: self.accept_cluster, functions: !self.refuse_functions },
            passed,
        );
        let backend = connecting.await.map_err(|e| e.during("connect", "Redis"))?;
        Ok(self.cache(Arc::new(backend), clock, random))
    }

    /// Builds an in-process cache; see [`Cache::in_memory`].
    pub fn in_memory(self) -> Cache {
        let (clock, random) = (Clock::new(), Random::new());
        let backend = Arc::new(MemoryBackend::new(clock));
        self.cache(backend, clock, random)
    }

    fn cache(self, backend: Arc<dyn Backend>, clock: Clock, random: Random) -> Cache {
        let outage_loads = Arc::new(Semaphore::new(self.outage_loads_max));
        Cache { backend, namespace: self.namespace, clock, random, outage_loads }
    }
}

const OUTAGE_LOADS_MAX: usize = 32;
