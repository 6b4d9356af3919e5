//! Databases with TLS, unix sockets and passwords: who is trusted, and that there is no way back.

use cached_repo::{
    CachedEntity, ErrorKind, Result, Tls,
    store::{self, Ledger, SharedStore},
};
use tests::{
    certificates::Certificates,
    secured::{SecuredMariaDb, SecuredPostgres},
    servers,
};

use crate::stage::Todo;

/// Every character that has a meaning in a URL.
const PASSWORD: &str = "p@ss:w/o?r#d%40 &=+";
const PASSWORD_IN_URL: &str = "p%40ss%3Aw%2Fo%3Fr%23d%2540%20%26%3D%2B";

/// A server with TLS, and three users: `app` needs a password, `secured` TLS as well, `wary` a certificate
/// on top.
enum Server {
    Postgres(SecuredPostgres),
    MariaDb(SecuredMariaDb),
}

impl Server {
    /// One of each.
    async fn both(certificates: &Certificates) -> [Self; 2] {
        let postgres = SecuredPostgres::start(certificates).await;
        for user in ["app", "secured", "wary"] {
            postgres.sql(&format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")).await;
            postgres.sql(&format!("GRANT ALL ON SCHEMA public TO {user}")).await;
        }
        let mariadb = SecuredMariaDb::start(certificates).await;
        for (user, demand) in [("app", "NONE"), ("secured", "SSL"), ("wary", "X509")] {
            let user = format!("{user}@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE {demand}");
            mariadb.sql(&format!("GRANT ALL ON app.* TO {user}")).await;
        }
        [Self::Postgres(postgres), Self::MariaDb(mariadb)]
    }

    fn url(&self, user: &str, host: &str) -> String {
        let (scheme, address, database) = match self {
            Self::Postgres(server) => ("postgres", server.address(), "postgres"),
            Self::MariaDb(server) => ("mysql", server.address(), "app"),
        };
        let port = address.rsplit_once(':').unwrap().1;
        format!("{scheme}://{user}:{PASSWORD_IN_URL}@{host}:{port}/{database}")
    }

    /// The same with a word about TLS.
    fn saying(&self, [postgres, mysql]: [&str; 2], user: &str, host: &str) -> String {
        let word = match self {
            Self::Postgres(_) => format!("sslmode={postgres}"),
            Self::MariaDb(_) => format!("ssl-mode={mysql}"),
        };
        format!("{}?{word}", self.url(user, host))
    }

    fn by_socket(&self) -> String {
        match self {
            Self::Postgres(server) => {
                let (directory, port) = server.socket();
                let directory = directory.display();
                format!("postgres://app:{PASSWORD_IN_URL}@:{port}/postgres?host={directory}")
                    .replace("@:", "@localhost:")
            }
            Self::MariaDb(server) => {
                format!("{}?socket={}", self.url("app", "localhost"), server.socket())
            }
        }
    }
}

const REQUIRE: [&str; 2] = ["require", "REQUIRED"];
const PREFER: [&str; 2] = ["prefer", "PREFERRED"];
const VERIFY: [&str; 2] = ["verify-full", "VERIFY_IDENTITY"];
const NEVER: [&str; 2] = ["disable", "DISABLED"];

fn trusting(certificates: &Certificates) -> Tls {
    Tls::new().root_certificate(&*certificates.root)
}

async fn works(store: SharedStore) {
    store.ledger(Ledger::Install { schema: &Todo::SCHEMA }).await.unwrap();
    let missing = store.describe(&Todo::SCHEMA).await.unwrap().missing;
    assert!(missing.is_empty(), "{missing:?}");
}

#[track_caller]
fn refused(connected: Result<SharedStore>, kind: ErrorKind, words: &str) {
    let error = connected.expect_err("it was accepted");
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(words), "`{words}` is not in: {text}");
    assert!(!text.contains(PASSWORD) && !text.contains(PASSWORD_IN_URL), "{text}");
}

#[tokio::test]
async fn a_database_with_tls_is_used_by_who_trusts_its_authority() {
    let certificates = Certificates::new(&["127.0.0.1", "0.0.0.0"]);
    for server in Server::both(&certificates).await {
        let plain = server.saying(NEVER, "secured", "127.0.0.1");
        refused(store::connect(&plain).await, ErrorKind::Configuration, "127.0.0.1");
        // Certificates are reason enough on a loopback address; elsewhere none is needed.
        for url in [
            server.url("secured", "127.0.0.1"),
            server.saying(PREFER, "secured", "127.0.0.1"),
            server.saying(REQUIRE, "secured", "127.0.0.1"),
            server.saying(VERIFY, "secured", "127.0.0.1"),
            // Another name of this machine, which is not a loopback address by itself.
            server.url("secured", "0.0.0.0"),
        ] {
            let store = store::builder().tls(trusting(&certificates)).connect(&url).await;
            works(store.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_database_that_nobody_vouches_for_is_refused() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let others = Certificates::new(&["127.0.0.1"]);
    let unavailable = ErrorKind::StoreUnavailable;
    for server in Server::both(&certificates).await {
        for word in [REQUIRE, VERIFY] {
            let connected = store::connect(&server.saying(word, "app", "127.0.0.1")).await;
            refused(connected, unavailable, "certificate");
        }
        let (near, far) = (server.url("app", "127.0.0.1"), server.url("app", "0.0.0.0"));
        let connected = store::builder().tls(trusting(&others)).connect(&near).await;
        refused(connected, unavailable, "certificate");
        // Another machine is verified although nobody said so, also where `prefer` stands.
        refused(store::connect(&far).await, unavailable, "certificate");
        refused(
            store::connect(&server.saying(PREFER, "app", "0.0.0.0")).await,
            unavailable,
            "certificate",
        );
        // It is trusted, and its certificate is that of another address.
        let connected = store::builder().tls(trusting(&certificates)).connect(&far).await;
        refused(connected, unavailable, "certificate");
        works(store::connect(&server.saying(NEVER, "app", "0.0.0.0")).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let certificates = Certificates::expired(&["127.0.0.1"]);
    for server in Server::both(&certificates).await {
        let store = store::builder().tls(trusting(&certificates));
        let connected = store.connect(&server.url("app", "127.0.0.1")).await;
        refused(connected, ErrorKind::StoreUnavailable, "certificate");
    }
}

#[tokio::test]
async fn a_database_may_ask_who_its_clients_are() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let unknown = trusting(&certificates);
    let pair = &certificates.client;
    let known = unknown.clone().client_certificate(&*pair.certificate, &*pair.key);
    for server in Server::both(&certificates).await {
        let url = server.url("wary", "127.0.0.1");
        let connected = store::builder().tls(unknown.clone()).connect(&url).await;
        refused(connected, ErrorKind::Configuration, "127.0.0.1");
        works(store::builder().tls(known.clone()).connect(&url).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_unix_socket_and_a_password_need_no_tls() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    for server in Server::both(&certificates).await {
        let url = server.by_socket();
        works(store::connect(&url).await.unwrap()).await;
        let wrong = url.replace(PASSWORD_IN_URL, "wrong");
        assert_ne!(wrong, url);
        refused(store::connect(&wrong).await, ErrorKind::Configuration, "cannot connect");
        let store = store::builder().tls(trusting(&certificates));
        refused(store.connect(&url).await, ErrorKind::Configuration, "unix socket");
    }
}

#[tokio::test]
async fn a_database_without_tls_is_refused_where_tls_is_due() {
    let near = [servers::postgres_url(), servers::mysql_url()];
    for (url, [postgres, mysql]) in near.iter().zip([REQUIRE, VERIFY]) {
        let word = if url.starts_with("mysql") { mysql } else { postgres };
        let parameter = if url.contains('?') { "&" } else { "?" };
        let url = format!("{url}{parameter}ssl-mode={word}");
        refused(store::connect(&url).await, ErrorKind::Configuration, "does not support TLS");
        let far = url.replace("127.0.0.1", "0.0.0.0").replace(&format!("ssl-mode={word}"), "");
        assert_ne!(far, url);
        refused(store::connect(&far).await, ErrorKind::Configuration, "does not support TLS");
    }
}

#[tokio::test]
async fn settings_for_tls_that_contradict_each_other_are_refused() {
    let certificates = Certificates::new(&["127.0.0.1"]);
    let tls = trusting(&certificates);
    let configuration = ErrorKind::Configuration;
    for (url, words) in [
        ("postgres://u@localhost/app?sslmode=disable", "turns TLS off"),
        ("mysql://u@localhost/app?ssl-mode=DISABLED", "turns TLS off"),
        ("mongodb://localhost/app", "tlsCAFile"),
        ("sqlite::memory:", "SQLite is a file"),
    ] {
        refused(store::builder().tls(tls.clone()).connect(url).await, configuration, words);
    }
    for (url, words) in [
        ("mongodb://db/app?tls=true&tlsAllowInvalidCertificates=true", "always verified"),
        ("mongodb://db/app?tlsInsecure=true", "always verified"),
        ("mongodb://%2Ftmp%2Fmongodb.sock/app?tls=true", "unix socket"),
        // What the driver does not know might have been meant for safety.
        ("postgres://u@localhost/app?channel_binding=require", "parameter"),
        ("mysql://u@localhost/app?sslMode=REQUIRED", "parameter"),
    ] {
        refused(store::connect(url).await, configuration, words);
    }
    for bad in [
        Tls::new().root_certificate("no certificate"),
        Tls::new().client_certificate(&*certificates.client.certificate, "no key"),
    ] {
        let connected = store::builder().tls(bad).connect("postgres://u@localhost/app").await;
        refused(connected, configuration, "PEM");
    }
}
