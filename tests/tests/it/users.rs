//! The users that tests run as: they may do what the library says that it needs, and nothing else.

use std::{sync::Arc, time::Duration};

use cached_repo::{
    Cache,
    store::{self, BoxFuture, SharedStore},
};
use mongodb::bson::{Document, doc};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, raw_sql};
use tests::{Privileged, secured::SecuredMongoDb, servers};
use tokio::sync::OnceCell;

/// The password of them all. `tests/run` looks for it in everything that was printed.
pub(crate) const CANARY: &str = "canary-in-the-coal-mine";

/// The role of all tests of this process, and of others at the same time.
pub(crate) const ROLE: &str = "cached_repo_role";

/// The URL of a Redis for a user who may use this namespace and these entities, and send these commands
/// besides.
pub(crate) async fn redis(
    url: &str,
    namespace: &str,
    prefixes: &[&str],
    besides: &[&str],
) -> String {
    // A busy machine is no reason for a test to see Redis as down.
    let patient = Duration::from_secs(30);
    let builder = Cache::builder().timeout(patient).connect_timeout(patient).no_worker();
    let cache = builder.namespace(namespace).connect(url).await.unwrap();
    let line = cache.acl_setuser(namespace, prefixes).unwrap();
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.arg(format!(">{CANARY}"));
    for name in besides {
        command.arg(format!("+{name}"));
    }
    let mut connection = tests::raw(url).await;
    command.query_async::<()>(&mut connection).await.unwrap();
    log_in(url, namespace)
}

/// The same URL for this user.
pub(crate) fn log_in(url: &str, user: &str) -> String {
    let (scheme, place) = url.split_once("://").unwrap();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    format!("{scheme}://{user}:{CANARY}@{place}")
}

/// A PostgreSQL database by a role that makes no tables.
pub(crate) async fn postgres(url: &str) -> SharedStore {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let role = format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{CANARY}'");
    let make = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \
         THEN {role}; END IF; END $$"
    );
    let server = servers::postgres_url();
    MADE.get_or_init(async || postgres_sql(&server, vec![make]).await).await;
    let as_role = store::connect(&log_in(url, ROLE)).await.unwrap();
    let owner = store::connect(url).await.unwrap();
    let url = url.to_owned();
    Arc::new(Privileged::new(as_role, owner, move |privileges| {
        let url = url.clone();
        let grants = privileges.iter().map(|p| format!("GRANT {p} TO {ROLE}"));
        let schema = "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO ROLE', \
             current_schema()); END $$";
        let mut sql = vec![schema.replace("ROLE", ROLE)];
        sql.extend(grants);
        Box::pin(async move { postgres_sql(&url, sql).await }) as BoxFuture<'static, ()>
    }))
}

/// Runs statements in one transaction, and no other such at the same time: one that grants something on
/// what another one does fails.
async fn postgres_sql(url: &str, statements: Vec<String>) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = format!("BEGIN; SELECT pg_advisory_xact_lock(7); {}; COMMIT", statements.join("; "));
    raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// A MySQL or MariaDB database by a user who makes no tables.
pub(crate) async fn mysql(url: &str) -> SharedStore {
    let user = format!("CREATE USER IF NOT EXISTS {ROLE}@'%' IDENTIFIED BY '{CANARY}'");
    let database = url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    // To connect to a database takes some right in it, before there are tables.
    let enter = format!("GRANT SHOW VIEW ON `{database}`.* TO {ROLE}@'%'");
    mysql_sql(url, vec![user, enter]).await;
    let as_role = store::connect(&log_in(url, ROLE)).await.unwrap();
    let owner = store::connect(url).await.unwrap();
    let url = url.to_owned();
    Arc::new(Privileged::new(as_role, owner, move |privileges| {
        let url = url.clone();
        let sql = privileges.iter().map(|p| format!("GRANT {p} TO {ROLE}@'%'")).collect();
        Box::pin(async move { mysql_sql(&url, sql).await }) as BoxFuture<'static, ()>
    }))
}

async fn mysql_sql(url: &str, statements: Vec<String>) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    raw_sql(AssertSqlSafe(statements.join("; "))).execute(&mut connection).await.unwrap();
}

/// A MongoDB of one test by a user who makes no collections, and the store of somebody who does.
pub(crate) async fn mongodb(server: Arc<SecuredMongoDb>, standalone: bool) -> [SharedStore; 2] {
    server.run(doc! { "createRole": ROLE, "privileges": [], "roles": [] }).await;
    server.run(doc! { "createUser": ROLE, "pwd": CANARY, "roles": [ROLE] }).await;
    let [as_role, owner] = [server.url(&format!("{ROLE}:{CANARY}")), server.administrator()];
    let open = async |url: &str| match standalone {
        false => store::connect(url).await.unwrap(),
        true => {
            let client = mongodb::Client::with_uri_str(url).await.unwrap();
            store::mongodb_standalone(client, "app")
        }
    };
    let (as_role, owner) = (open(&as_role).await, open(&owner).await);
    let granted = Privileged::new(as_role, owner.clone(), move |privileges| {
        let server = server.clone();
        Box::pin(async move {
            let read = |text: &String| -> Document { serde_json::from_str(text).unwrap() };
            let privileges: Vec<_> = privileges.iter().map(read).collect();
            let grant = doc! { "grantPrivilegesToRole": ROLE, "privileges": privileges };
            server.run(grant).await;
        }) as BoxFuture<'static, ()>
    });
    [Arc::new(granted), owner]
}
