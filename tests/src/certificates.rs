//! Certificates for servers and clients of one test, signed by an authority that only it knows.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority, and what it has signed for 127.0.0.1 and for a client. PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's own certificate.
    pub root: String,
    /// Shown by a client.
    pub client: Pair,
    directory: tempfile::TempDir,
}

/// A certificate and its private key. PEM.
#[derive(Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Certificates {
    /// Makes all of them. The server's names these hosts.
    pub fn new(hosts: &[&str]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let signed = |hosts: &[&str], name: &str| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            let mut params = CertificateParams::new(hosts).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap().pem();
            Pair { certificate, key: key.serialize_pem() }
        };
        let (server, client) = (signed(hosts, "a server"), signed(&["client"], "a client"));
        let directory = tempfile::tempdir().unwrap();
        let certificates = Self { root, client, directory };
        // Servers run as somebody else.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(certificates.directory.path(), readable).unwrap();
        for (name, pem) in [
            ("root.pem", &certificates.root),
            ("server.pem", &server.certificate),
            ("server.key", &server.key),
        ] {
            fs::write(certificates.file(name), pem).unwrap();
        }
        certificates
    }

    /// Where `root.pem`, `server.pem` and `server.key` are.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
