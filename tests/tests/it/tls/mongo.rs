//! MongoDB behind TLS: the real server, with a proxy in front of it that speaks TLS.

use std::{net::Ipv4Addr, sync::Arc};

use cached_repo::{
    CachedEntity, ErrorKind, Result,
    store::{self, SharedStore},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tests::{certificates::Certificates, servers};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::stage::Todo;

/// Starts the proxy; answers its port.
async fn proxy(certificates: &Certificates) -> u16 {
    let read = |name| std::fs::read(certificates.file(name)).unwrap();
    let certificate = CertificateDer::from_pem_slice(&read("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = servers::mongodb_url();
    let server = url.split(['/', '?']).nth(2).unwrap().to_owned();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // Clients that do not trust it go away.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

async fn connect(host: &str, port: u16, options: &str) -> Result<SharedStore> {
    // Directly: the server would send its clients past the proxy.
    let direct = "directConnection=true&serverSelectionTimeoutMS=2000";
    store::connect(&format!("mongodb://{host}:{port}/tls?{direct}{options}")).await
}

#[track_caller]
fn refused(connected: Result<SharedStore>) {
    let error = connected.expect_err("it was accepted");
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
}

#[tokio::test]
async fn a_mongodb_with_tls_is_used_by_who_trusts_its_authority() {
    let certificates = Certificates::new(&["127.0.0.1", "0.0.0.0"]);
    let port = proxy(&certificates).await;
    let trusting = format!("&tlsCAFile={}", certificates.file("root.pem").display());
    let store = connect("127.0.0.1", port, &trusting).await.unwrap();
    store.describe(&Todo::SCHEMA).await.unwrap();
    connect("0.0.0.0", port, &trusting).await.unwrap();

    refused(connect("127.0.0.1", port, "&tls=true").await);
    // Not a loopback address by itself: TLS without a word, and nobody vouches for the server.
    refused(connect("0.0.0.0", port, "").await);
    refused(connect("127.0.0.1", port, "&tls=false").await);
}

#[tokio::test]
async fn a_mongodb_of_another_name_or_without_tls_is_refused_where_tls_is_due() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let port = proxy(&certificates).await;
    let trusting = format!("&tlsCAFile={}", certificates.file("root.pem").display());
    refused(connect("0.0.0.0", port, &trusting).await);

    let url = servers::mongodb_url();
    let address = url.split(['/', '?']).nth(2).unwrap();
    let plain: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    refused(connect("127.0.0.1", plain, "&tls=true").await);
    refused(connect("0.0.0.0", plain, "").await);
    connect("0.0.0.0", plain, "&tls=false").await.unwrap();
}
