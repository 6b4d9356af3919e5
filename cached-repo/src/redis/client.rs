//! The client of a URL, with TLS where the URL asks for it.

use redis::{Client, ConnectionAddr, IntoConnectionInfo, io::tcp::TcpSettings};

use super::fault::describe;
use crate::{
    error::{Error, Result},
    tls::Tls,
};

/// Prepares a client, and tells where its server listens; nothing is sent yet.
pub(super) fn client(url: &str, tls: Option<&Tls>) -> Result<(Client, String)> {
    // The parser's own message is left out: it may quote the password.
    let info = url.into_connection_info().map_err(|_| {
        Error::configuration(
            "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, with \
             special characters in the password percent-encoded",
        )
    })?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let address = info.addr().to_string();
    let client = match (info.addr(), tls) {
        (ConnectionAddr::TcpTls { insecure: true, .. }, _) => {
            return Err(Error::configuration(
                "the Redis URL ends with #insecure, and servers are always verified: trust the server's \
                 own certificate by `Tls::root_certificate`",
            ));
        }
        (ConnectionAddr::TcpTls { .. }, tls) => secured(info, tls)?,
        (_, Some(_)) => {
            return Err(Error::configuration(
                "there are certificates for TLS, and the Redis URL asks for none: it must begin with \
                 rediss://",
            ));
        }
        (_, None) => Client::open(info).map_err(unusable)?,
    };
    Ok((client, address))
}

#[cfg(feature = "tls")]
fn secured(info: redis::ConnectionInfo, tls: Option<&Tls>) -> Result<Client> {
    use redis::{ClientTlsConfig, TlsCertificates};

    // The first in a process counts. Where the application has chosen one, that is taken.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Tls { root, client } = tls.cloned().unwrap_or_default();
    let certificates = root.iter().chain(client.iter().map(|(certificate, _)| certificate));
    for pem in certificates {
        // Where there is none the client would trust nobody, and say so when it connects.
        if !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(Error::configuration(
                "one of the certificates for TLS has no PEM text in it (-----BEGIN CERTIFICATE-----)",
            ));
        }
    }
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
