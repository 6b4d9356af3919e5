//! The kit's Redis, and what may happen to it.

use std::{sync::Arc, time::Duration};

use super::shared::Shared;
use crate::backend::Incident;

/// The Redis of a [`Kit`](super::Kit): what happens to it, happens to all processes.
///
/// What it holds is read by repositories; a new process has no copies of its own.
#[derive(Clone, Debug)]
pub struct Redis {
    pub(super) shared: Arc<Shared>,
}

impl Redis {
    /// From now on nobody reaches it: every call fails before it does anything.
    pub fn down(&self) {
        self.shared.redis.set_down(true);
        self.shared.tell(format_args!("Redis is down"));
    }

    /// Ends [`down`](Self::down). It has what it had.
    pub fn up(&self) {
        self.shared.redis.set_down(false);
        self.shared.tell(format_args!("Redis is up"));
    }

    /// From now on every answer comes so late; zero ends it. A call whose process waits for less (the
    /// cache's [`timeout`](crate::CacheBuilder::timeout)) takes effect, and its process is not told.
    pub fn slow(&self, delay: Duration) {
        self.shared.redis.set_delay(delay);
        self.shared.tell(format_args!("Redis answers after {} ms", delay.as_millis()));
    }

    /// It is restarted, and has everything that it had, as with `appendfsync always`.
    pub fn restart(&self) {
        self.suffer(Incident::Restart, "Redis is restarted");
    }

    /// Its replica gets everything that it has now. A replica gets nothing by itself, but for what a write
    /// waits for (`replicated(n)`).
    pub fn replicate(&self) {
        self.suffer(Incident::Replicate, "Redis' replica gets everything");
    }

    /// Its replica takes over, with what it got last, or with nothing. What Redis took since is lost.
    pub fn fail_over(&self) {
        self.suffer(Incident::FailOver, "Redis' replica takes over");
    }

    /// Somebody runs `FLUSHALL`.
    pub fn flush_all(&self) {
        self.suffer(Incident::Wipe, "FLUSHALL");
    }

    fn suffer(&self, incident: Incident, what: &str) {
        self.shared.memory.suffer(incident);
        self.shared.tell(format_args!("{what}"));
    }
}
