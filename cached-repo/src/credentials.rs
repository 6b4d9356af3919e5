//! User names and passwords that change while a process runs.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

/// Where the user name and the password of a connection come from, where they change while the process
/// runs: a file that is rewritten, a vault, a token that expires.
///
/// It is asked before every new connection, and once more after the server has refused what it said; then
/// the connection counts as failed, and the next attempt comes after the usual wait. Connections that are
/// open stay open: a rotation needs no restart. MongoDB's driver makes connections by itself: there the
/// provider is asked before the first one, and again when one is refused or its user is none any more.
///
/// A closure that answers a future is a provider:
///
/// ```
/// use cached_repo::{Cache, Login};
///
/// let builder = Cache::builder().credentials(|| async {
///     let password = std::fs::read_to_string("/run/secrets/redis")?;
///     Ok(Login::new("app", password.trim_end()))
/// });
/// ```
pub trait Credentials: Send + Sync + 'static {
    /// The user and the password for a new connection. Several calls may run at a time; each is given
    /// up after five seconds. An error's text stands in messages and logs: it MUST NOT
    /// hold the password.
    fn login(&self) -> BoxFuture<'_, Result<Login, LoginError>>;
}

/// Why a provider has no login. `?` makes it of every other error.
pub type LoginError = Box<dyn StdError + Send + Sync>;

impl<F, Fut> Credentials for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Login, LoginError>> + Send + 'static,
{
    fn login(&self) -> BoxFuture<'_, Result<Login, LoginError>> {
        Box::pin(self())
    }
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
// Without a server that takes them, nothing reads these.
#[cfg_attr(
    not(any(feature = "redis", feature = "postgres", feature = "mysql", feature = "mongodb")),
    allow(dead_code)
)]
pub struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    /// A login. Redis calls the user without a name `default`.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A provider as connections share it.
#[derive(Clone)]
pub(crate) struct Provider(Arc<dyn Credentials>);

impl Provider {
    pub(crate) fn new(credentials: impl Credentials) -> Self {
        Self(Arc::new(credentials))
    }

    #[cfg_attr(
        not(any(feature = "redis", feature = "postgres", feature = "mysql", feature = "mongodb")),
        allow(dead_code)
    )]
    /// Asks; where there is no answer, says why.
    pub(crate) async fn login(&self) -> Result<Login, String> {
        match timeout(LOGIN_TIMEOUT, self.0.login()).await {
            Ok(Ok(login)) => Ok(login),
            Ok(Err(error)) => Err(format!("the provider of credentials failed: {error}")),
            Err(_) => {
                let seconds = LOGIN_TIMEOUT.as_secs();
                Err(format!("the provider of credentials did not answer within {seconds} s"))
            }
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

const LOGIN_TIMEOUT: Duration = Duration::from_secs(5);
