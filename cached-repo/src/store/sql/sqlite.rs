//! SQLite's dialect: statements of many rows, one writer at a time.

use std::{borrow::Cow, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use sqlx::{
    Arguments, AssertSqlSafe, Decode, Row as _, SqliteConnection, TypeInfo, ValueRef,
    error::DatabaseError,
    sqlite::{SqliteArguments, SqliteRow, SqliteValueRef},
};

use super::{
    Begin, Dialect, Shape, Statement, StoreError, Table,
    rows::{self, Cut},
    table::split,
};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::Kind,
    store::Class,
};

/// See [`Dialect`].
pub(in crate::store) struct Sqlite;

impl Dialect for Sqlite {
    type Database = sqlx::Sqlite;

    const NAME: &'static str = "SQLite";
    const QUOTE: char = '"';
    /// Waiting here is fair and wakes at once; SQLite's own waiting is sleeping and trying again.
    const WRITERS: usize = 1;
    /// It always does, and a database in memory is gone when its connection is closed.
    const CLOSES_ABANDONED: bool = false;
    const U64_MAX: u64 = i64::MAX as u64;
    const TIMESTAMP: &'static str = "TEXT";
    const WORD: &'static str = "TEXT";
    const TABLE_OPTIONS: &'static str = "";
    const RETURNS: bool = true;
    const PARTIAL_INDEXES: bool = true;
    const HAS_ROLES: bool = false;
    const TRANSACTIONAL_DDL: bool = true;
    const LOCKS_ARE_ROWS: bool = false;
    const ELEMENTS: &'static str = "json_each(?) AS e";
    const SUPERSEDE: Option<&'static str> = None;
    const BYTES_MAX: Option<&'static str> = None;
    const ROLLBACK: &'static str = "ROLLBACK";
    /// A trigger or a constraint may have ended the transaction.
    const NO_TRANSACTION: Option<&'static str> = Some("BEGIN; ROLLBACK");
    const TOO_LATE: Option<&'static str> = None;

    fn spell(sql: &str) -> Cow<'_, str> {
        sql.into()
    }

    /// SQLite has no timeouts of statements; it serialises writers, which no lock needs to do again.
    fn begin(_: &Begin) -> String {
        "BEGIN IMMEDIATE".to_owned()
    }

    /// SQLite has no clock beside the one that was looked at already.
    fn commit(_: Duration) -> String {
        "COMMIT".to_owned()
    }

    fn run(
        connection: &mut SqliteConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<Vec<SqliteRow>, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).boxed()
    }

    fn change(
        connection: &mut SqliteConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<u64, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection);
        done.map_ok(|done| done.rows_affected()).boxed()
    }

    fn script(
        connection: &mut SqliteConnection,
        sql: String,
    ) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).map_ok(drop).boxed()
    }

    fn parameter(_: usize) -> String {
        "?".to_owned()
    }

    fn bind<'v>(
        sql: String,
        values: impl Iterator<Item = &'v Value<'v>>,
    ) -> Result<Statement<Self>, StoreError> {
        let mut arguments = SqliteArguments::default();
        for value in values {
            match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Bool(v) => arguments.add(v),
                Value::I64(v) => arguments.add(v),
                // Those above `U64_MAX` were refused.
                Value::U64(v) => arguments.add(i64::try_from(*v).ok()),
                Value::F64(v) => arguments.add(v),
                Value::Text(v) | Value::Json(v) => arguments.add(v.clone().into_owned()),
                Value::Bytes(v) => arguments.add(v.clone().into_owned()),
            }
            .map_err(|e| StoreError::record("a value cannot be sent to SQLite").caused_by(e))?;
        }
        Ok(Statement { sql, arguments })
    }

    fn upserts(
        table: &Table<'_>,
        rows: &[&Record<'_>],
    ) -> Result<Vec<Statement<Self>>, StoreError> {
        CUT.inserts(table, rows, &table.on_conflict())
    }

    fn deletes(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        CUT.by_id(&format!("DELETE FROM {}", table.name), table, ids, "VALUES ")
    }

    fn selects(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        let head = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
        CUT.by_id(&head, table, ids, "VALUES ")
    }

    fn page(
        table: &Table<'_>,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Statement<Self>, StoreError> {
        rows::page(table, after, limit)
    }

    fn misfit(kind: Kind, declared: &str) -> Option<&'static str> {
        let wanted = match kind {
            Kind::Text | Kind::Json => [Affinity::Text, Affinity::None],
            Kind::Bool | Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 => {
                [Affinity::Number, Affinity::None]
            }
            Kind::F32 | Kind::F64 => [Affinity::Real, Affinity::Number],
            // Bytes stay as they are in every column.
            Kind::Bytes => return None,
            _ => {
                let fits = affinity(declared) == Affinity::Text || is_named_so(kind, declared);
                return (!fits).then_some(Self::column_type(kind, false));
            }
        };
        let fits = wanted.contains(&affinity(declared));
        (!fits).then_some(Self::column_type(kind, false))
    }

    fn inspect(table: &Table<'_>) -> Result<Statement<Self>, StoreError> {
        let (namespace, name) = split(table.schema.table());
        let namespace = namespace.map_or(Value::Null, |v| Value::Text(v.into()));
        // An integer primary key is the table itself and has no index: it counts as number -1.
        let sql = "WITH t (name, space) AS (VALUES (?, ?)) \
                   SELECT NULL, c.name, CASE WHEN c.hidden IN (2, 3) THEN 'computed' ELSE c.type END \
                   FROM t, pragma_table_xinfo(t.name, t.space) AS c \
                   UNION ALL \
                   SELECT -1, c.name, NULL FROM t, pragma_table_info(t.name, t.space) AS c \
                   WHERE c.pk > 0 \
                   UNION ALL \
                   SELECT i.seq, c.name, nullif(c.coll, 'BINARY') \
                   FROM t, pragma_index_list(t.name, t.space) AS i, \
                   pragma_index_xinfo(i.name, t.space) AS c \
                   WHERE i.\"unique\" AND NOT i.partial AND c.key \
                   UNION ALL \
                   SELECT NULL, NULL, 'has a column `' || c.name || '` that is NOT NULL without a \
                   default, and no field is mapped to it, so that each write would fail: give it a \
                   default, or add the field' FROM t, pragma_table_xinfo(t.name, t.space) AS c \
                   WHERE c.\"notnull\" AND c.dflt_value IS NULL AND c.hidden = 0 AND c.pk = 0 \
                   AND c.name NOT IN (SELECT value FROM json_each(?))";
        let mapped = Value::Text(table.mapped().into());
        Self::bind(sql.to_owned(), [Value::Text(name.into()), namespace, mapped].iter())
    }

    fn value(row: &SqliteRow, index: usize, kind: Kind) -> Result<Value<'static>, String> {
        let raw = row.try_get_raw(index).map_err(|e| e.to_string())?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let stored = raw.type_info().name().to_owned();
        let value = match (kind, stored.as_str()) {
            (Kind::Bool, "INTEGER") => Value::Bool(decode::<i64>(raw)? != 0),
            (Kind::I16 | Kind::I32 | Kind::I64, "INTEGER") => Value::I64(decode(raw)?),
            (Kind::U64, "INTEGER") => {
                let value = u64::try_from(decode::<i64>(raw)?);
                Value::U64(value.map_err(|_| "the number is negative")?)
            }
            // A column without the affinity REAL keeps whole numbers as integers.
            (Kind::F32 | Kind::F64, "REAL" | "INTEGER") => Value::F64(decode(raw)?),
            (Kind::Text, "TEXT") => Value::Text(decode::<String>(raw)?.into()),
            (Kind::Json, "TEXT") => Value::Json(decode::<String>(raw)?.into()),
            (Kind::Bytes, "BLOB") => Value::Bytes(decode::<Vec<u8>>(raw)?.into()),
            (kind, "TEXT") if kind.is_spelled() => {
                let text = decode::<String>(raw)?;
                let canonical = kind.canonical(&text).map(|text| text.into_owned());
                let unfit = || format!("it is not {}", kind.spelled_as());
                Value::Text(canonical.ok_or_else(unfit)?.into())
            }
            _ => return Err(format!("expected {kind:?}, found {stored}")),
        };
        Ok(value)
    }

    fn refusal(value: &Value<'_>, _: Shape<'_>) -> Option<String> {
        match value {
            Value::F64(v) if v.is_nan() => Some("NaN: it makes it NULL".to_owned()),
            Value::F64(v) if *v == 0.0 && v.is_sign_negative() => {
                Some("-0.0: it drops the sign".to_owned())
            }
            _ => None,
        }
    }

    fn column_type(kind: Kind, _: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 => "INTEGER",
            Kind::F32 | Kind::F64 => "REAL",
            Kind::Bytes => "BLOB",
            // It has no types for what the others are.
            _ => "TEXT",
        }
    }

    fn retype(_: &Table<'_>, _: &str, _: &str) -> Option<String> {
        None
    }

    fn code(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
        error.code()
    }

    fn class(code: &str) -> Class {
        if code == CONSTRAINT_FOREIGNKEY {
            return Class::Reference;
        }
        match primary(code) {
            BUSY | LOCKED | NOMEM | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL | SCHEMA => {
                Class::Transient
            }
            TOOBIG | CONSTRAINT | MISMATCH => Class::Record,
            _ => Class::Systemic,
        }
    }

    fn null_in(error: &dyn DatabaseError) -> Option<(String, String)> {
        let code = error.code().filter(|code| code == CONSTRAINT_NOTNULL);
        let (_, column) = code.and_then(|_| error.message().rsplit_once(": "))?;
        column.split_once('.').map(|(table, column)| (table.to_owned(), column.to_owned()))
    }

    fn is_lost(_: &str) -> bool {
        false
    }

    fn is_doubtful(code: &str) -> bool {
        // The log may have reached the disk although the sync failed.
        primary(code) == IOERR
    }
}

/// To what a column converts the values that it is given.
#[derive(PartialEq, Eq)]
enum Affinity {
    Number,
    Real,
    Text,
    None,
}

/// The rules of <https://sqlite.org/datatype3.html>, section 3.1, in their order.
fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    match () {
        () if has(&["INT"]) => Affinity::Number,
        () if has(&["CHAR", "CLOB", "TEXT"]) => Affinity::Text,
        () if declared.is_empty() || has(&["BLOB"]) => Affinity::None,
        () if has(&["REAL", "FLOA", "DOUB"]) => Affinity::Real,
        () => Affinity::Number,
    }
}

/// Whether a column is declared as those of other databases are, or not at all: a text that is no number
/// stays what it is there.
fn is_named_so(kind: Kind, declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let is_number = matches!(kind, Kind::Decimal | Kind::ObjectId);
    let names = ["UUID", "DATE", "TIME"];
    declared.is_empty() || (!is_number && names.iter().any(|name| declared.contains(name)))
}

fn decode<'r, T: Decode<'r, sqlx::Sqlite>>(raw: SqliteValueRef<'r>) -> Result<T, String> {
    T::decode(raw).map_err(|e| e.to_string())
}

/// Extended result codes carry the primary one in their lowest byte.
fn primary(code: &str) -> i32 {
    code.parse::<i32>().unwrap_or(0) & 0xff
}

/// SQLite's limit on parameters of one statement.
const CUT: Cut = Cut { parameters_max: 32_766, rows_max: 1024 };

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const SCHEMA: i32 = 17;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
/// An extended code.
const CONSTRAINT_FOREIGNKEY: &str = "787";
const CONSTRAINT_NOTNULL: &str = "1299";
