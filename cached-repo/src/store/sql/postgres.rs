//! PostgreSQL's dialect: a batch is one array per column, so that its text does not depend on its size.

use std::{borrow::Cow, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use sqlx::{
    Arguments, AssertSqlSafe, Decode, PgConnection, Row as _, Type,
    error::DatabaseError,
    postgres::{PgArguments, PgConnectOptions, PgRow},
};

use super::{Begin, Declared, Dialect, Shape, Statement, StoreError, Table};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::Kind,
    store::Class,
};

mod arrays;
use arrays::{array, bind_array, kind_of, read_as, signed, these, unbindable};

mod codes;

pub(super) mod transaction;

mod jsonb;
mod types;
use types::JSONB;

/// See [`Dialect`].
pub(in crate::store) struct Postgres;

impl Dialect for Postgres {
    type Database = sqlx::Postgres;

    const NAME: &'static str = "PostgreSQL";
    const QUOTE: char = '"';
    const WRITERS: usize = tokio::sync::Semaphore::MAX_PERMITS;
    const CLOSES_ABANDONED: bool = true;
    const U64_MAX: u64 = i64::MAX as u64;
    const TIMESTAMP: &'static str = "TIMESTAMPTZ";
    const WORD: &'static str = "TEXT";
    const TABLE_OPTIONS: &'static str = "";
    const RETURNS: bool = true;
    const PARTIAL_INDEXES: bool = true;
    const HAS_ROLES: bool = true;
    const TRANSACTIONAL_DDL: bool = true;
    const LOCKS_ARE_ROWS: bool = false;
    const ELEMENTS: &'static str = "jsonb_array_elements(?::jsonb) AS e (value)";
    const SUPERSEDE: Option<&'static str> = None;
    const BYTES_MAX: Option<&'static str> = None;
    const ROLLBACK: &'static str = "ROLLBACK";
    const NO_TRANSACTION: Option<&'static str> = None;
    const TOO_LATE: Option<&'static str> = None;

    fn spell(sql: &str) -> Cow<'_, str> {
        sql.into()
    }

    fn begin(begin: &Begin) -> String {
        transaction::begin(begin)
    }

    fn begin_read(max: Duration) -> Option<String> {
        Some(transaction::begin_read(max))
    }

    fn limits_statements(options: &PgConnectOptions) -> bool {
        options.get_options().is_some_and(|options| options.contains("statement_timeout"))
    }

    /// The server has ended a transaction that idled for too long.
    fn commit(_: Duration) -> String {
        "COMMIT".to_owned()
    }

    fn run(
        connection: &mut PgConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<Vec<PgRow>, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).boxed()
    }

    fn change(
        connection: &mut PgConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<u64, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection);
        done.map_ok(|done| done.rows_affected()).boxed()
    }

    fn script(
        connection: &mut PgConnection,
        sql: String,
    ) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).map_ok(drop).boxed()
    }

    fn parameter(n: usize) -> String {
        format!("${n}")
    }

    fn bind<'v>(
        sql: String,
        values: impl Iterator<Item = &'v Value<'v>>,
    ) -> Result<Statement<Self>, StoreError> {
        let mut arguments = PgArguments::default();
        for value in values {
            match value {
                Value::Bool(v) => arguments.add(v),
                Value::I64(v) => arguments.add(v),
                Value::F64(v) => arguments.add(v),
                Value::Bytes(v) => arguments.add(&**v),
                Value::Text(v) | Value::Json(v) => arguments.add(&**v),
                Value::Null | Value::U64(_) => arguments.add(signed(value)),
            }
            .map_err(unbindable)?;
        }
        Ok(Statement { sql, arguments })
    }

    fn held<'v>(value: &'v Value<'v>, column: Shape<'_>) -> Value<'v> {
        match value {
            Value::Json(json) if types::json_cast(column) == JSONB => {
                Value::Json(jsonb::held(json))
            }
            value => value.borrowed(),
        }
    }

    fn upserts(
        table: &Table<'_>,
        rows: &[&Record<'_>],
    ) -> Result<Vec<Statement<Self>>, StoreError> {
        let mut arguments = PgArguments::default();
        let (mut values, mut arrays, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for &index in &table.written {
            let kind = kind_of(table, index);
            let shape = table.shape(index);
            let values_of = rows.iter().map(|row| row.get(index));
            let held: Vec<_> = values_of.map(|v| v.map(|v| Self::held(v, shape))).collect();
            bind_array(&mut arguments, kind, held.iter().map(Option::as_ref))?;
            arrays.push(array(arrays.len() + 1, shape));
            names.push(format!("c{index}"));
            let cast = types::json_cast(shape);
            values.push(format!("u.c{index}{cast}"));
        }
        let sql = format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM UNNEST({}) AS u ({}) {}",
            table.name,
            table.written_list(),
            values.join(", "),
            arrays.join(", "),
            names.join(", "),
            table.on_conflict(),
        );
        Ok(vec![Statement { sql, arguments }])
    }

    fn deletes(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        let (these, arguments) = these(table, ids)?;
        let sql = format!("DELETE FROM {} WHERE {these}", table.name);
        Ok(vec![Statement { sql, arguments }])
    }

    fn selects(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        let (these, arguments) = these(table, ids)?;
        let sql = format!("SELECT {} FROM {} WHERE {these}", read_as(table), table.name);
        Ok(vec![Statement { sql, arguments }])
    }

    fn page(
        table: &Table<'_>,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Statement<Self>, StoreError> {
        let (list, columns, name) = (table.id_list(), read_as(table), &table.name);
        let part = |(n, &index): (usize, &usize)| arrays::single(n + 1, table.shape(index));
        let behind = match after {
            Some(_) => {
                let parts: Vec<_> = table.ids.iter().enumerate().map(part).collect();
                format!(" WHERE ({list}) > ({})", parts.join(", "))
            }
            None => String::new(),
        };
        let sql = format!("SELECT {columns} FROM {name}{behind} ORDER BY {list} LIMIT {limit}");
        Self::bind(sql, after.into_iter().flat_map(|id| id.values()))
    }

    /// Narrower types of the same values are cast when they are read, and refuse what they do not hold.
    fn misfit(kind: Kind, declared: &str) -> Option<&'static str> {
        let fits = types::fits(kind, &Declared::parse(declared));
        (!fits).then(|| Self::column_type(kind, false))
    }

    fn inspect(table: &Table<'_>) -> Result<Statement<Self>, StoreError> {
        // A partial or deferrable index cannot decide which row an upsert overwrites.
        // The type behind a domain, with the numbers of a type such as `numeric(10,2)`.
        let sql = "SELECT NULL::int8, a.attname::text, \
                   CASE WHEN a.attgenerated <> '' THEN 'computed' \
                   ELSE COALESCE(b.typname, t.typname) || COALESCE(substring(format_type(\
                   COALESCE(b.oid, t.oid), CASE WHEN b.oid IS NULL THEN a.atttypmod \
                   ELSE t.typtypmod END) from '[(][0-9,-]*[)]'), '') END FROM pg_attribute a \
                   JOIN pg_type t ON t.oid = a.atttypid \
                   LEFT JOIN pg_type b ON b.oid = t.typbasetype \
                   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
                   UNION ALL \
                   SELECT i.indexrelid::int8, a.attname::text, \
                   CASE WHEN t.typname IN ('citext', 'bpchar') THEN t.typname::text \
                   WHEN NOT c.collisdeterministic THEN c.collname::text END FROM pg_index i \
                   CROSS JOIN generate_series(0, i.indnkeyatts - 1) AS k \
                   LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] \
                   LEFT JOIN pg_type t ON t.oid = a.atttypid \
                   LEFT JOIN pg_collation c ON c.oid = a.attcollation \
                   WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid \
                   AND i.indimmediate AND i.indpred IS NULL \
                   UNION ALL \
                   SELECT NULL, NULL, 'has a column `' || a.attname || '` that is NOT NULL without \
                   a default, and no field is mapped to it, so that each write would fail: give it \
                   a default, or add the field' FROM pg_attribute a \
                   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
                   AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' \
                   AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = a.attrelid \
                   AND NOT g.tgisinternal AND g.tgtype & 7 = 7) \
                   AND NOT a.attname::text = ANY (\
                   ARRAY(SELECT jsonb_array_elements_text($2::jsonb))) \
                   UNION ALL \
                   SELECT NULL, NULL, CASE c.relkind WHEN 'v' THEN 'is a view: name the table' \
                   WHEN 'm' THEN 'is a materialized view, which nobody can write to: name the table' \
                   WHEN 'f' THEN 'is a foreign table, whose transactions are another server''s' \
                   ELSE 'has a rule for writes, with which PostgreSQL allows no upsert: make a \
                   trigger of it' END FROM pg_class c WHERE c.oid = to_regclass($1) AND \
                   (c.relkind IN ('v', 'm', 'f') OR EXISTS (SELECT FROM pg_rewrite r \
                   WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3', '4')))";
        let values = [table.name.as_str().into(), table.mapped().into()];
        Self::bind(sql.to_owned(), values.map(Value::Text).iter())
    }

    fn value(row: &PgRow, index: usize, kind: Kind) -> Result<Value<'static>, String> {
        let value = match kind {
            Kind::Bool => get(row, index)?.map(Value::Bool),
            Kind::I16 | Kind::I32 | Kind::I64 => get(row, index)?.map(Value::I64),
            Kind::U64 => {
                let value = get::<i64>(row, index)?.map(u64::try_from).transpose();
                value.map_err(|_| "the number is negative")?.map(Value::U64)
            }
            Kind::F32 | Kind::F64 => get(row, index)?.map(Value::F64),
            Kind::Text => get::<String>(row, index)?.map(|v| Value::Text(v.into())),
            Kind::Json => get::<String>(row, index)?.map(|v| Value::Json(v.into())),
            Kind::Bytes => get::<Vec<u8>>(row, index)?.map(|v| Value::Bytes(v.into())),
            kind => types::text(row, index, kind)?.map(|v| Value::Text(v.into())),
        };
        Ok(value.unwrap_or(Value::Null))
    }

    fn refusal(value: &Value<'_>, column: Shape<'_>) -> Option<String> {
        let id = column.is_id;
        match value {
            Value::Text(v) if column.kind.is_spelled() => types::refusal(v, column),
            Value::Text(v) if v.contains('\0') => Some("text with a NUL character".to_owned()),
            Value::Text(v) if id && v.len() > ID_LEN_MAX => too_long(v.len()),
            Value::Bytes(v) if id => too_long(v.len()),
            value => types::narrow(value, column),
        }
    }

    fn column_type(kind: Kind, id: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::I16 => "SMALLINT",
            Kind::I32 => "INTEGER",
            Kind::I64 | Kind::U64 => "BIGINT",
            Kind::F32 => "REAL",
            Kind::F64 => "DOUBLE PRECISION",
            // So that two ids are one row exactly when they are equal.
            Kind::Text if id => "TEXT COLLATE \"C\"",
            Kind::Text => "TEXT",
            Kind::Bytes => "BYTEA",
            Kind::Json => "JSONB",
            kind => types::column_type(kind),
        }
    }

    fn retype(table: &Table<'_>, column: &str, column_type: &str) -> Option<String> {
        let using = types::using(column_type, column);
        Some(format!("ALTER TABLE {} ALTER COLUMN {column} TYPE {column_type}{using}", table.name))
    }

    fn code(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
        error.code()
    }

    fn class(code: &str) -> Class {
        codes::class(code)
    }

    fn class_of(error: &dyn DatabaseError) -> Class {
        codes::class_of(error)
    }

    fn is_stale(error: &dyn DatabaseError) -> bool {
        codes::is_stale(error)
    }

    fn null_in(error: &dyn DatabaseError) -> Option<(String, String)> {
        codes::null_in(error)
    }

    fn is_lost(code: &str) -> bool {
        matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04")
            || code.starts_with("08")
    }

    fn is_doubtful(code: &str) -> bool {
        // These came before the COMMIT did: the server had rolled back.
        !matches!(code, "25P03" | "25P04") && Self::is_lost(code)
    }
}

fn get<'r, T>(row: &'r PgRow, index: usize) -> Result<Option<T>, String>
where
    T: Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
{
    row.try_get(index).map_err(|e| e.to_string())
}

fn too_long(len: usize) -> Option<String> {
    (len > ID_LEN_MAX)
        .then(|| format!("an id of more than {ID_LEN_MAX} bytes (it has {len}) in an index"))
}

/// A btree entry may have a third of a page, about 2,700 bytes.
const ID_LEN_MAX: usize = 2600;
