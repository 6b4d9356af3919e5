//! One multiplexed connection that reconnects, gives up quickly, and stays away from a dead server.
//!
//! A call never waits longer than its timeout. A lost connection is replaced at the next call; while
//! the server cannot be reached, calls fail at once and one of them tries again after a backoff.

use std::{
    fmt,
    sync::{
        RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    Script, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    backend::CacheError,
    clock::{Clock, Random},
    error::{Error, Result},
    retry::Backoff,
};

/// So many timeouts in a row, with no answer in between, and the connection counts as dead.
const TIMEOUTS_MAX: u32 = 3;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A connection to one Redis server.
pub(super) struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    clock: Clock,
    random: Random,
    /// What calls use. The number tells a connection from the one that replaced it.
    current: RwLock<Option<(u64, MultiplexedConnection)>>,
    timeouts: AtomicU32,
    /// Before this moment nobody tries to connect.
    closed_until: RwLock<Option<Instant>>,
    /// Held by the one caller that connects.
    connecting: Mutex<Connecting>,
}

struct Connecting {
    backoff: Backoff,
    connections: u64,
}

impl Connecting {
    const fn rested() -> Backoff {
        Backoff::new(BACKOFF_FIRST, BACKOFF_MAX)
    }
}

impl Connection {
    /// Prepares a connection; nothing is sent yet. Refuses URLs that are not for plain TCP or a unix
    /// socket.
    pub(super) fn new(
        url: &str,
        timeout: Duration,
        connect_timeout: Duration,
        clock: Clock,
        random: Random,
    ) -> Result<Self> {
        // The parser's own message is left out: it may quote the password.
        let info = url.into_connection_info().map_err(|_| {
            Error::configuration(
                "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, \
                 with special characters in the password percent-encoded",
            )
        })?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|e| {
            Error::configuration("the Redis URL cannot be used").caused_by(describe(&e))
        })?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self {
            client,
            config,
            clock,
            random,
            current: RwLock::default(),
            timeouts: AtomicU32::new(0),
            closed_until: RwLock::default(),
            connecting: Mutex::new(Connecting { backoff: Connecting::rested(), connections: 0 }),
        })
    }

    pub(super) async fn command<T: FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, CacheError> {
        let (number, mut connection) = self.get().await?;
        self.judge(number, command.query_async(&mut connection).await)
    }

    pub(super) async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, CacheError> {
        let (number, mut connection) = self.get().await?;
        self.judge(number, pipeline.query_async(&mut connection).await)
    }

    /// Runs a script by its hash, and once more with its text where the server does not know it.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<T, CacheError> {
        let (number, mut connection) = self.get().await?;
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(argument);
        }
        self.judge(number, invocation.invoke_async(&mut connection).await)
    }

    async fn get(&self) -> Result<(u64, MultiplexedConnection), CacheError> {
        if let Some(current) = self.open() {
            return Ok(current);
        }
        self.refuse_while_closed()?;
        let mut connecting = self.connecting.lock().await;
        // Somebody else may have connected, or failed to, while this caller waited for the lock.
        if let Some(current) = self.open() {
            return Ok(current);
        }
        self.refuse_while_closed()?;
        match self.client.get_multiplexed_async_connection_with_config(&self.config).await {
            Ok(connection) => {
                connecting.backoff = Connecting::rested();
                connecting.connections += 1;
                let opened = (connecting.connections, connection);
                self.timeouts.store(0, Ordering::Relaxed);
                *write(&self.current) = Some(opened.clone());
                Ok(opened)
            }
            Err(error) => {
                let wait = connecting.backoff.wait(&self.random);
                *write(&self.closed_until) = Some(self.clock.now() + wait);
                let cause = describe(&error);
                Err(CacheError::unavailable(format!("Redis cannot be reached: {cause}")))
            }
        }
    }

    fn open(&self) -> Option<(u64, MultiplexedConnection)> {
        read(&self.current).clone()
    }

    fn refuse_while_closed(&self) -> Result<(), CacheError> {
        match *read(&self.closed_until) {
            Some(until) if self.clock.now() < until => {
                Err(CacheError::unavailable("Redis could not be reached a moment ago"))
            }
            _ => Ok(()),
        }
    }

    /// Turns an answer into a result, and gives the connection up if it is lost.
    fn judge<T>(
        &self,
        number: u64,
        answer: std::result::Result<T, RedisError>,
    ) -> Result<T, CacheError> {
        let error = match answer {
            Ok(value) => {
                if self.timeouts.load(Ordering::Relaxed) > 0 {
                    self.timeouts.store(0, Ordering::Relaxed);
                }
                return Ok(value);
            }
            Err(error) => error,
        };
        let dead =
            error.is_timeout() && self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_MAX;
        if dead || error.is_unrecoverable_error() {
            let mut current = write(&self.current);
            if current.as_ref().is_some_and(|(n, _)| *n == number) {
                *current = None;
            }
        }
        if error.is_timeout() {
            Err(CacheError::unavailable("Redis did not answer in time"))
        } else if error.is_io_error() || error.is_unrecoverable_error() {
            let cause = describe(&error);
            Err(CacheError::unavailable(format!("the connection to Redis was lost: {cause}")))
        } else {
            Err(CacheError::answered(format!("Redis answered: {}", describe(&error))))
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would show the password.
        f.write_str("Connection")
    }
}

/// The error without what may be a secret: servers do not repeat passwords, URLs do.
fn describe(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
