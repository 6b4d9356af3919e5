//! Connections to the server of a URL, with TLS where the URL asks for it.

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisResult,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use super::{
    fault::{describe, is_refusal, is_refused_login},
    link::Cause,
};
use crate::{
    credentials::Provider,
    error::{Error, Result},
    tls::Tls,
};

/// Makes connections to one server.
pub(super) struct Dial {
    client: Client,
    /// Asked for the login of every new connection.
    credentials: Option<Provider>,
    /// Where the server listens, for messages.
    pub(super) address: String,
}

impl Dial {
    /// Prepares it; nothing is sent yet.
    pub(super) fn new(url: &str, tls: Option<&Tls>, credentials: Option<Provider>) -> Result<Self> {
        // The parser's own message is left out: it may quote the password.
        let info = url.into_connection_info().map_err(|_| {
            Error::configuration(
                "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, with \
                 special characters in the password percent-encoded",
            )
        })?;
        if credentials.is_some() && info.redis_settings().password().is_some() {
            return Err(Error::configuration(
                "there are `credentials`, and the Redis URL has a password: take one of them out",
            ));
        }
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let address = info.addr().to_string();
        let client = match (info.addr(), tls) {
            (ConnectionAddr::TcpTls { insecure: true, .. }, _) => {
                return Err(Error::configuration(
                    "the Redis URL ends with #insecure, and servers are always verified: trust the \
                     server's own certificate by `Tls::root_certificate`",
                ));
            }
            (ConnectionAddr::TcpTls { .. }, tls) => secured(info, tls)?,
            (_, Some(_)) => {
                return Err(Error::configuration(
                    "there are certificates for TLS, and the Redis URL asks for none: it must begin \
                     with rediss://",
                ));
            }
            (_, None) => Client::open(info).map_err(unusable)?,
        };
        Ok(Self { client, credentials, address })
    }

    /// Connects once; with credentials that are asked for, once more where the server refuses them: they
    /// may have changed in between.
    pub(super) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> std::result::Result<MultiplexedConnection, Cause> {
        let connected = match &self.credentials {
            None => self.client.get_multiplexed_async_connection_with_config(config).await,
            Some(provider) => match self.log_in(provider, config).await? {
                Err(error) if is_refused_login(&error) => self.log_in(provider, config).await?,
                connected => connected,
            },
        };
        connected.map_err(|error| {
            let is_refusal = is_refusal(&error);
            let verb = if is_refusal { "refuses the connection" } else { "cannot be reached" };
            let message = format!("Redis at {} {verb}: {}", self.address, describe(&error));
            Cause { message, is_refusal }
        })
    }

    async fn log_in(
        &self,
        provider: &Provider,
        config: &AsyncConnectionConfig,
    ) -> std::result::Result<RedisResult<MultiplexedConnection>, Cause> {
        let unknown = |why: String| {
            let message = format!("there is no login for Redis at {}: {why}", self.address);
            Cause { message, is_refusal: false }
        };
        let login = provider.login().await.map_err(unknown)?;
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone();
        let settings = settings.set_username(login.user).set_password(login.password);
        let client = match Client::open(info.set_redis_settings(settings)) {
            Ok(client) => client,
            Err(error) => return Ok(Err(error)),
        };
        Ok(client.get_multiplexed_async_connection_with_config(config).await)
    }
}

#[cfg(feature = "tls")]
fn secured(info: redis::ConnectionInfo, tls: Option<&Tls>) -> Result<Client> {
    use redis::{ClientTlsConfig, TlsCertificates};

    // The first in a process counts. Where the application has chosen one, that is taken.
    drop(rustls::crypto::ring::default_provider().install_default());
    let tls = tls.cloned().unwrap_or_default();
    tls.check()?;
    let Tls { root, client } = tls;
    let client =
        client.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Client::build_with_tls(info, TlsCertificates { client_tls: client, root_cert: root })
        .map_err(unusable)
}

#[cfg(not(feature = "tls"))]
fn secured(_: redis::ConnectionInfo, _: Option<&Tls>) -> Result<Client> {
    Err(Error::configuration(
        "a URL with `rediss:` needs the feature `tls` of cached-repo: add it to the dependency in \
         Cargo.toml",
    ))
}

fn unusable(error: redis::RedisError) -> Error {
    Error::configuration("the Redis URL or its certificates cannot be used")
        .caused_by(describe(&error))
}
