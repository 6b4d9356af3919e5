//! Tables of the user's own: a type of the database's, or text; and what is refused at the start.

use std::borrow::Cow;

use cached_repo::{
    Change, ColumnSpec, EntityId, Kind, Record, Schema, Value,
    store::{Batch, Class, Query, StoreError, conformance},
};
use tokio::time::Instant;

use super::*;
use crate::databases::{records, run};

/// A database and a table with the columns `id` and `value`, of which the type is somebody else's choice.
pub(super) struct Theirs {
    on: On,
    store: SharedStore,
    pub(super) schema: Schema,
    directory: Option<tempfile::TempDir>,
}

impl Theirs {
    pub(super) async fn new(on: On, kind: Kind, declared: &str) -> Self {
        let (store, directory) = open(on).await;
        let table = isolate::unique("theirs");
        let columns = vec![
            ColumnSpec::new("id", "id", &[], Kind::I32, false, true),
            ColumnSpec::new("value", "value", &[], kind, true, false),
        ];
        let schema = Schema::new("theirs", "theirs", 1, columns.leak()).with_table(table.clone());
        let ddl = format!("CREATE TABLE {table} (id INT PRIMARY KEY NOT NULL, value {declared})");
        run(on, directory.as_ref(), &ddl).await;
        store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        Self { on, store, schema, directory }
    }

    pub(super) async fn sql(&self, sql: &str) {
        run(self.on, self.directory.as_ref(), sql).await;
    }

    pub(super) async fn missing(&self) -> String {
        self.store.describe(&self.schema).await.unwrap().missing.join("\n")
    }

    fn put(&self, id: i64, value: &str) -> Change {
        let mut record = Record::absent(2);
        record.set(0, Value::I64(id));
        record.set(1, Value::Text(Cow::Owned(value.to_owned())));
        Change::Put { id: self.id(id), record }
    }

    fn id(&self, id: i64) -> EntityId {
        conformance::id(vec![Value::I64(id)])
    }

    async fn write(&self, change: Change) -> Result<(), StoreError> {
        let changes = [change];
        let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
        self.store.apply(&self.schema, batch).await.map(drop)
    }

    async fn read(&self, id: i64) -> String {
        let rows = self.store.load(&self.schema, Query::Ids(&[self.id(id)])).await.unwrap();
        let mut rows = records(rows);
        match rows.pop().and_then(|mut row| row.take(1)) {
            Some(Value::Text(text)) => text.into_owned(),
            other => panic!("{other:?}"),
        }
    }
}

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
const OID: &str = "0123456789abcdef01234567";
const INSTANT: &str = "2026-01-02T03:04:05.6Z";
const LOCAL: &str = "2026-01-02T03:04:05.6";

/// A database's type, a row of it as SQL spells it, and the value that it is.
const TABLES: &[(On, Kind, &str, &str, &str)] = &[
    (On::Postgres, Kind::Uuid, "uuid", "'67E5504410b1426f9247bb680e5fe0c8'", UUID),
    (On::Postgres, Kind::Uuid, "text", "'67E55044-10B1-426F-9247-BB680E5FE0C8'", UUID),
    (On::Postgres, Kind::Uuid, "varchar(36)", "'67e55044-10b1-426f-9247-bb680e5fe0c8'", UUID),
    (On::Postgres, Kind::Decimal, "numeric", "-1.500", "-1.5"),
    (On::Postgres, Kind::Decimal, "numeric(10,2)", "-1.5", "-1.5"),
    (On::Postgres, Kind::Decimal, "text", "'1.500'", "1.5"),
    (On::Postgres, Kind::Timestamp, "timestamptz", "'2026-01-02 04:34:05.6+01:30'", INSTANT),
    (On::Postgres, Kind::Timestamp, "timestamptz(3)", "'2026-01-02 03:04:05.6Z'", INSTANT),
    (On::Postgres, Kind::Timestamp, "text", "'2026-01-02 04:34:05.600+01:30'", INSTANT),
    (On::Postgres, Kind::DateTime, "timestamp", "'2026-01-02 03:04:05.6'", LOCAL),
    (On::Postgres, Kind::DateTime, "text", "'2026-01-02 03:04:05.6'", LOCAL),
    (On::Postgres, Kind::Date, "date", "'0001-01-01'", "0001-01-01"),
    (On::Postgres, Kind::Date, "text", "'0001-01-01'", "0001-01-01"),
    (On::Postgres, Kind::Time, "time", "'23:59:59.999999'", "23:59:59.999999"),
    (On::Postgres, Kind::Time, "text", "'23:59:59.10'", "23:59:59.1"),
    (On::Postgres, Kind::ObjectId, "text", "'0123456789ABCDEF01234567'", OID),
    (On::Postgres, Kind::Text, "varchar(3)", "'abc'", "abc"),
    (On::Postgres, Kind::Text, "char(5)", "'ab'", "ab"),
    (On::MySql, Kind::Text, "varchar(3)", "'ab '", "ab "),
    (On::MySql, Kind::Uuid, "char(36)", "'67E55044-10B1-426F-9247-BB680E5FE0C8'", UUID),
    (On::MySql, Kind::Uuid, "varchar(40)", "'67e55044-10b1-426f-9247-bb680e5fe0c8'", UUID),
    (On::MySql, Kind::Uuid, "binary(16)", "0x67e5504410b1426f9247bb680e5fe0c8", UUID),
    (On::MySql, Kind::Uuid, "uuid", "'67E55044-10B1-426F-9247-BB680E5FE0C8'", UUID),
    (On::MySql, Kind::Decimal, "decimal(10,2)", "-1.5", "-1.5"),
    (On::MySql, Kind::Decimal, "varchar(99)", "'1.500'", "1.5"),
    (On::MySql, Kind::Timestamp, "datetime(6)", "'2026-01-02 03:04:05.6'", INSTANT),
    (On::MySql, Kind::Timestamp, "timestamp(3) null", "'2026-01-02 03:04:05.6'", INSTANT),
    (On::MySql, Kind::Timestamp, "text", "'2026-01-02 04:34:05.600+01:30'", INSTANT),
    (On::MySql, Kind::DateTime, "datetime(1)", "'2026-01-02 03:04:05.6'", LOCAL),
    (On::MySql, Kind::DateTime, "text", "'2026-01-02 03:04:05.6'", LOCAL),
    (On::MySql, Kind::Date, "date", "'1000-01-01'", "1000-01-01"),
    (On::MySql, Kind::Date, "text", "'0001-01-01'", "0001-01-01"),
    (On::MySql, Kind::Time, "time(6)", "'23:59:59.999999'", "23:59:59.999999"),
    (On::MySql, Kind::Time, "time", "'00:00:00'", "00:00:00"),
    (On::MySql, Kind::Time, "text", "'23:59:59.10'", "23:59:59.1"),
    (On::MySql, Kind::ObjectId, "char(24)", "'0123456789ABCDEF01234567'", OID),
    (On::Sqlite, Kind::Uuid, "uuid", "'67E55044-10B1-426F-9247-BB680E5FE0C8'", UUID),
    (On::Sqlite, Kind::Decimal, "text", "'1.500'", "1.5"),
    (On::Sqlite, Kind::Timestamp, "timestamp", "'2026-01-02T03:04:05.600+00:00'", INSTANT),
    (On::Sqlite, Kind::DateTime, "datetime", "'2026-01-02 03:04:05.6'", LOCAL),
    (On::Sqlite, Kind::Date, "date", "'2026-01-02'", "2026-01-02"),
    (On::Sqlite, Kind::Time, "time", "'03:04:05'", "03:04:05"),
    (On::Sqlite, Kind::ObjectId, "text", "'000000000000000000000012'", "000000000000000000000012"),
];

#[tokio::test]
async fn a_table_may_have_the_databases_type_or_text() {
    for &(on, kind, declared, literal, value) in TABLES {
        let what = format!("{kind:?} as {declared} on {on:?}");
        let theirs = Theirs::new(on, kind, declared).await;
        assert_eq!(theirs.missing().await, "", "{what}");
        let table = theirs.schema.table();
        theirs.sql(&format!("INSERT INTO {table} VALUES (1, {literal})")).await;
        assert_eq!(theirs.read(1).await, value, "{what}: a row of theirs");
        for id in [1, 2] {
            theirs.write(theirs.put(id, value)).await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
            assert_eq!(theirs.read(id).await, value, "{what}: a row of ours");
        }
    }
}

/// A type that would change values, or hold them as something else.
const REFUSED: &[(On, Kind, &str, &str)] = &[
    (On::Postgres, Kind::Uuid, "bytea", "UUID (ALTER TABLE"),
    (On::Postgres, Kind::Uuid, "char(36)", "UUID (ALTER TABLE"),
    (On::Postgres, Kind::Decimal, "float8", "NUMERIC (ALTER TABLE"),
    (On::Postgres, Kind::Timestamp, "timestamp", "USING \"value\" AT TIME ZONE 'UTC'"),
    (On::Postgres, Kind::DateTime, "timestamptz", "USING \"value\" AT TIME ZONE 'UTC'"),
    (On::Postgres, Kind::Date, "timestamptz", "DATE (ALTER TABLE"),
    (On::Postgres, Kind::Time, "timetz", "TIME (ALTER TABLE"),
    (On::Postgres, Kind::ObjectId, "bytea", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "uuid", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "inet", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "jsonb", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "date", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "int4", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Text, "xml", "TEXT (ALTER TABLE"),
    (On::Postgres, Kind::Json, "text[]", "JSONB (ALTER TABLE"),
    (On::Postgres, Kind::Json, "bytea", "JSONB (ALTER TABLE"),
    (On::Postgres, Kind::Bool, "int4", "BOOLEAN (ALTER TABLE"),
    (On::Postgres, Kind::Bool, "text", "BOOLEAN (ALTER TABLE"),
    (On::Postgres, Kind::I64, "text", "BIGINT (ALTER TABLE"),
    (On::Postgres, Kind::I64, "float8", "BIGINT (ALTER TABLE"),
    (On::Postgres, Kind::I64, "numeric", "BIGINT (ALTER TABLE"),
    (On::Postgres, Kind::I64, "numeric(10,2)", "BIGINT (ALTER TABLE"),
    (On::Postgres, Kind::I32, "money", "INTEGER (ALTER TABLE"),
    (On::Postgres, Kind::F64, "real", "DOUBLE PRECISION (ALTER TABLE"),
    (On::Postgres, Kind::F64, "numeric(10,2)", "DOUBLE PRECISION (ALTER TABLE"),
    (On::Postgres, Kind::F64, "int8", "DOUBLE PRECISION (ALTER TABLE"),
    (On::Postgres, Kind::F32, "numeric", "REAL (ALTER TABLE"),
    (On::Postgres, Kind::Bytes, "text", "BYTEA (ALTER TABLE"),
    (On::Postgres, Kind::Bytes, "bit(8)", "BYTEA (ALTER TABLE"),
    (On::MySql, Kind::F64, "double(10,2)", "DOUBLE (ALTER TABLE"),
    (On::MySql, Kind::F32, "float(7,2)", "FLOAT (ALTER TABLE"),
    (On::MySql, Kind::F64, "double unsigned", "DOUBLE (ALTER TABLE"),
    (On::MySql, Kind::F64, "float", "DOUBLE (ALTER TABLE"),
    (On::MySql, Kind::Text, "char(5)", "LONGTEXT (ALTER TABLE"),
    (On::MySql, Kind::Text, "enum('a')", "LONGTEXT (ALTER TABLE"),
    (On::MySql, Kind::Uuid, "binary(17)", "CHAR(36)"),
    (On::MySql, Kind::Uuid, "char(35)", "CHAR(36)"),
    (On::MySql, Kind::Decimal, "double", "DECIMAL(65, 30)"),
    (On::MySql, Kind::Decimal, "decimal(10,2) unsigned", "DECIMAL(65, 30)"),
    (On::MySql, Kind::DateTime, "timestamp", "DATETIME(6)"),
    (On::MySql, Kind::Date, "datetime", "DATE"),
    (On::MySql, Kind::Time, "int", "TIME(6)"),
    (On::MySql, Kind::ObjectId, "binary(12)", "CHAR(24)"),
    (On::Sqlite, Kind::Uuid, "blob", "TEXT"),
    (On::Sqlite, Kind::Decimal, "decimal(10,2)", "TEXT"),
    (On::Sqlite, Kind::Timestamp, "integer", "TEXT"),
    (On::Sqlite, Kind::ObjectId, "numeric", "TEXT"),
];

#[tokio::test]
async fn a_table_of_another_type_is_refused_at_the_start() {
    for &(on, kind, declared, wanted) in REFUSED {
        let missing = Theirs::new(on, kind, declared).await.missing().await;
        let first = declared.split(['(', ' ']).next().unwrap_or(declared);
        let said = missing.to_ascii_lowercase();
        let is_named = missing.contains("`value`")
            && (said.contains(&format!("declared {first}"))
                || ["declared bpchar", "declared float4", "declared _text"]
                    .iter()
                    .any(|native| said.contains(native)));
        assert!(
            is_named && missing.contains(wanted),
            "{kind:?} as {declared} on {on:?}: {missing}"
        );
    }
}

/// What a column is too short for.
const TOO_MUCH: &[(On, Kind, &str, &str, &str)] = &[
    (On::Postgres, Kind::Decimal, "numeric(10,2)", "1.005", "3 behind"),
    (On::Postgres, Kind::Decimal, "numeric(10,2)", "123456789", "9 digits before"),
    (On::Postgres, Kind::Text, "varchar(3)", "four", "4 characters"),
    (On::Postgres, Kind::Text, "varchar(3)", "abc   ", "6 characters"),
    (On::Postgres, Kind::Text, "char(5)", "longer", "6 characters"),
    (On::Postgres, Kind::Text, "char(5)", "ab ", "ends with a space"),
    (On::MySql, Kind::Text, "varchar(3)", "four", "4 characters"),
    (On::MySql, Kind::Text, "varchar(3)", "abc   ", "6 characters"),
    (On::Postgres, Kind::Timestamp, "timestamptz(3)", "2026-01-02T03:04:05.0001Z", "milliseconds"),
    (On::Postgres, Kind::DateTime, "timestamp(0)", "2026-01-02T03:04:05.1", "seconds"),
    (On::Postgres, Kind::Time, "time(1)", "03:04:05.11", "1 digits"),
    (On::MySql, Kind::Decimal, "decimal(10,2)", "1.005", "3 behind"),
    (On::MySql, Kind::Decimal, "decimal", "1.5", "1 behind"),
    (On::MySql, Kind::Timestamp, "datetime", "2026-01-02T03:04:05.1Z", "seconds"),
    (On::MySql, Kind::Timestamp, "timestamp null", "2038-01-19T03:14:08Z", "January 2038"),
    (On::MySql, Kind::Timestamp, "timestamp null", "1970-01-01T00:00:00Z", "before 1970"),
    (On::MySql, Kind::Time, "time(3)", "03:04:05.1111", "milliseconds"),
];

#[tokio::test]
async fn what_a_column_is_too_short_for_is_refused_and_not_rounded() {
    for &(on, kind, declared, value, words) in TOO_MUCH {
        let theirs = Theirs::new(on, kind, declared).await;
        assert_eq!(theirs.missing().await, "", "{declared}");
        let put = theirs.put(1, value);
        let checked = theirs.store.check(&theirs.schema, &put).unwrap_err();
        let written = theirs.write(put).await.unwrap_err();
        for error in [checked, written] {
            assert_eq!(error.class(), Class::Record, "{declared}: {error:?}");
            let text = error.to_string();
            assert!(text.contains("`value`") && text.contains(words), "{declared}: {text}");
        }
    }
}

/// A column that somebody gives another type while processes run.
#[tokio::test]
async fn a_table_that_was_changed_is_looked_at_again() {
    for (on, to) in [
        (On::Postgres, "ALTER COLUMN value TYPE uuid USING value::uuid"),
        // Too long a value would be the row's fault, and a dead letter, if nobody looked.
        (On::MySql, "MODIFY value BINARY(16)"),
    ] {
        let declared = if on == On::Postgres { "text" } else { "char(36)" };
        let theirs = Theirs::new(on, Kind::Uuid, declared).await;
        theirs.write(theirs.put(1, UUID)).await.unwrap();
        let table = theirs.schema.table();
        theirs.sql(&format!("DELETE FROM {table}; ALTER TABLE {table} {to}")).await;
        // Before it fails it looks.
        theirs.write(theirs.put(2, UUID)).await.unwrap();
        assert_eq!(theirs.read(2).await, UUID, "{on:?}");
    }
}

/// What was refused because of a column, and is sent again when somebody has made it wider.
#[tokio::test]
async fn a_column_that_was_made_wider_takes_what_it_refused() {
    for (on, to) in [
        (On::Postgres, "ALTER COLUMN value TYPE numeric(12, 4)"),
        (On::MySql, "MODIFY value decimal(12, 4)"),
    ] {
        let theirs = Theirs::new(on, Kind::Decimal, "decimal(10, 2)").await;
        let put = || theirs.put(1, "1.005");
        let table = theirs.schema.table();
        assert_eq!(theirs.write(put()).await.unwrap_err().class(), Class::Record);
        let check = || theirs.store.check(&theirs.schema, &put());
        assert_eq!(check().unwrap_err().class(), Class::Record, "{on:?}");
        theirs.sql(&format!("ALTER TABLE {table} {to}")).await;
        assert!(check().is_err(), "{on:?}: nobody has asked the database yet");
        assert!(
            theirs
                .store
                .load(&theirs.schema, Query::Ids(&[theirs.id(1)]))
                .await
                .unwrap()
                .is_empty()
        );
        check().unwrap();
        theirs.sql(&format!("ALTER TABLE {table} {}", to.replace('4', "2"))).await;
        assert_eq!(theirs.missing().await, "");
        theirs.sql(&format!("ALTER TABLE {table} {to}")).await;
        // As a dead letter is replayed: there was no look in between.
        theirs.write(put()).await.unwrap_or_else(|e| panic!("{on:?}: {e}"));
        assert_eq!(theirs.read(1).await, "1.005", "{on:?}");
    }
}
