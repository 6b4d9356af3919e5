//! Passwords that change while a process runs, and those that are wrong.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cached_repo::{
    Cache, CachedEntity, Error, ErrorKind, Login, LoginError, Repository, Strategy,
    store::{self, Ledger, Query},
};
use futures_util::future::BoxFuture;
use tests::{
    certificates::Certificates,
    isolate,
    secured::{SecuredMariaDb, SecuredPostgres},
    servers::PrivateRedis,
};
use tokio::time::timeout;

use crate::stage::{Todo, todo};

mod mongo;

/// A vault that says one password after the other, the last one for ever.
#[derive(Clone)]
struct Vault(Arc<(Mutex<Vec<&'static str>>, AtomicUsize)>);

impl Vault {
    fn new(password: &'static str) -> Self {
        Self(Arc::new((Mutex::new(vec![password]), AtomicUsize::new(0))))
    }

    /// What it says from now on.
    fn says(&self, passwords: &[&'static str]) {
        *self.0.0.lock().unwrap() = passwords.iter().rev().copied().collect();
    }

    /// How often it was asked since the last look.
    fn asked(&self) -> usize {
        self.0.1.swap(0, Ordering::Relaxed)
    }
}

impl cached_repo::Credentials for Vault {
    fn login(&self) -> BoxFuture<'_, Result<Login, LoginError>> {
        let (passwords, asked) = &*self.0;
        asked.fetch_add(1, Ordering::Relaxed);
        let mut passwords = passwords.lock().unwrap();
        let password =
            if passwords.len() > 1 { passwords.pop() } else { passwords.first().copied() };
        Box::pin(async move { Ok(Login::new("app", password.ok_or("the vault is sealed")?)) })
    }
}

#[track_caller]
fn refused(error: &Error, kind: ErrorKind, words: &str) {
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(words), "`{words}` is not in: {text}");
    assert!(!text.contains("secret"), "{text}");
}

async fn redis_command(server: &PrivateRedis, command: &[&str]) {
    let mut connection = tests::raw(server.url()).await;
    let mut sent = redis::cmd(command[0]);
    sent.arg(&command[1..]);
    sent.query_async::<redis::Value>(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_password_of_redis_changes_without_a_restart() {
    let server = PrivateRedis::start(&[]).await;
    redis_command(&server, &["ACL", "SETUSER", "app", "on", ">secret-one", "~*", "+@all"]).await;
    let vault = Vault::new("secret-one");
    let builder =
        || Cache::builder().namespace(isolate::unique("login")).credentials(vault.clone());
    let cache = builder().connect(&server.url()).await.unwrap();
    let repo: Repository<Todo> =
        Repository::builder(&cache).strategy(Strategy::RedisOnly).build().await.unwrap();
    repo.save(&todo("1", "before")).await.unwrap();
    assert_eq!(vault.asked(), 1, "once for the one connection");

    redis_command(&server, &["ACL", "SETUSER", "app", "resetpass", ">secret-two"]).await;
    // At the first question the vault does not know yet.
    vault.says(&["secret-one", "secret-two"]);
    repo.save(&todo("2", "the connection is open")).await.unwrap();
    assert_eq!(vault.asked(), 0, "an open connection needs no login");
    redis_command(&server, &["CLIENT", "KILL", "USER", "app"]).await;
    // Calls may fail until the connection is there again.
    let again = async { while repo.save(&todo("3", "after")).await.is_err() {} };
    timeout(Duration::from_secs(30), again).await.unwrap();
    assert_eq!(vault.asked(), 2, "once more after the refusal");

    vault.says(&["secret-wrong"]);
    let error = builder().connect(&server.url()).await.unwrap_err();
    refused(&error, ErrorKind::Configuration, "refuses the connection");
    assert_eq!(vault.asked(), 2, "once more, and not again");
    vault.says(&[]);
    let error = builder().connect(&server.url()).await.unwrap_err();
    refused(&error, ErrorKind::CacheUnavailable, "the vault is sealed");
    let url = server.url().replace("redis://", "redis://app:secret@");
    let error = builder().connect(&url).await.unwrap_err();
    refused(&error, ErrorKind::Configuration, "`credentials`");
    assert!(!format!("{:?} {cache:?}", builder()).contains("secret"));
}

enum Server {
    Postgres(SecuredPostgres),
    MariaDb(SecuredMariaDb),
}

impl Server {
    async fn both() -> [Self; 2] {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let postgres = SecuredPostgres::start(&certificates).await;
        postgres
            .sql("CREATE ROLE app LOGIN PASSWORD 'secret-one'; GRANT ALL ON SCHEMA public TO app")
            .await;
        let mariadb = SecuredMariaDb::start(&certificates).await;
        mariadb.sql("GRANT ALL ON app.* TO app@'%' IDENTIFIED BY 'secret-one'").await;
        [Self::Postgres(postgres), Self::MariaDb(mariadb)]
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => format!("postgres://app@{}/postgres", server.address()),
            Self::MariaDb(server) => format!("mysql://app@{}/app", server.address()),
        }
    }

    /// Gives the user another password, and ends its connections.
    async fn rotate(&self) {
        match self {
            Self::Postgres(server) => {
                let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                     WHERE usename = 'app'";
                server.sql(&format!("ALTER ROLE app PASSWORD 'secret-two'; {end}")).await;
            }
            Self::MariaDb(server) => {
                server.sql("SET PASSWORD FOR app@'%' = PASSWORD('secret-two')").await;
                server.sql("KILL HARD USER app").await;
            }
        }
    }
}

#[tokio::test]
async fn a_password_of_a_database_changes_without_a_restart() {
    for server in Server::both().await {
        let vault = Vault::new("secret-one");
        let builder = || store::builder().credentials(vault.clone());
        let store = builder().connect(&server.url()).await.unwrap();
        store.ledger(Ledger::Install { schema: &Todo::SCHEMA }).await.unwrap();
        assert!(vault.asked() > 0);

        server.rotate().await;
        vault.says(&["secret-one", "secret-two"]);
        // Dead connections are passed over, and the new one is refused at first.
        store.load(&Todo::SCHEMA, Query::Ids(&[])).await.unwrap();
        let missing = store.describe(&Todo::SCHEMA).await.unwrap().missing;
        assert!(missing.is_empty(), "{missing:?}");
        assert!(vault.asked() >= 2, "once more after the refusal");

        // A new store asks twice at once as well.
        vault.says(&["secret-one", "secret-two"]);
        builder().connect(&server.url()).await.unwrap();
        assert_eq!(vault.asked(), 2);
        vault.says(&["secret-wrong"]);
        let error = builder().connect(&server.url()).await.unwrap_err();
        refused(&error, ErrorKind::Configuration, "127.0.0.1");
        assert_eq!(vault.asked(), 2, "once more, and not again");
        vault.says(&[]);
        let error = builder().connect(&server.url()).await.unwrap_err();
        refused(&error, ErrorKind::StoreUnavailable, "the vault is sealed");
        let url = server.url().replace("://app@", "://app:secret@");
        let error = builder().connect(&url).await.unwrap_err();
        refused(&error, ErrorKind::Configuration, "`credentials`");
    }
    let builder = store::builder().credentials(Vault::new("secret"));
    let error = builder.connect("sqlite::memory:").await.unwrap_err();
    refused(&error, ErrorKind::Configuration, "credentials");
}

#[tokio::test]
async fn redis_is_reached_by_a_unix_socket_and_in_a_database_of_its_own() {
    const PASSWORD: &str = "p@ss:w/o?r#d%40 &=+";
    const IN_URL: &str = "p%40ss%3Aw%2Fo%3Fr%23d%2540%20%26%3D%2B";
    let server = PrivateRedis::start(&["--unixsocket", "socket", "--unixsocketperm", "777"]).await;
    let user = ["ACL", "SETUSER", "app", "on", &format!(">{PASSWORD}"), "~*", "+@all"];
    redis_command(&server, &user).await;
    let address = server.url().replace("redis://", "");
    let path = server.directory().join("socket").display().to_string();
    let namespace = isolate::unique("place");
    for url in [
        format!("redis://app:{IN_URL}@{address}/3"),
        format!("redis+unix://{path}?db=3&user=app&pass={IN_URL}"),
    ] {
        let cache = Cache::builder().namespace(&*namespace).connect(&url).await.unwrap();
        let repo: Repository<Todo> =
            Repository::builder(&cache).strategy(Strategy::RedisOnly).build().await.unwrap();
        repo.save(&todo("1", "here")).await.unwrap();
        assert_eq!(repo.get("1").await.unwrap(), Some(todo("1", "here")));
        let wrong = Cache::connect(&url.replace(IN_URL, "secret")).await.unwrap_err();
        refused(&wrong, ErrorKind::Configuration, "refuses the connection");
    }
    let mut connection = tests::raw(server.url()).await;
    let (first, third): (usize, usize) = redis::pipe()
        .cmd("DBSIZE")
        .cmd("SELECT")
        .arg(3)
        .ignore()
        .cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(first == 0 && third > 0, "{first} {third}");
}
