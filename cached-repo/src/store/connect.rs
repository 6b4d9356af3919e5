//! Opens a store by the scheme of its URL.

use super::SharedStore;
#[cfg(feature = "mongodb")]
use super::mongo;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use super::sql;
use crate::error::{Error, Result};

/// Opens the database that a URL names.
///
/// | scheme | database | feature |
/// |---|---|---|
/// | `postgres:`, `postgresql:` | PostgreSQL | `postgres` |
/// | `mysql:`, `mariadb:` | MySQL or MariaDB | `mysql` |
/// | `mongodb:` | MongoDB: a replica set, and the database that the path names | `mongodb` |
/// | `sqlite:` | SQLite: a file, which is made if it is missing, or `sqlite::memory:` | `sqlite` |
///
/// # Errors
///
/// When the scheme is not one of these, its feature is off, or the database does not answer within
/// ten seconds.
pub async fn connect(url: &str) -> Result<SharedStore> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => sql::connect::connect_postgres(url).await,
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(feature_is_off(scheme, "postgres")),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => sql::connect::connect_mysql(url).await,
        #[cfg(not(feature = "mysql"))]
        "mysql" | "mariadb" => Err(feature_is_off(scheme, "mysql")),
        #[cfg(feature = "sqlite")]
        "sqlite" => sql::connect::connect_sqlite(url).await,
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(feature_is_off(scheme, "sqlite")),
        #[cfg(feature = "mongodb")]
        "mongodb" | "mongodb+srv" => mongo::connect::connect_mongodb(url).await,
        #[cfg(not(feature = "mongodb"))]
        "mongodb" | "mongodb+srv" => Err(feature_is_off(scheme, "mongodb")),
        // What stands before the colon may be anything, so it is not repeated.
        _ => Err(Error::configuration(format!("the store's URL starts with none of {KNOWN}"))),
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
