//! Where connections come from: a pool, and who is asked for the login of new ones.

use sqlx::{Connection, Error, Pool, pool::PoolConnection};
use tokio::sync::Mutex;

use super::{CALL_TIMEOUT, Dialect, StoreError, classify};
use crate::credentials::{Login, Provider};

/// A pool, which for connections that it makes itself may ask for their logins.
pub(super) struct Source<D: Dialect> {
    pool: Pool<D::Database>,
    logins: Option<Logins<D>>,
    /// What begins a read, if a statement alone has no limit.
    begin_read: Option<String>,
}

/// Who is asked for the login of a new connection.
pub(super) struct Logins<D: Dialect> {
    provider: Provider,
    options: Options<D>,
    set: fn(Options<D>, &Login) -> Options<D>,
    /// One asks at a time: an older answer never comes after a newer one.
    turn: Mutex<()>,
}

/// How connections are made.
pub(super) type Options<D> = <super::Connection<D> as Connection>::Options;

impl<D: Dialect> Source<D> {
    /// A pool of an application's own.
    pub(super) fn given(pool: Pool<D::Database>) -> Self {
        let is_limited = D::limits_statements(&pool.connect_options());
        let begin_read = if is_limited { None } else { D::begin_read(CALL_TIMEOUT) };
        Self { pool, logins: None, begin_read }
    }

    /// A pool whose connections limit their statements.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn limited(pool: Pool<D::Database>) -> Self {
        Self { pool, logins: None, begin_read: None }
    }

    /// Who is asked for the logins of its connections.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn with(self, logins: Option<Logins<D>>) -> Self {
        Self { logins, ..self }
    }

    pub(super) fn begin_read(&self) -> Option<&str> {
        self.begin_read.as_deref()
    }

    /// How many connections there are.
    pub(super) fn size(&self) -> u32 {
        self.pool.size()
    }

    pub(super) async fn acquire(&self) -> Result<PoolConnection<D::Database>, StoreError> {
        let failed = |e| classify::<D>(e, "be reached");
        let Some(logins) = &self.logins else { return self.pool.acquire().await.map_err(failed) };
        if let Some(idle) = self.pool.try_acquire() {
            return Ok(idle);
        }
        if self.pool.size() < self.pool.options().get_max_connections() {
            self.renew(logins).await?;
        }
        match self.pool.acquire().await {
            Err(error) if is_refused_login(&error) => {
                self.renew(logins).await?;
                self.pool.acquire().await.map_err(failed)
            }
            acquired => acquired.map_err(failed),
        }
    }

    /// Lets the connections that the pool is about to make log in with what is valid now.
    async fn renew(&self, logins: &Logins<D>) -> Result<(), StoreError> {
        let _turn = logins.turn.lock().await;
        let no_login = |why| StoreError::transient(format!("no login for {}: {why}", D::NAME));
        self.pool.set_connect_options(logins.options().await.map_err(no_login)?);
        Ok(())
    }
}

impl<D: Dialect> Logins<D> {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn new(
        provider: Provider,
        options: Options<D>,
        set: fn(Options<D>, &Login) -> Options<D>,
    ) -> Self {
        Self { provider, options, set, turn: Mutex::new(()) }
    }

    /// The options of a connection with what is valid now, or why there is none.
    pub(super) async fn options(&self) -> Result<Options<D>, String> {
        let login = self.provider.login().await?;
        Ok((self.set)(self.options.clone(), &login))
    }
}

/// Whether the server does not take the user and the password.
pub(super) fn is_refused_login(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.starts_with("28"))
}
