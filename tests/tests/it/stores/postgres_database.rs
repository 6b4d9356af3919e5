//! A namespace of a test's own on the PostgreSQL server under test, and what others see of it.

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Row, postgres::PgPoolOptions, raw_sql,
};

use super::*;

/// A namespace of its own on the server under test, with the library's tables.
pub(super) struct Database {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) store: SharedStore,
    /// For what others do at the same time.
    pub(super) other: PgConnection,
    /// Never in a transaction, in which `pg_stat_activity` would stand still.
    watch: PgConnection,
}

impl Server for Database {
    const LOCK_NOTE_1: &str = "BEGIN; SELECT FROM notes WHERE id = 1 FOR UPDATE";
    const LOCK_NOTES: &str = "BEGIN; LOCK TABLE notes";
    const UNLOCK_NOTES: &str = "COMMIT";
    const BUSY: &str = "state = 'active'";
    const SETTINGS: &str = "SET statement_timeout = '77s'; SET lock_timeout = '78s'; \
        SET idle_in_transaction_session_timeout = '79s'; SET synchronous_commit = off";
    const FORGOTTEN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1";
    const KILLS: [&str; 2] = ["pg_terminate_backend", "pg_cancel_backend"];

    async fn new() -> Self {
        let server = tests::servers::postgres_url();
        let name = unique("stores");
        let mut other = PgConnection::connect(&server).await.unwrap();
        let sql = format!("CREATE SCHEMA {name}; SET search_path = {name}");
        raw_sql(AssertSqlSafe(sql)).execute(&mut other).await.unwrap();
        let separator = if server.contains('?') { '&' } else { '?' };
        let url =
            format!("{server}{separator}options=-csearch_path%3D{name}&application_name={name}");
        let store = store::connect(&url).await.unwrap();
        let watch = PgConnection::connect(&server).await.unwrap();
        Self { url, name, store, other, watch }
    }

    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn sql(&mut self, sql: &str) {
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.other).await.unwrap();
    }
}

impl Database {
    pub(super) async fn number(&mut self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.other).await.unwrap()
    }

    /// Waits until this many of the store's connections wait for a lock, and tells which.
    pub(super) async fn waiting(&mut self, count: usize) -> Vec<i32> {
        self.connections("pid IN (SELECT pid FROM pg_locks WHERE NOT granted)", count).await
    }

    /// Waits until the store has no transactions.
    pub(super) async fn no_transactions(&mut self) {
        self.connections("state <> 'idle'", 0).await;
    }

    /// Waits until this many of the store's connections are so, and tells which.
    pub(super) async fn connections(&mut self, are: &str, count: usize) -> Vec<i32> {
        let end = Instant::now() + HANG;
        loop {
            let ids = self.ids(are).await;
            if ids.len() == count {
                return ids;
            }
            assert!(Instant::now() < end, "{count} connections never were so: {are}");
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn kill(&mut self, how: &str, ids: &[i32]) {
        for id in ids {
            let kill = raw_sql(AssertSqlSafe(format!("SELECT {how}({id})")));
            kill.execute(&mut self.watch).await.unwrap();
        }
    }

    /// Ends all of the store's connections.
    pub(super) async fn kill_all(&mut self) {
        let ids = self.ids("true").await;
        self.kill(Self::KILLS[0], &ids).await;
        self.connections("true", 0).await;
    }

    /// A pool of the application's own, and a store over it. The connections of others are gone.
    pub(super) async fn pool(&mut self, size: u32) -> (PgPool, SharedStore) {
        self.kill_all().await;
        let pool = PgPoolOptions::new().max_connections(size).connect(&self.url).await.unwrap();
        (pool.clone(), store::postgres(pool))
    }

    /// Waits for all connections of a pool, and tells their transactions and settings.
    pub(super) async fn states(pool: &PgPool) -> Vec<String> {
        let (mut all, mut states) = (Vec::new(), Vec::new());
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            let row = raw_sql(STATE).fetch_one(&mut *connection).await;
            states.push(row.map_or_else(|e| e.to_string(), |row| row.get(0)));
            all.push(connection);
        }
        states
    }

    pub(super) async fn ids(&mut self, are: &str) -> Vec<i32> {
        let name = &self.name;
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = '{name}' AND ({are})"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.watch).await.unwrap()
    }

    pub(super) async fn missing(&self) -> String {
        self.store.describe(&NOTES).await.unwrap().missing.join("\n")
    }
}

/// Outside of a transaction both times are the same.
const STATE: &str = "SELECT concat_ws(' ', now() = statement_timestamp(), \
    current_setting('statement_timeout'), current_setting('lock_timeout'), \
    current_setting('idle_in_transaction_session_timeout'), current_setting('synchronous_commit'), \
    current_setting('transaction_isolation'), current_setting('transaction_read_only'))";
