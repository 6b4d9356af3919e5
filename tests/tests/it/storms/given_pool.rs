//! A table of items, an application's pool that a store is given, and what others do to both.

use std::{collections::HashMap, time::Duration};

use cached_repo::{
    CachedEntity,
    store::{self, Ledger, SharedStore},
};
use sqlx::{
    AssertSqlSafe, Connection, Executor, MySqlConnection, MySqlPool, PgConnection, PgPool, Row,
    SqliteConnection, SqlitePool,
    mysql::MySqlPoolOptions,
    postgres::PgPoolOptions,
    raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tests::{actor::Item, isolate, servers};

use super::table::{Audited, Table};
use crate::{databases::On, users};

/// The pool, and the table that the store over it has.
pub(super) struct Given {
    pub(super) on: On,
    pub(super) table: String,
    pool: Pool,
    url: String,
    /// Whose every change is written down; SQLite's is not.
    audited: Option<Table>,
    _directory: tempfile::TempDir,
}

#[derive(Clone)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

/// Runs a body over each pool, as if it were generic.
macro_rules! each {
    ($given:expr, |$pool:ident| $body:expr) => {
        match &$given.pool {
            Pool::Postgres($pool) => $body,
            Pool::MySql($pool) => $body,
            Pool::Sqlite($pool) => $body,
        }
    };
}

impl Given {
    /// A pool of so many connections, all with settings of the application's own.
    pub(super) async fn new(on: On, size: u32) -> (Self, SharedStore) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.db");
        let name = isolate::unique("pool");
        let audited = match on {
            On::Sqlite => None,
            _ => Some(Table::new(on).await),
        };
        let table = audited.as_ref().map_or_else(|| isolate::unique("items"), |t| t.name.clone());
        let wait = Duration::from_secs(3);
        let (url, pool, given) = match on {
            On::Postgres => {
                let url = servers::postgres_url();
                let separator = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{separator}application_name={name}");
                let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(wait);
                let pool = pool.after_connect(|c, _| {
                    Box::pin(async { c.execute(POSTGRES_SETTINGS).await.map(drop) })
                });
                let pool = pool.connect(&url).await.unwrap();
                (url, Pool::Postgres(pool.clone()), store::postgres(pool))
            }
            On::MySql => {
                let user = format!(
                    "CREATE USER {name}@'%' IDENTIFIED BY '{}'; GRANT ALL ON *.* TO {name}@'%'",
                    users::CANARY
                );
                sql_at(on, &servers::mysql_url(), &user).await.unwrap();
                let url = users::log_in(&servers::mysql_url(), &name);
                let pool = MySqlPoolOptions::new().max_connections(size).acquire_timeout(wait);
                let pool = pool.after_connect(|c, _| {
                    Box::pin(async { c.execute(MYSQL_SETTINGS).await.map(drop) })
                });
                let pool = pool.connect(&url).await.unwrap();
                (url, Pool::MySql(pool.clone()), store::mysql(pool))
            }
            _ => {
                let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
                let options = options.busy_timeout(Duration::from_millis(400));
                let options = options.journal_mode(SqliteJournalMode::Wal);
                let pool = SqlitePoolOptions::new().max_connections(size).acquire_timeout(wait);
                let pool = pool.connect_with(options).await.unwrap();
                let url = format!("sqlite://{}", file.display());
                (url, Pool::Sqlite(pool.clone()), store::sqlite(pool))
            }
        };
        let schema = &Item::SCHEMA.with_table(table.clone());
        given.ledger(Ledger::Install { schema }).await.unwrap();
        let this = Self { on, table, pool, url, audited, _directory: directory };
        for moody in this.moods() {
            this.sql(&moody).await.unwrap();
        }
        (this, given)
    }

    /// Triggers that refuse what is bad, and fail now and then.
    fn moods(&self) -> Vec<String> {
        let moods: &[&str] = match self.on {
            On::Postgres => &[MOODY_POSTGRES],
            On::MySql => &MOODY_MYSQL,
            _ => &MOODY_SQLITE,
        };
        moods.iter().map(|mood| mood.replace("{table}", &self.table)).collect()
    }

    pub(super) fn size(&self) -> usize {
        each!(self, |pool| pool.options().get_max_connections() as usize)
    }

    /// What somebody else does, on a connection of their own.
    pub(super) async fn sql(&self, sql: &str) -> Result<(), sqlx::Error> {
        let url = match self.on {
            On::Postgres => servers::postgres_url(),
            On::MySql => servers::mysql_url(),
            _ => self.url.clone(),
        };
        sql_at(self.on, &url, &sql.replace("{table}", &self.table)).await
    }

    /// What the application sees on a connection of its pool: transaction and settings.
    pub(super) async fn state(&self) -> Result<String, sqlx::Error> {
        let state = self.state_text();
        each!(self, |pool| Ok(raw_sql(state).fetch_one(pool).await?.get(0)))
    }

    /// The same on all connections at once.
    pub(super) async fn states(&self) -> Vec<String> {
        let (mut states, state) = (Vec::new(), self.state_text());
        each!(self, |pool| {
            let mut all = Vec::new();
            for _ in 0..self.size() {
                let Ok(connection) = pool.acquire().await else { return states };
                all.push(connection);
            }
            for connection in &mut all {
                let row = raw_sql(state).fetch_one(&mut **connection).await;
                states.push(row.map_or_else(|e| e.to_string(), |row| row.get(0)));
            }
        });
        states
    }

    fn state_text(&self) -> &'static str {
        match self.on {
            On::Postgres => POSTGRES_STATE,
            On::MySql => MYSQL_STATE,
            _ => SQLITE_STATE,
        }
    }

    /// How many connections of the pool the server has.
    pub(super) async fn connections(&self) -> usize {
        match self.on {
            On::Sqlite => each!(self, |pool| pool.size() as usize),
            _ => self.ids().await.len(),
        }
    }

    async fn ids(&self) -> Vec<i64> {
        let name = self.name();
        let sql = match self.on {
            On::Postgres => format!(
                "SELECT pid::BIGINT FROM pg_stat_activity WHERE application_name = '{name}'"
            ),
            _ => format!(
                "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
                 WHERE user = '{name}'"
            ),
        };
        let sql = AssertSqlSafe(sql);
        if self.on == On::Postgres {
            let mut watch = PgConnection::connect(&servers::postgres_url()).await.unwrap();
            return sqlx::query_scalar(sql).fetch_all(&mut watch).await.unwrap();
        }
        let mut watch = MySqlConnection::connect(&servers::mysql_url()).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut watch).await.unwrap()
    }

    /// What the server knows the pool's connections by.
    fn name(&self) -> &str {
        let start = self.url.find("pool").unwrap();
        let end = self.url[start..].find([':', '&', '@']).unwrap_or(self.url.len() - start);
        &self.url[start..start + end]
    }

    /// Ends what the pool's connections do, or the connections themselves.
    pub(super) async fn kill(&self, connections: bool) {
        if self.on == On::Sqlite {
            return;
        }
        for id in self.ids().await {
            let kill = match (self.on, connections) {
                (On::Postgres, true) => format!("SELECT pg_terminate_backend({id})"),
                (On::Postgres, false) => format!("SELECT pg_cancel_backend({id})"),
                (_, true) => format!("KILL {id}"),
                (_, false) => format!("KILL QUERY {id}"),
            };
            // It may be gone by itself.
            let _ = self.sql(&kill).await;
        }
    }

    pub(super) async fn rows(&self) -> HashMap<i64, String> {
        if let Some(table) = &self.audited {
            return table.rows().await;
        }
        let sql = AssertSqlSafe(format!("SELECT id, name FROM {}", self.table));
        let mut other = SqliteConnection::connect(&self.url).await.unwrap();
        let rows = sqlx::query_as(sql).fetch_all(&mut other).await.unwrap();
        rows.into_iter().collect::<HashMap<i64, String>>()
    }

    pub(super) async fn trail(&self) -> Vec<Audited> {
        match &self.audited {
            Some(table) => table.trail().await,
            None => Vec::new(),
        }
    }
}

async fn sql_at(on: On, url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
    match on {
        On::Postgres => sql.execute(&mut PgConnection::connect(url).await?).await.map(drop),
        On::MySql => sql.execute(&mut MySqlConnection::connect(url).await?).await.map(drop),
        _ => sql.execute(&mut SqliteConnection::connect(url).await?).await.map(drop),
    }
}

const POSTGRES_SETTINGS: &str = "SET statement_timeout = '2500ms'; SET lock_timeout = '2400ms'";
const MYSQL_SETTINGS: &str = "SET SESSION lock_wait_timeout = 3, \
    SESSION innodb_lock_wait_timeout = 4, SESSION sql_mode = 'ANSI_QUOTES', \
    SESSION max_statement_time = 2.5, SESSION idle_transaction_timeout = 9";
/// Outside of a transaction both times are the same.
const POSTGRES_STATE: &str = "SELECT concat_ws(' ', now() = statement_timestamp(), \
    current_setting('statement_timeout'), current_setting('lock_timeout'), \
    current_setting('idle_in_transaction_session_timeout'))";
const MYSQL_STATE: &str = "SELECT CONCAT_WS(' ', @@in_transaction, @@lock_wait_timeout, \
    @@innodb_lock_wait_timeout, @@sql_mode, @@max_statement_time, @@idle_transaction_timeout)";

/// In a transaction that is an error.
const SQLITE_STATE: &str = "BEGIN; ROLLBACK; SELECT 'no transaction'";

const MOODY_POSTGRES: &str = "
CREATE FUNCTION moody_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.name LIKE 'bad%' THEN RAISE 'bad'; END IF;
    IF random() < 0.03 THEN RAISE 'moody' USING ERRCODE = '40001'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moody BEFORE INSERT OR UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION moody_{table}();";
const MOODY_MYSQL: [&str; 2] = [
    "CREATE TRIGGER moody_{table} BEFORE INSERT ON {table} FOR EACH ROW \
     IF NEW.name LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; ELSEIF RAND() < 0.03 THEN \
     SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF",
    "CREATE TRIGGER moodier_{table} BEFORE UPDATE ON {table} FOR EACH ROW \
     IF NEW.name LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF",
];
const MOODY_SQLITE: [&str; 2] = [
    "CREATE TRIGGER moody_{table} BEFORE INSERT ON {table} WHEN NEW.name LIKE 'bad%' \
     BEGIN SELECT RAISE(ROLLBACK, 'bad'); END",
    "CREATE TRIGGER moodier_{table} BEFORE UPDATE ON {table} WHEN NEW.name LIKE 'bad%' \
     BEGIN SELECT RAISE(ROLLBACK, 'bad'); END",
];
