//! The databases that a test may run on, and what another program does in them.

use cached_repo::{
    Record,
    store::{self, Row, SharedStore},
};
use mongodb::bson::doc;
use sqlx::{AssertSqlSafe, raw_sql};
use tempfile::TempDir;
use tests::servers;

use crate::users;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Memory,
    Sqlite,
    Postgres,
    MySql,
    Mongo,
    MongoStandalone,
}

/// All of them.
pub(crate) const STORES: [On; 6] =
    [On::Memory, On::Sqlite, On::Postgres, On::MySql, On::Mongo, On::MongoStandalone];

/// Those that take SQL.
pub(crate) const DATABASES: [On; 3] = [On::Sqlite, On::Postgres, On::MySql];

/// A store, and the directory of its file if it has one.
pub(crate) async fn open(on: On) -> (SharedStore, Option<TempDir>) {
    match on {
        On::Memory => (store::memory(), None),
        On::Sqlite => {
            let directory = tempfile::tempdir().unwrap();
            let url = format!("{}?mode=rwc", sqlite_url(&directory));
            (store::connect(&url).await.unwrap(), Some(directory))
        }
        On::Postgres => (users::postgres(&servers::postgres_url()).await, None),
        On::MySql => (users::mysql(&servers::mysql_url()).await, None),
        On::Mongo => (store::connect(&mongo_url(on)).await.unwrap(), None),
        On::MongoStandalone => {
            let client = mongodb::Client::with_uri_str(mongo_url(on)).await.unwrap();
            (store::mongodb_standalone(client, MONGO_DATABASE), None)
        }
    }
}

/// The records of rows that can all be read.
pub(crate) fn records(rows: Vec<Row>) -> Vec<Record<'static>> {
    rows.into_iter().map(Result::unwrap).collect()
}

/// Runs SQL in the database of a store that was opened here.
pub(crate) async fn run(on: On, directory: Option<&TempDir>, sql: &str) {
    let sql = raw_sql(AssertSqlSafe(sql.to_owned()));
    match on {
        On::Memory | On::Mongo | On::MongoStandalone => panic!("{on:?} takes no SQL"),
        On::Sqlite => {
            let pool = sqlx::SqlitePool::connect(&sqlite_url(directory.unwrap())).await.unwrap();
            sql.execute(&pool).await.map(drop).unwrap();
        }
        On::Postgres => {
            let pool = sqlx::PgPool::connect(&servers::postgres_url()).await.unwrap();
            sql.execute(&pool).await.map(drop).unwrap();
        }
        On::MySql => {
            let pool = sqlx::MySqlPool::connect(&servers::mysql_url()).await.unwrap();
            sql.execute(&pool).await.map(drop).unwrap();
        }
    }
}

/// Lets no two rows of a table have the same name, or only not this one.
pub(crate) async fn one_name(on: On, directory: Option<&TempDir>, table: &str, only: Option<&str>) {
    if !matches!(on, On::Mongo | On::MongoStandalone) {
        return run(on, directory, &unique_names(on, table, only)).await;
    }
    let mut index = doc! { "key": { "name": 1 }, "name": "one_name", "unique": true };
    if let Some(name) = only {
        index.insert("partialFilterExpression", doc! { "name": name });
    }
    let command = doc! { "createIndexes": table, "indexes": [index] };
    mongo(on).await.run_command(command).await.unwrap();
}

/// Makes a statement that lets no two rows of a table have the same name, or only not this one.
pub(crate) fn unique_names(on: On, table: &str, only: Option<&str>) -> String {
    match (on, only) {
        // Its texts are too long for an index, and an index is on all rows.
        (On::MySql, only) => {
            let unique = match only {
                Some(name) => format!("IF(name = '{name}', name, NULL)"),
                None => "LEFT(name, 200)".to_owned(),
            };
            format!(
                "ALTER TABLE {table} ADD one_name VARCHAR(200) GENERATED ALWAYS AS ({unique}) \
                 VIRTUAL, ADD UNIQUE (one_name)"
            )
        }
        (_, Some(name)) => {
            format!("CREATE UNIQUE INDEX one_{table} ON {table} (name) WHERE name = '{name}'")
        }
        (_, None) => format!("CREATE UNIQUE INDEX one_{table} ON {table} (name)"),
    }
}

/// The database of MongoDB behind a store that was opened here.
pub(crate) async fn mongo(on: On) -> mongodb::Database {
    let client = mongodb::Client::with_uri_str(mongo_url(on)).await.unwrap();
    client.database(MONGO_DATABASE)
}

fn mongo_url(on: On) -> String {
    let server = match on {
        On::Mongo => servers::mongodb_url(),
        _ => servers::mongodb_standalone_url(),
    };
    servers::mongodb_database(&server, MONGO_DATABASE)
}

/// One for all tests: their collections have different names.
const MONGO_DATABASE: &str = "stage";

fn sqlite_url(directory: &TempDir) -> String {
    format!("sqlite://{}", directory.path().join("test.db").display())
}
