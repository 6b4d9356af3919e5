//! What is looked at in a URL before the driver reads it.

use crate::error::{Error, Result};

/// Refuses a URL of which the driver would take a part for another, or leave one out.
pub(super) fn check(url: &str, parameters: &[&str]) -> Result<()> {
    let (_, behind) = split(url);
    if behind.contains(['@', '#']) {
        // Parts of a password would be taken for host, port or database, and shown.
        return Err(Error::configuration(
            "the store's URL has an `@` or `#` behind the host: percent-encode these and `/`, `?` \
             where they belong to the password",
        ));
    }
    let query = behind.split_once('?').map_or("", |(_, query)| query);
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let is_known = |name: &str| {
        let stem = name.split_once('[').map_or(name, |(stem, _)| stem);
        name.is_empty() || parameters.contains(&stem)
    };
    if !names.all(is_known) {
        // A setting that the driver leaves out may have been meant for safety. Its name is not repeated:
        // it may be a part of a password.
        return Err(Error::configuration(format!(
            "the store's URL has a parameter that is none of {}: take it out, or pass a pool of your own",
            parameters.join(", ")
        )));
    }
    Ok(())
}

/// Whether a password stands in a URL that was checked.
pub(super) fn has_password(url: &str) -> bool {
    let (authority, behind) = split(url);
    let user = authority.split_once('@').map_or("", |(user, _)| user);
    user.contains(':') || behind.contains("?password=") || behind.contains("&password=")
}

/// User, password and host; and what stands behind them.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// What sqlx reads.
#[cfg(feature = "postgres")]
pub(super) const POSTGRES: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// What sqlx reads, and is not set by this crate.
#[cfg(feature = "mysql")]
pub(super) const MYSQL: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "socket",
    "timezone",
    "time-zone",
];
