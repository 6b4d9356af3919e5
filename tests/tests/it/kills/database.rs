//! The database of a scene: its server, and what an onlooker finds in it: rows, all changes of rows in
//! their order, and how far each partition is.

use std::collections::HashMap;

use cached_repo::{CachedEntity, Schema, store};
use mongodb::{
    Client, Collection,
    bson::{Document, Timestamp, doc},
    change_stream::event::OperationType,
};
use sqlx::{
    MySqlPool, PgPool, SqlitePool, mysql::MySqlPoolOptions, postgres::PgPoolOptions, raw_sql,
    sqlite::SqlitePoolOptions,
};
use tests::{
    PrivateDatabase,
    actor::{Item, PARTITIONS},
    private::Kind,
};

use super::history::Audited;

/// How far the database is in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: u32,
    pub(super) last_id: u64,
    pub(super) applied: u64,
    pub(super) coalesced: u64,
    pub(super) dead: u64,
}

pub(super) struct Database {
    pub(super) server: PrivateDatabase,
    look: Look,
}

/// How one looks into it, past the library.
enum Look {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(SqlitePool),
    /// Who looks, and the time from which on changes are looked at.
    Mongo(Client, Timestamp),
}

/// Asks for rows on one of the SQL databases, as tuples.
macro_rules! asked {
    ($look:expr, $sql:expr, $mongo:expr) => {
        match $look {
            Look::Postgres(pool) => sqlx::query_as($sql).fetch_all(pool).await.unwrap(),
            Look::MySql(pool) => sqlx::query_as($sql).fetch_all(pool).await.unwrap(),
            Look::Sqlite(pool) => sqlx::query_as($sql).fetch_all(pool).await.unwrap(),
            Look::Mongo(client, since) => $mongo(client, *since).await,
        }
    };
}

impl Database {
    /// With the tables, and with triggers that write each change down.
    pub(super) async fn new(server: PrivateDatabase) -> Self {
        let url = server.url();
        let schema: &Schema = &Item::SCHEMA;
        let store = store::connect(&url).await.unwrap();
        store.ledger(store::Ledger::Install { schema }).await.unwrap();
        let look = match server.kind() {
            Kind::Postgres => {
                let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
                raw_sql(POSTGRES_AUDIT).execute(&pool).await.unwrap();
                Look::Postgres(pool)
            }
            Kind::MariaDb => {
                let pool = MySqlPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
                raw_sql(MARIADB_AUDIT).execute(&pool).await.unwrap();
                Look::MySql(pool)
            }
            Kind::Sqlite => {
                let pool = SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap();
                raw_sql(SQLITE_AUDIT).execute(&pool).await.unwrap();
                Look::Sqlite(pool)
            }
            Kind::MongoDb => {
                let client = Client::with_uri_str(&url).await.unwrap();
                let hello = client.database("app").run_command(doc! { "hello": 1 }).await.unwrap();
                Look::Mongo(client, hello.get_timestamp("operationTime").unwrap())
            }
        };
        Self { server, look }
    }

    async fn sql(&self, sql: &'static str) {
        match &self.look {
            Look::Postgres(pool) => drop(raw_sql(sql).execute(pool).await.unwrap()),
            Look::MySql(pool) => drop(raw_sql(sql).execute(pool).await.unwrap()),
            Look::Sqlite(pool) => drop(raw_sql(sql).execute(pool).await.unwrap()),
            Look::Mongo(..) => panic!("MongoDB takes no SQL"),
        }
    }

    /// Refuses rows that are called `poison` from now on.
    pub(super) async fn refuse_poison(&self) {
        match &self.look {
            Look::Mongo(client, _) => {
                let valid = doc! { "name": { "$ne": "poison" } };
                let command = doc! { "collMod": "items", "validator": valid };
                client.database("app").run_command(command).await.unwrap();
            }
            Look::Sqlite(_) => self.sql(SQLITE_POISON).await,
            _ => self.sql("ALTER TABLE items ADD CHECK (name <> 'poison')").await,
        }
    }

    /// As recoveries do that are not complete.
    pub(super) async fn raise_epochs(&self) {
        match &self.look {
            Look::Mongo(client, _) => {
                let offsets: Collection<Document> =
                    client.database("app").collection("cached_repo_offsets");
                let raise = doc! { "$inc": { "epoch": 1_i64 } };
                offsets.update_many(doc! {}, raise).await.unwrap();
            }
            _ => self.sql("UPDATE cached_repo_offsets SET epoch = epoch + 1").await,
        }
    }

    /// The column of the later release, or that it is gone. PostgreSQL alone has it.
    pub(super) async fn has_note(&self, has: bool) {
        self.sql(match has {
            true => "ALTER TABLE items ADD COLUMN note TEXT",
            false => "ALTER TABLE items DROP COLUMN note",
        })
        .await;
    }

    pub(super) async fn rows(&self) -> HashMap<i64, String> {
        let rows: Vec<(i64, String)> = asked!(&self.look, "SELECT id, name FROM items", documents);
        rows.into_iter().collect()
    }

    /// Every change of a row, in order.
    pub(super) async fn trail(&self) -> Vec<Audited> {
        asked!(&self.look, "SELECT id, puts, name FROM audit ORDER BY seq", changes)
    }

    /// How far each partition is that was written to.
    pub(super) async fn positions(&self) -> Vec<Position> {
        type Row = (i64, i64, i64, i64, i64);
        let sql = match &self.look {
            Look::MySql(_) => MYSQL_POSITIONS,
            _ => POSITIONS,
        };
        let rows: Vec<Row> = asked!(&self.look, sql, positions);
        let number = |n: i64| u64::try_from(n).unwrap();
        let read = |(partition, last_id, applied, coalesced, dead): Row| Position {
            partition: u32::try_from(partition).unwrap(),
            last_id: number(last_id),
            applied: number(applied),
            coalesced: number(coalesced),
            dead: number(dead),
        };
        // Another row says how many partitions there are.
        let positions = rows.into_iter().map(read);
        positions.filter(|position| position.partition < PARTITIONS).collect()
    }
}

async fn found(client: &Client, collection: &str) -> Vec<Document> {
    let all: Collection<Document> = client.database("app").collection(collection);
    let mut cursor = all.find(doc! {}).await.unwrap();
    let mut documents = Vec::new();
    while cursor.advance().await.unwrap() {
        documents.push(cursor.deserialize_current().unwrap());
    }
    documents
}

async fn documents(client: &Client, _: Timestamp) -> Vec<(i64, String)> {
    let documents = found(client, "items").await;
    let row = |document: Document| {
        (document.get_i64("_id").unwrap(), document.get_str("name").unwrap().to_owned())
    };
    documents.into_iter().map(row).collect()
}

async fn positions(client: &Client, _: Timestamp) -> Vec<(i64, i64, i64, i64, i64)> {
    let documents = found(client, "cached_repo_offsets").await;
    let row = |document: Document| {
        let of = |field: &str| document.get_i64(field).unwrap();
        let key = document.get_document("_id").unwrap();
        let partition = key.get_i64("partition").unwrap();
        (partition, of("last_id"), of("applied"), of("coalesced"), of("dead_lettered"))
    };
    documents.into_iter().map(row).collect()
}

/// Reads the changes up to one that is made for it: where the list ends is seen by that.
async fn changes(client: &Client, since: Timestamp) -> Vec<Audited> {
    let database = client.database("app");
    let ends: Collection<Document> = database.collection("ends");
    let end = ends.insert_one(doc! {}).await.unwrap().inserted_id;
    let mut stream = database.watch().start_at_operation_time(since).await.unwrap();
    let mut changes = Vec::new();
    loop {
        let Some(event) = stream.next_if_any().await.unwrap() else { continue };
        let key = event.document_key.as_ref().and_then(|key| key.get("_id").cloned());
        if key.as_ref() == Some(&end) {
            return changes;
        }
        if event.ns.and_then(|ns| ns.coll).as_deref() != Some("items") {
            continue;
        }
        let id = key.and_then(|key| key.as_i64()).unwrap();
        let written = event
            .full_document
            .or_else(|| Some(event.update_description?.updated_fields))
            .unwrap_or_default();
        match (event.operation_type, written.get_str("name")) {
            (OperationType::Delete, _) => changes.push((id, false, String::new())),
            (_, Ok(name)) => changes.push((id, true, name.to_owned())),
            (other, Err(_)) => panic!("{id} was changed in a way that is unknown: {other:?}"),
        }
    }
}

const POSITIONS: &str = "SELECT CAST(partition AS BIGINT), CAST(last_id AS BIGINT), CAST(applied AS BIGINT), \
    CAST(coalesced AS BIGINT), CAST(dead_lettered AS BIGINT) FROM cached_repo_offsets";

const MYSQL_POSITIONS: &str = "SELECT CAST(`partition` AS SIGNED), CAST(last_id AS SIGNED), \
    CAST(applied AS SIGNED), CAST(coalesced AS SIGNED), CAST(dead_lettered AS SIGNED) \
    FROM cached_repo_offsets";

const POSTGRES_AUDIT: &str = "
CREATE TABLE audit (seq BIGSERIAL PRIMARY KEY, id BIGINT, puts BOOLEAN, name TEXT);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO audit (id, puts, name) VALUES (OLD.id, false, OLD.name);
    ELSE
        INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION audit();";

const MARIADB_AUDIT: &str = "
CREATE TABLE audit (seq BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, puts BOOLEAN, name TEXT);
CREATE TRIGGER audit_insert AFTER INSERT ON items FOR EACH ROW
    INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name);
CREATE TRIGGER audit_update AFTER UPDATE ON items FOR EACH ROW
    INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name);
CREATE TRIGGER audit_delete AFTER DELETE ON items FOR EACH ROW
    INSERT INTO audit (id, puts, name) VALUES (OLD.id, false, OLD.name);";

const SQLITE_AUDIT: &str = "
CREATE TABLE audit (seq INTEGER PRIMARY KEY, id BIGINT, puts BOOLEAN, name TEXT);
CREATE TRIGGER audit_insert AFTER INSERT ON items BEGIN
    INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name); END;
CREATE TRIGGER audit_update AFTER UPDATE ON items BEGIN
    INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name); END;
CREATE TRIGGER audit_delete AFTER DELETE ON items BEGIN
    INSERT INTO audit (id, puts, name) VALUES (OLD.id, false, OLD.name); END;";

const SQLITE_POISON: &str = "
CREATE TRIGGER poison BEFORE INSERT ON items WHEN NEW.name = 'poison' BEGIN
    SELECT RAISE(ABORT, 'no poison'); END;";
