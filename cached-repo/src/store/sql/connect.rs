//! Stores over pools: those of the user, and those that we open.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;

use super::{SharedStore, SqlStore};
use crate::error::{Error, ErrorKind, Result};

/// A store over a PostgreSQL pool of your own, which must lead to the primary.
#[cfg(feature = "postgres")]
pub fn postgres(pool: sqlx::PgPool) -> SharedStore {
    SqlStore::<super::Postgres>::shared(pool)
}

/// A store over an SQLite pool of your own.
///
/// For durability it should use `synchronous = FULL`, for concurrency the WAL, and a busy timeout.
#[cfg(feature = "sqlite")]
pub fn sqlite(pool: sqlx::SqlitePool) -> SharedStore {
    SqlStore::<super::Sqlite>::shared(pool)
}

/// A store over a MySQL or MariaDB pool of your own, which must lead to the primary, with `autocommit`.
///
/// While a transaction of the store runs, its session is strict and has short timeouts; afterwards it is
/// as it was.
#[cfg(feature = "mysql")]
pub fn mysql(pool: sqlx::MySqlPool) -> SharedStore {
    SqlStore::<super::MySql>::shared(pool)
}

#[cfg(feature = "postgres")]
pub(in crate::store) async fn connect_postgres(url: &str) -> Result<SharedStore> {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

    check_authority(url)?;
    let options: PgConnectOptions = url.parse().map_err(|e| unreadable("postgres", e))?;
    if !matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer)
    {
        return Err(Error::configuration(
            "the store's URL (or PGSSLMODE) asks for TLS, which is not built yet: leave `sslmode` \
             out, or pass a pool of your own to `store::postgres`",
        ));
    }
    let place = format!("PostgreSQL at {}:{}", options.get_host(), options.get_port());
    try_out::<sqlx::PgConnection>(&place, &options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping per call costs a quarter of the throughput. A connection that died in the pool is
        // found by using it, and passed over.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(postgres(pool))
}

#[cfg(feature = "mysql")]
pub(in crate::store) async fn connect_mysql(url: &str) -> Result<SharedStore> {
    use sqlx::{
        Executor,
        mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
    };

    check_authority(url)?;
    let options: MySqlConnectOptions = url.parse().map_err(|e| unreadable("mysql", e))?;
    if !matches!(options.get_ssl_mode(), MySqlSslMode::Disabled | MySqlSslMode::Preferred) {
        return Err(Error::configuration(
            "the store's URL asks for TLS, which is not built yet: leave `ssl-mode` out, or pass a \
             pool of your own to `store::mysql`",
        ));
    }
    if options.get_database().is_none() {
        return Err(Error::configuration(
            "the store's URL names no database: write it behind the host, as in mysql://host/app",
        ));
    }
    if options.get_charset() != "utf8mb4" {
        return Err(Error::configuration(
            "the store's URL asks for a `charset` other than utf8mb4, which would change texts: leave \
             it out",
        ));
    }
    let options = options.statement_cache_capacity(STATEMENTS_MAX);
    let place = format!("MySQL at {}:{}", options.get_host(), options.get_port());
    try_out::<sqlx::MySqlConnection>(&place, &options).await?;
    let pool = MySqlPoolOptions::new()
        .max_connections(MYSQL_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            // A server may have it off: then reads would go on seeing what they saw first.
            Box::pin(async { connection.execute("SET SESSION autocommit = 1").await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(mysql(pool))
}

#[cfg(feature = "sqlite")]
pub(in crate::store) async fn connect_sqlite(url: &str) -> Result<SharedStore> {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };

    let mut options: SqliteConnectOptions = url.parse().map_err(|e| unreadable("sqlite", e))?;
    options = options.busy_timeout(SQLITE_BUSY_TIMEOUT).synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false);
    if url.contains(":memory:") || url.contains("mode=memory") {
        // The database is its connection: there is one, and it is never closed.
        let pool = pool.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(options).await;
        let pool = pool.map_err(|e| unreachable("SQLite in memory", e))?;
        return Ok(sqlite(pool));
    }
    if options.get_filename().as_os_str().is_empty() {
        // Each connection would have an empty database of its own.
        return Err(Error::configuration("the store's `sqlite:` URL names no file"));
    }
    if !url.contains("mode=") {
        options = options.create_if_missing(true);
    }
    if !url.contains("mode=ro") {
        options = options.journal_mode(SqliteJournalMode::Wal);
    }
    let place = format!("SQLite in {}", options.get_filename().display());
    try_out::<sqlx::SqliteConnection>(&place, &options).await?;
    let pool = pool.max_connections(SQLITE_CONNECTIONS_MAX).connect_lazy_with(options);
    Ok(sqlite(pool))
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn check_authority(url: &str) -> Result<()> {
    let authority = url.find("//").map_or(0, |at| at + 2);
    let behind = url[authority..].find(['/', '?', '#']).map_or("", |at| &url[authority + at..]);
    if behind.contains(['@', '#']) {
        // Parts of a password would be taken for host, port or database, and shown.
        return Err(Error::configuration(
            "the store's URL has an `@` or `#` behind the host: percent-encode these and `/`, `?` \
             where they belong to the password",
        ));
    }
    Ok(())
}

/// Connects once without the pool, which would try for as long as its timeout what is refused at once.
async fn try_out<C: Connection>(place: &str, options: &C::Options) -> Result<()> {
    let connected = timeout(CONNECT_TIMEOUT, C::connect_with(options)).await.map_err(|_| {
        let seconds = CONNECT_TIMEOUT.as_secs();
        Error::new(
            ErrorKind::StoreUnavailable,
            format!("{place} did not answer within {seconds} s"),
        )
    })?;
    // What a server says at a failed login names the user and never the password.
    let connection = connected.map_err(|e| unreachable(place, e))?;
    // It has served its purpose, whether or not it says goodbye.
    let _ = timeout(CONNECT_TIMEOUT, connection.close()).await;
    Ok(())
}

fn unreachable(place: &str, error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
    let kind = match code.as_str() {
        // A wrong user, password or database stays wrong.
        code if ["28", "3D", "42"].iter().any(|class| code.starts_with(class)) => {
            ErrorKind::Configuration
        }
        _ => ErrorKind::StoreUnavailable,
    };
    Error::new(kind, format!("cannot connect to {place}")).caused_by(error)
}

fn unreadable(scheme: &str, error: sqlx::Error) -> Error {
    Error::configuration(format!("the store's `{scheme}:` URL cannot be read")).caused_by(error)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A server of PostgreSQL has 100 by default, for all processes together.
#[cfg(feature = "postgres")]
const POSTGRES_CONNECTIONS_MAX: u32 = 16;
/// A server of MySQL or MariaDB has 151 by default, for all processes together.
#[cfg(feature = "mysql")]
const MYSQL_CONNECTIONS_MAX: u32 = 16;
/// A batch is cut into powers of two, each of which is a statement of its own for every entity.
#[cfg(feature = "mysql")]
const STATEMENTS_MAX: usize = 256;
/// Each has a thread; one of them writes.
#[cfg(feature = "sqlite")]
const SQLITE_CONNECTIONS_MAX: u32 = 8;
/// How long another process may write before we give up.
#[cfg(feature = "sqlite")]
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
