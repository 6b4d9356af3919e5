//! One connection before there is a pool: what is wrong with the settings shows at once.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;

use super::{Dialect, Logins, source::is_refused_login};
use crate::error::{Error, ErrorKind, Result};

/// Connects once without the pool, which would try for as long as its timeout what is refused at once.
pub(super) async fn try_out<D: Dialect>(
    place: &str,
    options: &<super::Connection<D> as Connection>::Options,
    logins: Option<&Logins<D>>,
) -> Result<()> {
    let connected = match logins {
        None => connected::<D>(place, options).await?,
        Some(logins) => match connected::<D>(place, &login(place, logins).await?).await? {
            // It may have changed in between.
            Err(e) if is_refused_login(&e) => {
                connected::<D>(place, &login(place, logins).await?).await?
            }
            connected => connected,
        },
    };
    // What a server says at a failed login names the user and never the password.
    let connection = connected.map_err(|e| unreachable(place, e))?;
    // It has served its purpose, whether or not it says goodbye.
    let _ = timeout(CONNECT_TIMEOUT, connection.close()).await;
    Ok(())
}

async fn connected<D: Dialect>(
    place: &str,
    options: &<super::Connection<D> as Connection>::Options,
) -> Result<std::result::Result<super::Connection<D>, sqlx::Error>> {
    let connecting = <super::Connection<D> as Connection>::connect_with(options);
    timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| {
        let seconds = CONNECT_TIMEOUT.as_secs();
        Error::new(
            ErrorKind::StoreUnavailable,
            format!("{place} did not answer within {seconds} s"),
        )
    })
}

async fn login<D: Dialect>(
    place: &str,
    logins: &Logins<D>,
) -> Result<<super::Connection<D> as Connection>::Options> {
    let no_login = |why| format!("there is no login for {place}: {why}");
    let options = logins.options().await;
    options.map_err(|why| Error::new(ErrorKind::StoreUnavailable, no_login(why)))
}

pub(super) fn unreachable(place: &str, error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
    let kind = match code.as_str() {
        _ if matches!(error, sqlx::Error::Tls(_)) => ErrorKind::Configuration,
        // A wrong user, password or database stays wrong.
        code if ["28", "3D", "42"].iter().any(|class| code.starts_with(class)) => {
            ErrorKind::Configuration
        }
        _ => ErrorKind::StoreUnavailable,
    };
    let message = match &error {
        // A certificate that is not trusted, or ours that is not.
        sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            format!("cannot connect to {place} with TLS")
        }
        sqlx::Error::Tls(_) => format!(
            "cannot connect to {place} with TLS (to go without where the network is safe, write \
             `sslmode=disable`, on MySQL `ssl-mode=DISABLED`, into the URL)"
        ),
        _ => format!("cannot connect to {place}"),
    };
    Error::new(kind, message).caused_by(error)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
