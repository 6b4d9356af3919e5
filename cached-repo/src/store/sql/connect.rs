//! Stores over pools: those of the user, and those that we open.

use std::time::Duration;

#[cfg(feature = "postgres")]
use super::CALL_TIMEOUT;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::Logins;
#[cfg(feature = "sqlite")]
use super::trial::unreachable;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::url;
use super::{SharedStore, Source, SqlStore, trial::try_out};
use crate::error::{Error, Result};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::{
    credentials::Provider,
    store::{
        StoreBuilder,
        security::{Said, Way, is_secured, two_passwords},
    },
    tls::Tls,
};

/// A store over a PostgreSQL pool of your own, which must lead to the primary.
///
/// A statement of the store that waits for a lock ends after 10 s. Where your connections have no
/// `statement_timeout`, every read of the store is for that reason a transaction that sets one, which is
/// one more round trip. [`connect`](crate::store::connect) does without, and so do connections whose
/// options set it: `PgConnectOptions::options([("statement_timeout", "10s")])`.
#[cfg(feature = "postgres")]
pub fn postgres(pool: sqlx::PgPool) -> SharedStore {
    SqlStore::<super::Postgres>::shared(Source::given(pool))
}

/// A store over an SQLite pool of your own.
///
/// For durability it should use `synchronous = FULL`, for concurrency the WAL, and a busy timeout.
#[cfg(feature = "sqlite")]
pub fn sqlite(pool: sqlx::SqlitePool) -> SharedStore {
    SqlStore::<super::Sqlite>::shared(Source::given(pool))
}

/// A store over a MySQL or MariaDB pool of your own, which must lead to the primary, with `autocommit`.
///
/// While a transaction of the store runs, its session is strict and has short timeouts; afterwards it is
/// as it was.
#[cfg(feature = "mysql")]
pub fn mysql(pool: sqlx::MySqlPool) -> SharedStore {
    SqlStore::<super::MySql>::shared(Source::given(pool))
}

#[cfg(feature = "postgres")]
pub(in crate::store) async fn connect_postgres(
    url: &str,
    settings: &StoreBuilder,
) -> Result<SharedStore> {
    use sqlx::{
        AssertSqlSafe, Executor,
        postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
    };

    url::check(url, url::POSTGRES)?;
    let mut options: PgConnectOptions = url.parse().map_err(|_| unreadable("postgres"))?;
    let host = options.get_host().to_owned();
    let socket = options.get_socket().map(|path| path.display().to_string());
    // So may the environment, and so does sqlx where it finds one.
    let socket = socket.or_else(|| host.starts_with('/').then(|| host.clone()));
    let said = match options.get_ssl_mode() {
        PgSslMode::Disable => Said::Never,
        PgSslMode::Allow | PgSslMode::Prefer => Said::Nothing,
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Said::Always,
    };
    let way = if socket.is_some() { Way::Socket } else { Way::to(&host) };
    options = match certificates(said, way, settings)? {
        None => options.ssl_mode(PgSslMode::Disable),
        Some(Tls { root, client }) => {
            // The brackets of an address are no part of a certificate's name.
            options = options.host(host.trim_start_matches('[').trim_end_matches(']'));
            if let Some(root) = root {
                options = options.ssl_root_cert_from_pem(root);
            }
            if let Some((chain, key)) = client {
                options = options.ssl_client_cert_from_pem(chain).ssl_client_key_from_pem(key);
            }
            options.ssl_mode(PgSslMode::VerifyFull)
        }
    };
    let port = options.get_port();
    let place = socket.unwrap_or_else(|| format!("{host}:{port}"));
    let place = format!("PostgreSQL at {place}");
    let logins = logins(settings, url)?.map(|provider| {
        Logins::new(provider, options.clone(), |options: PgConnectOptions, login| {
            options.username(&login.user).password(&login.password)
        })
    });
    try_out::<super::Postgres>(&place, &options, logins.as_ref()).await?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping per call costs a quarter of the throughput. A connection that died in the pool is
        // found by using it, and passed over.
        .test_before_acquire(false);
    // Without prepared statements there is a pooler, which gives its connections to others as well.
    if url.contains("statement-cache-capacity=0") {
        return Ok(SqlStore::shared(Source::given(pool.connect_lazy_with(options)).with(logins)));
    }
    let pool = pool.after_connect(|connection, _| {
        let limit = AssertSqlSafe(super::postgres::transaction::limit(CALL_TIMEOUT, false));
        Box::pin(async { connection.execute(limit).await.map(drop) })
    });
    let pool = Source::limited(pool.connect_lazy_with(options));
    Ok(SqlStore::shared(pool.with(logins)))
}

#[cfg(feature = "mysql")]
pub(in crate::store) async fn connect_mysql(
    url: &str,
    settings: &StoreBuilder,
) -> Result<SharedStore> {
    use sqlx::{
        Executor,
        mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
    };

    url::check(url, url::MYSQL)?;
    let mut options: MySqlConnectOptions = url.parse().map_err(|_| unreadable("mysql"))?;
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
    let host = options.get_host().to_owned();
    let socket = options.get_socket().map(|path| path.display().to_string());
    let said = match options.get_ssl_mode() {
        MySqlSslMode::Disabled => Said::Never,
        MySqlSslMode::Preferred => Said::Nothing,
        MySqlSslMode::Required | MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity => {
            Said::Always
        }
    };
    let way = if socket.is_some() { Way::Socket } else { Way::to(&host) };
    options = match certificates(said, way, settings)? {
        None => options.ssl_mode(MySqlSslMode::Disabled),
        Some(Tls { root, client }) => {
            options = options.host(host.trim_start_matches('[').trim_end_matches(']'));
            if let Some(root) = root {
                options = options.ssl_ca_from_pem(root);
            }
            if let Some((chain, key)) = client {
                options = options.ssl_client_cert_from_pem(chain).ssl_client_key_from_pem(key);
            }
            options.ssl_mode(MySqlSslMode::VerifyIdentity)
        }
    };
    let options = options.statement_cache_capacity(STATEMENTS_MAX);
    let port = options.get_port();
    let place = socket.unwrap_or_else(|| format!("{host}:{port}"));
    let place = format!("MySQL at {place}");
    let logins = logins(settings, url)?.map(|provider| {
        Logins::new(provider, options.clone(), |options: MySqlConnectOptions, login| {
            options.username(&login.user).password(&login.password)
        })
    });
    try_out::<super::MySql>(&place, &options, logins.as_ref()).await?;
    let pool = MySqlPoolOptions::new()
        .max_connections(MYSQL_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            // A server may have it off: then reads would go on seeing what they saw first.
            Box::pin(async { connection.execute("SET SESSION autocommit = 1").await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(SqlStore::shared(Source::limited(pool).with(logins)))
}

#[cfg(feature = "sqlite")]
pub(in crate::store) async fn connect_sqlite(url: &str) -> Result<SharedStore> {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };

    let mut options: SqliteConnectOptions = url.parse().map_err(|e: sqlx::Error| {
        Error::configuration("the store's `sqlite:` URL cannot be read").caused_by(e)
    })?;
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
    try_out::<super::Sqlite>(&place, &options, None).await?;
    let pool = pool.max_connections(SQLITE_CONNECTIONS_MAX).connect_lazy_with(options);
    Ok(sqlite(pool))
}

/// The certificates to connect with; none if it is to be without TLS.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn certificates(said: Said, way: Way, settings: &StoreBuilder) -> Result<Option<Tls>> {
    let tls = settings.tls.as_ref();
    if !is_secured(said, way, tls)? {
        return Ok(None);
    }
    if cfg!(not(feature = "tls")) {
        return Err(Error::configuration(
            "this database is connected to with TLS, because it is on another machine or its URL says \
             so, and that needs the feature `tls` of cached-repo: add it to the dependency in Cargo.toml, \
             or write `sslmode=disable` (MySQL: `ssl-mode=DISABLED`) into the URL where the network is safe",
        ));
    }
    let tls = tls.cloned().unwrap_or_default();
    tls.check()?;
    Ok(Some(tls))
}

/// Who is asked for logins.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn logins(settings: &StoreBuilder, url: &str) -> Result<Option<Provider>> {
    if settings.credentials.is_some() && url::has_password(url) {
        return Err(two_passwords());
    }
    Ok(settings.credentials.clone())
}

/// What the driver says is left out: it repeats parts of the URL.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn unreadable(scheme: &str) -> Error {
    Error::configuration(format!(
        "the store's `{scheme}:` URL cannot be read: it is {scheme}://user:password@host:port/database, \
         and `@`, `:`, `/`, `?`, `#` and `%` in user and password are percent-encoded"
    ))
}

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
