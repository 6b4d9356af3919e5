//! A table of items whose every change is written down by a trigger.

use std::collections::HashMap;

use cached_repo::{CachedEntity, Change, Value, store::Ledger};
use sqlx::AssertSqlSafe;
use tests::{Gated, actor::Item, isolate, servers};

use crate::{
    databases::{On, run},
    stage::Todo,
};

/// One change of a row: its value, or that before the delete.
#[derive(Debug)]
pub(super) struct Audited {
    pub(super) id: i64,
    pub(super) puts: bool,
    pub(super) name: String,
}

impl Audited {
    /// The changes of todos that a store was given, in order.
    pub(super) fn written(gate: &Gated) -> Vec<Self> {
        let column = Todo::SCHEMA.columns().iter().position(|c| c.column() == "name").unwrap();
        let audited = |change: Change| {
            let id = change.id().text().parse().unwrap();
            match change.record().and_then(|record| record.get(column).cloned()) {
                Some(Value::Text(name)) => Self { id, puts: true, name: name.into_owned() },
                _ => Self { id, puts: false, name: String::new() },
            }
        };
        gate.written().into_iter().flatten().map(audited).collect()
    }
}

/// A table on one of the servers that all tests share.
pub(super) struct Table {
    pub(super) on: On,
    pub(super) name: String,
}

impl Table {
    /// Makes one.
    pub(super) async fn new(on: On) -> Self {
        let table = Self { on, name: isolate::unique("items") };
        let schema = &Item::SCHEMA.with_table(table.name.clone());
        let store = cached_repo::store::connect(&table.url()).await.unwrap();
        store.ledger(Ledger::Install { schema }).await.unwrap();
        let audit = if on == On::MySql { AUDIT_MYSQL } else { AUDIT_POSTGRES };
        table.run(audit).await;
        table
    }

    /// The server's URL.
    pub(super) fn url(&self) -> String {
        match self.on {
            On::MySql => servers::mysql_url(),
            _ => servers::postgres_url(),
        }
    }

    /// Runs SQL, where `{table}` is the table.
    pub(super) async fn run(&self, sql: &str) {
        run(self.on, None, &sql.replace("{table}", &self.name)).await;
    }

    pub(super) async fn rows(&self) -> HashMap<i64, String> {
        let rows = self.select("SELECT id, 1, name FROM {table}").await;
        rows.into_iter().map(|(id, _, name)| (id, name)).collect()
    }

    /// All changes, in order.
    pub(super) async fn trail(&self) -> Vec<Audited> {
        let rows = self.select("SELECT id, puts, name FROM audit_{table} ORDER BY seq").await;
        rows.into_iter().map(|(id, puts, name)| Audited { id, puts: puts == 1, name }).collect()
    }

    async fn select(&self, sql: &str) -> Vec<(i64, i32, String)> {
        let sql = AssertSqlSafe(sql.replace("{table}", &self.name));
        if self.on == On::MySql {
            let pool = sqlx::MySqlPool::connect(&self.url()).await.unwrap();
            return sqlx::query_as(sql).fetch_all(&pool).await.unwrap();
        }
        let pool = sqlx::PgPool::connect(&self.url()).await.unwrap();
        sqlx::query_as(sql).fetch_all(&pool).await.unwrap()
    }
}

const AUDIT_POSTGRES: &str = "
CREATE TABLE audit_{table} (seq BIGSERIAL PRIMARY KEY, id BIGINT, puts INTEGER, name TEXT);
CREATE FUNCTION audit_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO audit_{table} (id, puts, name) VALUES (OLD.id, 0, OLD.name);
    ELSE
        INSERT INTO audit_{table} (id, puts, name) VALUES (NEW.id, 1, NEW.name);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION audit_{table}();";
const AUDIT_MYSQL: &str = "
CREATE TABLE audit_{table} (seq BIGINT PRIMARY KEY AUTO_INCREMENT, id BIGINT, puts INT, name TEXT)
    CHARACTER SET utf8mb4;
CREATE TRIGGER put_{table} AFTER INSERT ON {table} FOR EACH ROW
    INSERT INTO audit_{table} (id, puts, name) VALUES (NEW.id, 1, NEW.name);
CREATE TRIGGER set_{table} AFTER UPDATE ON {table} FOR EACH ROW
    INSERT INTO audit_{table} (id, puts, name) VALUES (NEW.id, 1, NEW.name);
CREATE TRIGGER end_{table} AFTER DELETE ON {table} FOR EACH ROW
    INSERT INTO audit_{table} (id, puts, name) VALUES (OLD.id, 0, OLD.name);";
