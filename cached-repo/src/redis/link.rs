//! The states that a connection goes through, and what they mean for a call.

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

/// What a call is to do next.
pub(super) enum Next {
    Use(u64, MultiplexedConnection),
    Wait,
    Fail(Cause),
}
