//! The handle to Redis, or to the in-process backend, that all repositories of an application share.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    backend::Backend,
    clock::{Clock, Random},
};

mod builder;
mod drain;

pub use builder::CacheBuilder;
pub(crate) use drain::Duties;
pub use drain::{Health, Shutdown};

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
    pub(crate) duties: Arc<Duties>,
}

impl Cache {
    /// Connects to a standalone Redis of version 6.2 or newer with the default settings; see
    /// [`CacheBuilder`] for others. The URL is `redis://[user[:password]@]host[:port][/database]`, the
    /// same with `rediss://` for TLS (feature `tls`), or `redis+unix:///path`.
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

    /// Lets something happen to an in-process cache that no client asks for.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub async fn suffer(&self, incident: crate::backend::Incident) -> crate::error::Result<()> {
        // Of no entity: what happens, happens to the whole server.
        let keys = crate::key::Keyspace::new(&self.namespace, "x", self.backend.topology(), 1)?;
        let suffered = self.backend.incident(&keys, incident).await;
        suffered.map_err(crate::backend::CacheError::into_error)
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
