//! Connections with TLS: who is trusted, and that nobody else is.

use cached_repo::{Cache, ErrorKind, Repository, Result, Strategy, Tls};
use tests::{certificates::Certificates, isolate, servers::PrivateRedis};

use crate::stage::{Todo, todo};

fn secured(port: u16) -> String {
    format!("rediss://127.0.0.1:{port}")
}

async fn connect(url: &str, tls: Tls) -> Result<Cache> {
    Cache::builder().namespace(isolate::unique("tls")).tls(tls).connect(url).await
}

#[track_caller]
fn refused(connected: Result<Cache>, kind: ErrorKind, words: &str) {
    let error = connected.expect_err("it was accepted");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "`{words}` is not in: {error}");
}

#[tokio::test]
async fn a_redis_with_tls_is_used_by_who_trusts_its_authority() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let (_server, port) = PrivateRedis::start_secured(&certificates, false).await;
    let trusting = Tls::new().root_certificate(&*certificates.root);
    let cache = connect(&secured(port), trusting).await.unwrap();
    let repo: Repository<Todo> =
        Repository::builder(&cache).strategy(Strategy::RedisOnly).build().await.unwrap();
    repo.save(&todo("1", "secret")).await.unwrap();
    assert_eq!(repo.get("1").await.unwrap(), Some(todo("1", "secret")));
}

#[tokio::test]
async fn a_redis_that_nobody_vouches_for_is_refused() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let (server, port) = PrivateRedis::start_secured(&certificates, false).await;
    let url = secured(port);
    let unreachable = ErrorKind::CacheUnavailable;
    refused(Cache::connect(&url).await, unreachable, "certificate");
    let other = Certificates::new(&["127.0.0.1"]);
    let trusts_others = Tls::new().root_certificate(&*other.root);
    refused(connect(&url, trusts_others.clone()).await, unreachable, "certificate");
    // There is no way around it, and no way back to a connection without.
    let insecure = format!("{url}/#insecure");
    refused(Cache::connect(&insecure).await, ErrorKind::Configuration, "always verified");
    refused(connect(&server.url(), trusts_others).await, ErrorKind::Configuration, "rediss://");
    let plain = server.url().replace("redis://", "rediss://");
    assert!(Cache::connect(&plain).await.is_err(), "a server without TLS");
    assert!(Cache::connect(&url.replace("rediss://", "redis://")).await.is_err());
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let certificates = Certificates::new(&["elsewhere"]);
    let (_server, port) = PrivateRedis::start_secured(&certificates, false).await;
    let trusting = Tls::new().root_certificate(&*certificates.root);
    refused(connect(&secured(port), trusting).await, ErrorKind::CacheUnavailable, "certificate");
}

#[tokio::test]
async fn a_redis_may_ask_who_its_clients_are() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let (_server, port) = PrivateRedis::start_secured(&certificates, true).await;
    let unknown = Tls::new().root_certificate(&*certificates.root);
    assert!(connect(&secured(port), unknown.clone()).await.is_err());
    let known =
        unknown.client_certificate(&*certificates.client.certificate, &*certificates.client.key);
    let shown = format!("{known:?}");
    assert!(!shown.contains("PRIVATE"), "{shown}");
    connect(&secured(port), known).await.unwrap();
}

#[tokio::test]
async fn certificates_that_are_none_are_a_mistake_of_the_settings() {
    for tls in [
        Tls::new().root_certificate("no certificate"),
        Tls::new().client_certificate("no certificate", "no key"),
    ] {
        let connected = connect("rediss://127.0.0.1:1", tls).await;
        refused(connected, ErrorKind::Configuration, "certificates");
    }
}
