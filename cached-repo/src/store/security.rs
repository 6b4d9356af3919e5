//! Whether a connection to a database is made with TLS.

use std::net::IpAddr;

use crate::{
    error::{Error, Result},
    tls::Tls,
};

/// What a URL says about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Never,
    Always,
}

/// Where a connection goes, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Socket,
    Loopback,
    Network,
}

impl Way {
    pub(super) fn to(host: &str) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if is_loopback { Self::Loopback } else { Self::Network }
    }
}

/// Whether to connect with TLS, which then is not negotiable. Over a network it takes a word to go
/// without.
pub(super) fn is_secured(said: Said, way: Way, tls: Option<&Tls>) -> Result<bool> {
    match (said, way, tls.is_some()) {
        (Said::Never, _, true) => Err(Error::configuration(
            "there are certificates for TLS, and the store's URL turns TLS off: take one of them out",
        )),
        (Said::Always, Way::Socket, _) | (_, Way::Socket, true) => Err(Error::configuration(
            "the store's URL leads to a unix socket, over which there is no TLS: take its setting for \
             TLS out, and certificates",
        )),
        (Said::Never, Way::Network, false) => {
            tracing::warn!(
                "the store's URL turns TLS off: passwords and rows cross the network unencrypted"
            );
            Ok(false)
        }
        (Said::Never, _, false) | (Said::Nothing, Way::Socket, false) => Ok(false),
        (Said::Nothing, Way::Loopback, given) => Ok(given),
        (Said::Always, _, _) | (Said::Nothing, Way::Network, _) => Ok(true),
    }
}

/// A password in the URL beside a provider would be one of which nobody knows whether it counts.
pub(super) fn two_passwords() -> Error {
    Error::configuration(
        "there are `credentials`, and the store's URL has a password: take one of them out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_not_crossed_unencrypted_unless_somebody_says_so() {
        for host in ["db", "10.0.0.7", "localhost.example", "127.example", "[2001:db8::1]", ""] {
            assert_eq!(Way::to(host), Way::Network, "{host}");
        }
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert_eq!(Way::to(host), Way::Loopback, "{host}");
        }
        let given = Some(Tls::new());
        for (said, way, tls, expected) in [
            (Said::Nothing, Way::Network, None, Some(true)),
            (Said::Nothing, Way::Network, given.as_ref(), Some(true)),
            (Said::Never, Way::Network, None, Some(false)),
            (Said::Never, Way::Network, given.as_ref(), None),
            (Said::Always, Way::Loopback, None, Some(true)),
            (Said::Nothing, Way::Loopback, None, Some(false)),
            (Said::Nothing, Way::Loopback, given.as_ref(), Some(true)),
            (Said::Nothing, Way::Socket, None, Some(false)),
            (Said::Nothing, Way::Socket, given.as_ref(), None),
            (Said::Always, Way::Socket, None, None),
        ] {
            assert_eq!(is_secured(said, way, tls).ok(), expected, "{said:?} {way:?} {tls:?}");
        }
    }
}
