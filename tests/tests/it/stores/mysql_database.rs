//! A database of a test's own on the MySQL or MariaDB server under test, and what others see of it.

use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection, MySqlPool, Row, mysql::MySqlPoolOptions, raw_sql,
};

use super::*;

/// A database of its own on the server under test.
pub(super) struct Database {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) store: SharedStore,
    /// For what others do at the same time.
    pub(super) other: MySqlConnection,
    other_id: i64,
    /// Never in a transaction.
    watch: MySqlConnection,
}

impl Server for Database {
    const LOCK_NOTE_1: &str = "START TRANSACTION; SELECT * FROM notes WHERE id = 1 FOR UPDATE";
    const LOCK_NOTES: &str = "LOCK TABLES notes WRITE";
    const UNLOCK_NOTES: &str = "UNLOCK TABLES";
    const BUSY: &str = "command <> 'Sleep'";
    const SETTINGS: &str = "SET SESSION lock_wait_timeout = 77, \
        SESSION innodb_lock_wait_timeout = 78, SESSION sql_mode = 'ANSI_QUOTES' \
        /*M! , SESSION max_statement_time = 79.5, SESSION idle_transaction_timeout = 80 */";
    const FORGOTTEN: &str = "START TRANSACTION; SELECT * FROM notes";
    const KILLS: [&str; 2] = ["KILL", "KILL QUERY"];

    async fn new() -> Self {
        let server = tests::servers::mysql_url();
        let name = unique("stores");
        let (place, _) = server.rsplit_once('/').unwrap();
        let url = format!("{place}/{name}");
        let mut watch = MySqlConnection::connect(&server).await.unwrap();
        // As a server has it that nobody configured.
        let sql = format!("CREATE DATABASE {name} CHARACTER SET latin1");
        raw_sql(AssertSqlSafe(sql)).execute(&mut watch).await.unwrap();
        let store = store::connect(&url).await.unwrap();
        let mut other = MySqlConnection::connect(&url).await.unwrap();
        let other_id = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS SIGNED)");
        let other_id = other_id.fetch_one(&mut other).await.unwrap();
        Self { url, name, store, other, other_id, watch }
    }

    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn sql(&mut self, sql: &str) {
        if !sql.is_empty() {
            raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.other).await.unwrap();
        }
    }
}

impl Database {
    pub(super) async fn number(&mut self, sql: &str) -> i64 {
        let sql = format!("SELECT CAST(({sql}) AS SIGNED)");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.other).await.unwrap()
    }

    /// Waits until this many of the store's connections are so.
    pub(super) async fn connections(&mut self, are: &str, count: usize) {
        let end = Instant::now() + HANG;
        while self.ids(are).await.len() != count {
            assert!(Instant::now() < end, "{count} connections never were so: {are}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until this many of the store's transactions wait for a lock, and tells their connections.
    pub(super) async fn waiting(&mut self, count: usize) -> Vec<i64> {
        self.transactions("\nLOCK WAIT ", count).await
    }

    /// Waits until the store has no transactions.
    pub(super) async fn no_transactions(&mut self) {
        self.transactions(", ACTIVE ", 0).await;
    }

    /// The table of transactions is as it was at the last look if that was a moment ago; the report to
    /// people is not.
    async fn transactions(&mut self, are: &str, count: usize) -> Vec<i64> {
        let end = Instant::now() + HANG;
        loop {
            assert!(Instant::now() < end, "{count} transactions never were so: {are}");
            let mut ids = self.ids("TRUE").await;
            let report = raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(&mut self.watch).await;
            let report: String = report.unwrap().get(2);
            let those: Vec<_> =
                report.split("---TRANSACTION ").skip(1).filter(|one| one.contains(are)).collect();
            ids.retain(|id| those.iter().any(|one| one.contains(&format!(" thread id {id},"))));
            if ids.len() == count {
                return ids;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn kill(&mut self, how: &str, ids: &[i64]) {
        for id in ids {
            let kill = raw_sql(AssertSqlSafe(format!("{how} {id}")));
            // It may be gone by itself.
            let _ = kill.execute(&mut self.watch).await;
        }
    }

    /// Ends all of the store's connections.
    pub(super) async fn kill_all(&mut self) {
        let ids = self.ids("TRUE").await;
        self.kill(Self::KILLS[0], &ids).await;
        self.connections("TRUE", 0).await;
    }

    /// A pool of the application's own, and a store over it. The connections of others are gone.
    pub(super) async fn pool(&mut self, size: u32) -> (MySqlPool, SharedStore) {
        self.kill_all().await;
        let pool = MySqlPoolOptions::new().max_connections(size).connect(&self.url).await.unwrap();
        (pool.clone(), store::mysql(pool))
    }

    /// Waits for all connections of a pool, and tells their transactions and settings.
    pub(super) async fn states(pool: &MySqlPool) -> Vec<String> {
        let (mut all, mut states) = (Vec::new(), Vec::new());
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            let row = raw_sql(STATE).fetch_one(&mut *connection).await;
            states.push(row.map_or_else(|e| e.to_string(), |row| row.get(0)));
            all.push(connection);
        }
        states
    }

    pub(super) async fn ids(&mut self, are: &str) -> Vec<i64> {
        let (name, other) = (&self.name, self.other_id);
        let sql = format!(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
             WHERE db = '{name}' AND id <> {other} AND ({are})"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.watch).await.unwrap()
    }

    pub(super) async fn missing(&self, schema: &Schema) -> String {
        self.store.describe(schema).await.unwrap().missing.join("\n")
    }
}

const STATE: &str = "SELECT CONCAT_WS(' ', @@innodb_lock_wait_timeout, @@lock_wait_timeout, \
    @@sql_mode, @@autocommit \
    /*M! , @@in_transaction, @@max_statement_time, @@idle_transaction_timeout */)";
