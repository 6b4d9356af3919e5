//! One multiplexed connection that reconnects, gives up quickly, and stays away from a dead server.
//!
//! A call fails when the server says nothing for as long as its timeout, and never waits longer than
//! [`QUEUE_MAX`]: answers come in the order of the commands, so a server that answers the commands in front
//! of a call is not dead, and neither is one whose answer this process was too busy to look at. A lost connection is replaced in
//! the background at the next call, which waits for it; while the server cannot be reached, calls
//! fail at once, and one of them starts another attempt after a backoff.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisResult, aio::MultiplexedConnection,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    client::Dial,
    fault::{Fault, describe, fault},
    link::{Cause, Heard, Link, Next},
};
use crate::{
    backend::CacheError,
    clock::{Clock, Random},
    error::{Error, Result},
    retry::Backoff,
};

/// So many timeouts in a row, with no answer in between, and the connection counts as dead.
const TIMEOUTS_MAX: u32 = 3;
/// How long a call may wait behind others that are answered.
const QUEUE_MAX: Duration = Duration::from_secs(5);
/// How much longer a key or an argument may take.
pub(super) const ARGUMENT: Duration = Duration::from_micros(20);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A connection to one Redis server.
pub(super) struct Connection {
    timeout: Duration,
    shared: Arc<Shared>,
}

/// What calls and the task that connects share.
struct Shared {
    dial: Dial,
    config: AsyncConnectionConfig,
    clock: Clock,
    random: Random,
    link: watch::Sender<Link>,
    timeouts: AtomicU32,
    heard: Heard,
}

impl Connection {
    /// Prepares a connection; nothing is sent yet.
    pub(super) fn new(
        dial: Dial,
        timeout: Duration,
        connect_timeout: Duration,
        clock: Clock,
        random: Random,
    ) -> Self {
        // Answers are waited for in `call`, which bounds the whole of it: one timer, not two.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(None);
        let link = watch::Sender::new(Link::Lost { number: 0 });
        let timeouts = AtomicU32::new(0);
        let heard = Heard::new(clock.now());
        let shared = Arc::new(Shared { dial, config, clock, random, link, timeouts, heard });
        Self { timeout, shared }
    }

    /// Connects for the first time, and waits as long as connecting may take.
    pub(super) async fn open(&self) -> Result<()> {
        let mut link = self.shared.link.subscribe();
        loop {
            match self.shared.next() {
                Next::Use(..) => return Ok(()),
                Next::Fail(Cause { message, is_refusal: true }) => {
                    return Err(Error::configuration(message));
                }
                Next::Fail(Cause { message, .. }) => {
                    return Err(CacheError::unavailable(message).into_error());
                }
                // The sender is a field of what this method borrows.
                Next::Wait => drop(link.changed().await),
            }
        }
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CacheError> {
        let longer = ARGUMENT * u32::try_from(command.args_iter().count()).unwrap_or(u32::MAX);
        self.call_for(longer, async |mut connection| command.query_async(&mut connection).await)
            .await
    }

    pub(super) async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, CacheError> {
        let longer = 4 * ARGUMENT * u32::try_from(pipeline.len()).unwrap_or(u32::MAX / 4);
        self.call_for(longer, async |mut connection| pipeline.query_async(&mut connection).await)
            .await
    }

    /// Sends something over the connection, and waits as long as a call may take.
    pub(super) async fn call<T>(
        &self,
        send: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        self.call_for(Duration::ZERO, send).await
    }

    /// The same with something for which the server needs so much longer.
    pub(super) async fn call_for<T>(
        &self,
        longest: Duration,
        send: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, CacheError> {
        let (clock, timeout) = (&self.shared.clock, self.timeout + longest);
        let (number, connection) = self.get(clock.now() + self.timeout).await?;
        let sent = clock.now();
        let last = sent + timeout.max(QUEUE_MAX);
        let mut deadline = sent + timeout;
        let mut sending = pin!(send(connection));
        loop {
            if let Ok(answer) = timeout_at(deadline, &mut sending).await {
                self.shared.heard.note(clock.now());
                return self.shared.judge(number, answer);
            }
            let now = clock.now();
            // This process came too late to look: the answer may be there.
            let was_busy = now > deadline + timeout / 4;
            let from = if was_busy { now } else { self.shared.heard.last() };
            deadline = last.min(from + timeout);
            if deadline <= now {
                return Err(self.shared.timed_out(number));
            }
        }
    }

    async fn get(&self, deadline: Instant) -> Result<(u64, MultiplexedConnection), CacheError> {
        if let Next::Use(number, connection) = self.shared.next() {
            return Ok((number, connection));
        }
        let mut link = self.shared.link.subscribe();
        loop {
            match self.shared.next() {
                Next::Use(number, connection) => return Ok((number, connection)),
                Next::Fail(cause) => return Err(CacheError::unsent(cause.message)),
                Next::Wait => {
                    if timeout_at(deadline, link.changed()).await.is_err() {
                        return Err(CacheError::unsent(self.shared.late()));
                    }
                }
            }
        }
    }
}

impl Shared {
    /// Looks at the link; where an attempt to connect is due, starts it.
    fn next(self: &Arc<Self>) -> Next {
        match &*self.link.borrow() {
            Link::Open { number, connection } => return Next::Use(*number, connection.clone()),
            Link::Connecting { again: false, .. } => return Next::Wait,
            Link::Connecting { again: true, .. } => return Next::Fail(self.unreachable_yet()),
            Link::Closed { until, cause, .. } if self.clock.now() < *until => {
                return Next::Fail(cause.clone());
            }
            Link::Lost { .. } | Link::Closed { .. } => {}
        }
        let mut started = None;
        self.link.send_if_modified(|link| {
            let connecting = match link {
                Link::Lost { number } => (*number, Backoff::new(BACKOFF_FIRST, BACKOFF_MAX), false),
                Link::Closed { number, backoff, .. } => (*number, *backoff, true),
                // Somebody else was faster.
                Link::Open { .. } | Link::Connecting { .. } => return false,
            };
            let (number, backoff, again) = connecting;
            *link = Link::Connecting { number, backoff, again };
            started = Some(again);
            true
        });
        // A task of its own: callers come and go, and the attempt must end in a state.
        if started.is_some() {
            tokio::spawn(Arc::clone(self).connect());
        }
        match started {
            Some(true) => Next::Fail(self.unreachable_yet()),
            _ => Next::Wait,
        }
    }

    async fn connect(self: Arc<Self>) {
        let attempt = Attempt(self);
        let shared = &attempt.0;
        match shared.dial.connect(&shared.config).await {
            Ok(connection) => {
                shared.timeouts.store(0, Ordering::Relaxed);
                shared.end_attempt(|number, _| Link::Open { number: number + 1, connection });
            }
            Err(cause) => shared.close(cause),
        }
    }

    fn close(&self, cause: Cause) {
        self.end_attempt(|number, mut backoff| {
            let until = self.clock.now() + backoff.wait(&self.random);
            Link::Closed { number, backoff, until, cause }
        });
    }

    fn end_attempt(&self, end: impl FnOnce(u64, Backoff) -> Link) {
        self.link.send_if_modified(|link| match link {
            Link::Connecting { number, backoff, .. } => {
                *link = end(*number, *backoff);
                true
            }
            _ => false,
        });
    }

    /// Turns an answer into a result, and gives the connection up if it is lost.
    fn judge<T>(&self, number: u64, answer: RedisResult<T>) -> Result<T, CacheError> {
        let error = match answer {
            Ok(value) => {
                if self.timeouts.load(Ordering::Relaxed) > 0 && self.is_current(number) {
                    self.timeouts.store(0, Ordering::Relaxed);
                }
                return Ok(value);
            }
            Err(error) => error,
        };
        if error.is_timeout() {
            return Err(self.timed_out(number));
        }
        let cause = describe(&error);
        match fault(&error) {
            Fault::Elsewhere => {
                self.lose(number);
                let message =
                    format!("Redis at {} is no master any more: {cause}", self.dial.address);
                Err(CacheError::later(message))
            }
            Fault::Lost => {
                self.lose(number);
                let message =
                    format!("the connection to Redis at {} was lost: {cause}", self.dial.address);
                Err(CacheError::unavailable(message))
            }
            Fault::Later => Err(CacheError::later(format!("Redis answered: {cause}"))),
            Fault::Full => Err(CacheError::full(format!("Redis takes no writes: {cause}"))),
            Fault::Answered => Err(CacheError::answered(format!("Redis answered: {cause}"))),
        }
    }

    fn timed_out(&self, number: u64) -> CacheError {
        // Late timeouts of a connection that was replaced say nothing about the new one.
        if self.is_current(number)
            && self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_MAX
        {
            self.lose(number);
        }
        CacheError::unavailable(self.late())
    }

    fn late(&self) -> String {
        format!("Redis at {} did not answer in time", self.dial.address)
    }

    fn unreachable_yet(&self) -> Cause {
        let message = format!(
            "Redis at {} could not be reached a moment ago, and is tried again",
            self.dial.address
        );
        Cause { message, is_refusal: false }
    }

    fn is_current(&self, number: u64) -> bool {
        matches!(&*self.link.borrow(), Link::Open { number: current, .. } if *current == number)
    }

    fn lose(&self, number: u64) {
        self.link.send_if_modified(|link| match link {
            Link::Open { number: current, .. } if *current == number => {
                *link = Link::Lost { number };
                true
            }
            _ => false,
        });
    }
}

/// An attempt to connect. If its runtime goes away, the next call starts another one.
struct Attempt(Arc<Shared>);

impl Drop for Attempt {
    fn drop(&mut self) {
        let message = "the attempt to connect to Redis was stopped".to_owned();
        self.0.close(Cause { message, is_refusal: false });
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would show the password.
        f.write_str("Connection")
    }
}
