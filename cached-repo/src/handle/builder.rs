//! Settings of a [`Cache`], and connecting.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{Cache, drain::Duties};
use crate::{
    backend::Backend,
    clock::{Clock, Random},
    credentials::{Credentials, Provider},
    journal::{Event, Listener},
    memory::MemoryBackend,
    tls::Tls,
};

/// Settings of a [`Cache`].
// The in-process backend has no connection to set.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Debug)]
pub struct CacheBuilder {
    namespace: String,
    timeout: Duration,
    connect_timeout: Duration,
    tls: Option<Tls>,
    credentials: Option<Provider>,
    outage_loads_max: usize,
    accept_cluster: bool,
    refuse_functions: bool,
    no_worker: bool,
    listener: Listener,
    seed: Option<u64>,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(2),
            tls: None,
            credentials: None,
            outage_loads_max: OUTAGE_LOADS_MAX,
            accept_cluster: false,
            refuse_functions: false,
            no_worker: false,
            listener: Listener::default(),
            seed: None,
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

    /// Certificates for a `rediss://` URL, where those that are known everywhere are not the right ones.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where user and password come from, where they change while the process runs. The URL has no
    /// password then. Defaults to those of the URL.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Credentials) -> Self {
        self.credentials = Some(Provider::new(credentials));
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

    /// Leaves draining journals to other processes. By default every process drains what it and others
    /// have journaled, in the background.
    #[must_use]
    pub fn no_worker(mut self) -> Self {
        self.no_worker = true;
        self
    }

    /// Calls this for everything that happens to a journal and that a person should know. It is called
    /// on the tasks that drain and write: it must not block.
    #[must_use]
    pub fn on_event(mut self, callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(callback);
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

    /// Lets a simulation draw the same random numbers in every run.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    fn random(&self) -> Random {
        match self.seed {
            #[cfg(feature = "conformance")]
            Some(seed) => Random::seeded(seed),
            _ => Random::new(),
        }
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
            Some("redis" | "rediss" | "redis+unix" | "unix") => {}
            _ => {
                return Err(Error::configuration(
                    "the URL of a Redis starts with redis://, rediss:// or redis+unix://",
                ));
            }
        }
        let (clock, random) = (Clock::new(), self.random());
        let passed = (clock, random.clone());
        let connecting = RedisBackend::connect(
            (url, self.tls.as_ref(), self.credentials.clone()),
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
        let (clock, random) = (Clock::new(), self.random());
        let backend = Arc::new(MemoryBackend::new(clock));
        self.cache(backend, clock, random)
    }

    /// Lets tests have several processes over the backend of one in-process cache: this one has a
    /// worker, a listener and repositories of its own.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub fn beside(mut self, other: &Cache) -> Cache {
        self.namespace.clone_from(&other.namespace);
        let random = self.random();
        self.cache(Arc::clone(&other.backend), other.clock, random)
    }

    /// Builds a process of a test kit: `connect` makes its connection, with this cache's timeout. It is told
    /// of no event any more once it is over.
    #[cfg(feature = "testing")]
    pub(crate) fn of_kit(
        mut self,
        connect: impl FnOnce(Duration) -> Arc<dyn Backend>,
        (clock, random): (Clock, Random),
        is_over: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Cache {
        self.listener = std::mem::take(&mut self.listener).until(is_over);
        let backend = connect(self.timeout);
        self.cache(backend, clock, random)
    }

    fn cache(self, backend: Arc<dyn Backend>, clock: Clock, random: Random) -> Cache {
        let outage_loads = Arc::new(Semaphore::new(self.outage_loads_max));
        let duties = Arc::new(Duties::new(self.listener, !self.no_worker));
        Cache { backend, namespace: self.namespace, clock, random, outage_loads, duties }
    }
}

const OUTAGE_LOADS_MAX: usize = 32;
