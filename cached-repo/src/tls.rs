//! Certificates: whom connections with TLS trust, and what this process shows of itself.

use std::fmt;

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

    /// Trusts these certificates (PEM) in place of the roots that browsers trust.
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
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        let (root, client) = (self.root.is_some(), self.client.is_some());
        f.debug_struct("Tls").field("root", &root).field("client", &client).finish()
    }
}
