//! Opens a store by the scheme of its URL.

use super::SharedStore;
#[cfg(feature = "mongodb")]
use super::mongo;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use super::sql;
use crate::{
    credentials::{Credentials, Provider},
    error::{Error, Result},
    tls::Tls,
};

/// Opens the database that a URL names, with the default settings; see [`StoreBuilder`] for others.
///
/// | scheme | database | feature |
/// |---|---|---|
/// | `postgres:`, `postgresql:` | PostgreSQL | `postgres` |
/// | `mysql:`, `mariadb:` | MySQL or MariaDB | `mysql` |
/// | `mongodb:` | MongoDB: a replica set, and the database that the path names | `mongodb` |
/// | `sqlite:` | SQLite: a file, which is made if it is missing, or `sqlite::memory:` | `sqlite` |
///
/// In user and password `@ : / ? # %` are percent-encoded. A unix socket is named as in
/// `postgres://app@localhost/app?host=/directory` and `mysql://app@localhost/app?socket=/path`.
///
/// # TLS
///
/// A server that is not on a loopback address or behind a unix socket is connected to with TLS, and its
/// certificate and name are verified; it is never tried without. For PostgreSQL and MySQL that needs the
/// feature `tls`.
///
/// | the URL says | to other machines | to this machine |
/// |---|---|---|
/// | nothing; `sslmode=prefer`, `allow` | TLS, verified | no TLS, unless [`StoreBuilder`] has certificates |
/// | `sslmode=require`, `verify-ca`, `verify-full` | TLS, verified | TLS, verified |
/// | `sslmode=disable` | no TLS, and a warning in the log | no TLS |
///
/// These are PostgreSQL's words, which may stand in `PGSSLMODE` too. MySQL's are `ssl-mode=DISABLED`,
/// `PREFERRED`, `REQUIRED`, `VERIFY_CA` and `VERIFY_IDENTITY`; MongoDB's are `tls=true` and `tls=false`.
///
/// # Errors
///
/// When the scheme is not one of these, its feature is off, or the database does not answer within
/// ten seconds.
pub async fn connect(url: &str) -> Result<SharedStore> {
    builder().connect(url).await
}

/// Settings for a store that is opened by a URL.
pub fn builder() -> StoreBuilder {
    StoreBuilder::default()
}

/// Settings of a store that is opened by a URL.
#[derive(Clone, Debug, Default)]
pub struct StoreBuilder {
    // Without a database that takes them, nothing reads these.
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
    pub(super) tls: Option<Tls>,
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql", feature = "mongodb")),
        allow(dead_code)
    )]
    pub(super) credentials: Option<Provider>,
}

impl StoreBuilder {
    /// Certificates for TLS, which is used then on loopback addresses as well. PostgreSQL and MySQL take
    /// them; for MongoDB name files in the URL (`tlsCAFile`, `tlsCertificateKeyFile`), because its
    /// driver reads nothing else. Defaults to the roots that browsers trust.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where user and password come from, where they change while the process runs. The URL has no
    /// password then. PostgreSQL, MySQL and MongoDB take them. MongoDB's driver has no hook for each of its
    /// connections: the provider is asked before the first one and whenever the server refuses what it
    /// said last, and what it says then holds for all that follow. Defaults to those of the URL.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Credentials) -> Self {
        self.credentials = Some(Provider::new(credentials));
        self
    }

    /// Opens the database; see [`connect`].
    ///
    /// # Errors
    ///
    /// As [`connect`], and when a setting is not one of this database.
    pub async fn connect(self, url: &str) -> Result<SharedStore> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => sql::connect::connect_postgres(url, &self).await,
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(feature_is_off(scheme, "postgres")),
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => sql::connect::connect_mysql(url, &self).await,
            #[cfg(not(feature = "mysql"))]
            "mysql" | "mariadb" => Err(feature_is_off(scheme, "mysql")),
            #[cfg(feature = "sqlite")]
            "sqlite" if self.tls.is_some() || self.credentials.is_some() => {
                Err(Error::configuration(
                    "there are certificates for TLS or credentials, and SQLite is a file: it asks \
                     nobody who they are",
                ))
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => sql::connect::connect_sqlite(url).await,
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => Err(feature_is_off(scheme, "sqlite")),
            #[cfg(feature = "mongodb")]
            "mongodb" | "mongodb+srv" => mongo::connect::connect_mongodb(url, &self).await,
            #[cfg(not(feature = "mongodb"))]
            "mongodb" | "mongodb+srv" => Err(feature_is_off(scheme, "mongodb")),
            // What stands before the colon may be anything, so it is not repeated.
            _ => Err(Error::configuration(format!("the store's URL starts with none of {KNOWN}"))),
        }
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb")))]
fn feature_is_off(scheme: &str, feature: &str) -> Error {
    Error::configuration(format!(
        "a URL with `{scheme}:` needs the feature `{feature}` of cached-repo: \
         add it to the dependency in Cargo.toml"
    ))
}

const KNOWN: &str = "`postgres:`, `postgresql:`, `mysql:`, `mariadb:`, `mongodb:`, `sqlite:`";
