//! The states that a connection goes through, and what they mean for a call.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::retry::Backoff;

/// The state of the connection.
#[derive(Clone)]
pub(super) enum Link {
    /// There is one. The number tells it from those before and after it.
    Open { number: u64, connection: MultiplexedConnection },
    /// It was lost; the next call connects and waits.
    Lost { number: u64 },
    /// A task is connecting. `again`: an attempt failed before, so nobody waits for this one.
    Connecting { number: u64, backoff: Backoff, again: bool },
    /// The last attempt failed.
    Closed { number: u64, backoff: Backoff, until: Instant, cause: Cause },
}

/// Why an attempt to connect failed.
#[derive(Clone)]
pub(super) struct Cause {
    pub(super) message: String,
    /// The server answered, and did not like the password or the database.
    pub(super) is_refusal: bool,
}

/// When the server answered last.
pub(super) struct Heard {
    born: Instant,
    after_ms: AtomicU64,
}

impl Heard {
    pub(super) fn new(now: Instant) -> Self {
        Self { born: now, after_ms: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, now: Instant) {
        let after_ms = u64::try_from((now - self.born).as_millis()).unwrap_or(u64::MAX);
        self.after_ms.store(after_ms, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.born + Duration::from_millis(self.after_ms.load(Ordering::Relaxed))
    }
}

/// What a call is to do next.
pub(super) enum Next {
    Use(u64, MultiplexedConnection),
    Wait,
    Fail(Cause),
}
