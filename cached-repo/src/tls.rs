//! Certificates: whom connections with TLS trust, and what this process shows of itself.

use std::fmt;

use crate::error::{Error, Result};

/// Certificates for connections with TLS, where those that are known everywhere are not the right ones.
///
/// A server is always verified: a trusted root must have signed its certificate, which must name the
/// host of the URL. There is no way to turn that off; a server that signed its own certificate is
/// trusted by giving that as the root.
#[derive(Clone, Default)]
pub struct Tls {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Trusts the roots that browsers trust, and shows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates (PEM) in place of the roots that browsers trust; on PostgreSQL and MySQL
    /// beside them, because their driver cannot do otherwise.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one: its chain and its private key (PEM).
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// Refuses what is no PEM. A driver would trust nobody then, and say so when it connects.
    pub(crate) fn check(&self) -> Result<()> {
        let certificates = self.root.iter().chain(self.client.iter().map(|(chain, _)| chain));
        for pem in certificates {
            if !has_pem(pem, "CERTIFICATE") {
                return Err(Error::configuration(
                    "one of the certificates for TLS has no PEM text in it (-----BEGIN CERTIFICATE-----)",
                ));
            }
        }
        match &self.client {
            Some((_, key)) if !has_pem(key, "PRIVATE KEY") => Err(Error::configuration(
                "the key of the client certificate for TLS has no PEM text of a private key in it",
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        let (root, client) = (self.root.is_some(), self.client.is_some());
        f.debug_struct("Tls").field("root", &root).field("client", &client).finish()
    }
}

/// Whether there is a block of PEM whose label ends like this.
fn has_pem(text: &[u8], label: &str) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ") && text.contains(&format!("{label}-----"))
}
