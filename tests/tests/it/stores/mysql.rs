//! What is particular to MySQL and MariaDB.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, raw_sql};

use super::*;

/// A database of its own on the server under test.
pub(super) struct Database {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) store: SharedStore,
    /// For what others do at the same time.
    pub(super) other: MySqlConnection,
    /// Never in a transaction.
    pub(super) watch: MySqlConnection,
}

impl Database {
    pub(super) async fn new() -> Self {
        let server = tests::servers::mysql_url();
        let name = unique("stores");
        let (place, _) = server.rsplit_once('/').unwrap();
        let url = format!("{place}/{name}");
        let mut watch = MySqlConnection::connect(&server).await.unwrap();
        // What a server has that nobody configured.
        let sql = format!("CREATE DATABASE {name} CHARACTER SET latin1");
        raw_sql(AssertSqlSafe(sql)).execute(&mut watch).await.unwrap();
        let store = store::connect(&url).await.unwrap();
        let other = MySqlConnection::connect(&url).await.unwrap();
        Self { url, name, store, other, watch }
    }

    /// With the tables of [`NOTES`] and this DDL.
    pub(super) async fn with(ddl: &str) -> Self {
        let mut database = Self::new().await;
        database.store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
        if !ddl.is_empty() {
            database.sql(ddl).await;
        }
        database
    }

    pub(super) async fn sql(&mut self, sql: &str) {
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.other).await.unwrap();
    }

    pub(super) async fn number(&mut self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.other).await.unwrap()
    }
}
