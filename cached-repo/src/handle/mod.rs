//! The handle to Redis, or to the in-process backend, that all repositories of an application share.

use std::{collections::BTreeSet, fmt, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    backend::Backend,
    clock::{Clock, Random},
    error::{Error, Result},
    key::{Keyspace, check_name},
};

mod builder;
mod drain;
mod started;
#[cfg(feature = "testing")]
mod kit;

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
    /// Time is tokio's, so a test with paused time can let entries expire. Tests that need faults, crashes and
    /// several processes find them in the module `testing` (feature `testing`).
    pub fn in_memory() -> Self {
        Self::builder().in_memory()
    }

    /// The `ACL SETUSER` command that lets a user of this Redis do what repositories with these prefixes
    /// need, and nothing else. Add a password (`>…`) and run it as an administrator. Running it again
    /// changes nothing, and after an update of this crate it is worth a look.
    ///
    /// A process that drains an entity with `after` needs the prefixes of those entities, too.
    ///
    /// The commands for documents (`json_doc`) are in it where this server has them. Every process of an
    /// entity needs them as soon as one of them writes documents.
    ///
    /// What it leaves out is not needed: without `CONFIG GET` nobody is warned of a Redis that makes
    /// snapshots only; where you take `FUNCTION LOAD` and `FCALL` out, scripts do the same. Only snapshots of
    /// `redis_only`, `import` and `export` need `SCAN` in addition, which shows the names of all keys of the
    /// server: add `+scan` for them.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) where a name is none, or for an in-process cache.
    pub fn acl_setuser(&self, user: &str, prefixes: &[&str]) -> Result<String> {
        let commands = self.backend.commands();
        if commands.is_empty() {
            return Err(Error::configuration("an in-process cache has no users"));
        }
        check_name("user", user)?;
        let mut patterns = BTreeSet::new();
        for prefix in prefixes {
            let keys = Keyspace::new(&self.namespace, prefix, self.backend.topology(), 1)?;
            patterns.insert(format!("~{}", keys.pattern()));
            patterns.insert(format!("~{}", keys.backlog(0)));
        }
        let patterns = Vec::from_iter(patterns).join(" ");
        let commands = commands.join(" +");
        Ok(format!("ACL SETUSER {user} on resetkeys resetchannels -@all {patterns} +{commands}"))
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

    /// Checks what those are promised who wait for a confirmation, over a server that says when it is asked
    /// to wait, and answers as often as it may.
    ///
    /// # Panics
    ///
    /// Where a promise is broken.
    #[cfg(all(feature = "conformance", feature = "redis"))]
    #[doc(hidden)]
    pub async fn check_conformance_of_waiting(
        url: &str,
        came: tokio::sync::mpsc::UnboundedReceiver<()>,
        answers: std::sync::Arc<tokio::sync::Semaphore>,
    ) {
        crate::redis::check_waiting(url, came, answers).await;
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
