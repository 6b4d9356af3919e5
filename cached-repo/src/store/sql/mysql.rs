//! The dialect of MySQL and MariaDB: what the server does not do, a statement of ours does.

use std::{borrow::Cow, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use sqlx::{
    Arguments, AssertSqlSafe, Decode, MySqlConnection, Row as _, Type, TypeInfo, ValueRef,
    error::DatabaseError,
    mysql::{MySqlArguments, MySqlDatabaseError, MySqlRow, MySqlValueRef},
};

use super::{
    Begin, Declared, Dialect, Shape, Statement, StoreError, Table,
    rows::{self, Cut},
    table::split,
};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::Kind,
    store::Class,
};

mod codes;
mod transaction;
mod types;
mod words;

/// See [`Dialect`].
pub(in crate::store) struct MySql;

impl Dialect for MySql {
    type Database = sqlx::MySql;

    const NAME: &'static str = "MySQL";
    const QUOTE: char = '`';
    const WRITERS: usize = tokio::sync::Semaphore::MAX_PERMITS;
    const CLOSES_ABANDONED: bool = true;
    const U64_MAX: u64 = u64::MAX;
    const TIMESTAMP: &'static str = "DATETIME(6)";
    const WORD: &'static str = "VARCHAR(16)";
    /// The server's own defaults may be an engine without transactions and a character set of 256
    /// characters.
    const TABLE_OPTIONS: &'static str =
        " ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin";
    const RETURNS: bool = false;
    const PARTIAL_INDEXES: bool = false;
    const HAS_ROLES: bool = true;
    const TRANSACTIONAL_DDL: bool = false;
    const LOCKS_ARE_ROWS: bool = true;
    const ELEMENTS: &'static str = "JSON_TABLE(?, '$[*]' COLUMNS \
        (name LONGTEXT CHARACTER SET utf8mb4 PATH '$[0]', number BIGINT PATH '$[1]')) AS e";
    const SUPERSEDE: Option<&'static str> = Some(words::SUPERSEDE);
    const BYTES_MAX: Option<&'static str> = Some("SELECT @@max_allowed_packet");
    const ROLLBACK: &'static str = transaction::ROLLBACK;
    const NO_TRANSACTION: Option<&'static str> = None;
    const TOO_LATE: Option<&'static str> = Some(transaction::TOO_LATE);

    fn spell(sql: &str) -> Cow<'_, str> {
        words::spell(sql).into()
    }

    fn begin(begin: &Begin) -> String {
        transaction::begin(begin)
    }

    fn limited(sql: String, max: Duration) -> String {
        transaction::limited(&sql, max)
    }

    fn commit(within: Duration) -> String {
        transaction::commit(within)
    }

    fn run(
        connection: &mut MySqlConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<Vec<MySqlRow>, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).boxed()
    }

    /// The driver asks the server to count rows that were found, also where nothing had to be changed.
    fn change(
        connection: &mut MySqlConnection,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<u64, sqlx::Error>> {
        let Statement { sql, arguments } = statement;
        let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection);
        done.map_ok(|done| done.rows_affected()).boxed()
    }

    fn script(
        connection: &mut MySqlConnection,
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
        let mut arguments = MySqlArguments::default();
        for value in values {
            match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Bool(v) => arguments.add(v),
                Value::I64(v) => arguments.add(v),
                Value::U64(v) => arguments.add(v),
                Value::F64(v) => arguments.add(v),
                Value::Text(v) | Value::Json(v) => arguments.add(&**v),
                Value::Bytes(v) => arguments.add(&**v),
            }
            .map_err(|e| StoreError::record("a value cannot be sent to MySQL").caused_by(e))?;
        }
        Ok(Statement { sql, arguments })
    }

    fn upserts(
        table: &Table<'_>,
        rows: &[&Record<'_>],
    ) -> Result<Vec<Statement<Self>>, StoreError> {
        CUT.inserts(table, rows, &on_duplicate(table))
    }

    fn deletes(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        CUT.by_id(&format!("DELETE FROM {}", table.name), table, ids, "")
    }

    fn selects(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError> {
        let head = format!("SELECT {} FROM {}", table.columns.join(", "), table.name);
        CUT.by_id(&head, table, ids, "")
    }

    fn page(
        table: &Table<'_>,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Statement<Self>, StoreError> {
        rows::page(table, after, limit)
    }

    fn held<'v>(value: &'v Value<'v>, column: Shape<'_>) -> Value<'v> {
        types::held(value, column)
    }

    fn place(column: Shape<'_>) -> &'static str {
        types::place(column)
    }

    /// CHAR drops spaces at the end, BINARY adds zeros, FLOAT and DECIMAL round, ENUM takes other
    /// spellings, and a date comes back as another text.
    fn misfit(kind: Kind, declared: &str) -> Option<&'static str> {
        let fitting: &[&str] = match kind {
            Kind::Bool => &["tinyint", "smallint", "mediumint", "int", "bigint", "bit"],
            Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 => {
                &["tinyint", "smallint", "mediumint", "int", "bigint"]
            }
            Kind::F32 => &["float", "double"],
            Kind::F64 => &["double"],
            Kind::Text => &["varchar", "tinytext", "text", "mediumtext", "longtext"],
            Kind::Json => &["json", "varchar", "tinytext", "text", "mediumtext", "longtext"],
            Kind::Bytes => &["varbinary", "tinyblob", "blob", "mediumblob", "longblob"],
            kind => {
                let fits = types::fits(kind, &Declared::parse(declared));
                return (!fits).then(|| Self::column_type(kind, false));
            }
        };
        // FLOAT and DOUBLE with digits round to them.
        let declared = Declared::parse(declared);
        let rounds = matches!(kind, Kind::F32 | Kind::F64) && declared.argument(0).is_some();
        let fits = fitting.contains(&declared.word()) && !rounds;
        (!fits).then(|| Self::column_type(kind, false))
    }

    fn inspect(table: &Table<'_>) -> Result<Statement<Self>, StoreError> {
        let (namespace, name) = split(table.schema.table());
        let namespace = namespace.map_or(Value::Null, |v| Value::Text(v.into()));
        let name = Value::Text(name.into());
        let place = [namespace, name];
        let mapped = [Value::Text(table.mapped().into())];
        let values = place.iter().chain(&place).chain(&place).chain(&place).chain(&mapped);
        Self::bind(words::INSPECT.to_owned(), values)
    }

    fn value(row: &MySqlRow, index: usize, kind: Kind) -> Result<Value<'static>, String> {
        let raw = row.try_get_raw(index).map_err(|e| e.to_string())?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let found = raw.type_info().name().to_owned();
        let unfit = || format!("expected {kind:?}, found {found}");
        let value = match kind {
            Kind::Bool | Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 => {
                integer(raw, &found, kind)?.ok_or_else(unfit)?
            }
            Kind::F32 | Kind::F64 if found == "FLOAT" => Value::F64(decode::<f32>(raw)?.into()),
            Kind::F32 | Kind::F64 if found == "DOUBLE" => Value::F64(decode(raw)?),
            Kind::F32 | Kind::F64 => return Err(unfit()),
            kind if kind.is_spelled() => Value::Text(types::text(raw, &found, kind)?.into()),
            _ if !types::is_text(&found) => return Err(unfit()),
            Kind::Text => Value::Text(utf8(raw)?.into()),
            Kind::Json => Value::Json(utf8(raw)?.into()),
            _ => Value::Bytes(decode::<Vec<u8>>(raw)?.into()),
        };
        Ok(value)
    }

    fn refusal(value: &Value<'_>, column: Shape<'_>) -> Option<String> {
        match value {
            Value::Text(v) if column.kind.is_spelled() => types::refusal(v, column),
            Value::F64(v) if !v.is_finite() => Some(format!("{v}: it has no such numbers")),
            Value::F64(v) if *v == 0.0 && v.is_sign_negative() => {
                Some("-0.0: it drops the sign".to_owned())
            }
            value => types::narrow(value, column),
        }
    }

    /// The comments are for one of the two each: the collation that compares exactly and does not pad
    /// has another name in either. An index takes 3072 bytes, three such ids.
    fn column_type(kind: Kind, id: bool) -> &'static str {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::I16 => "SMALLINT",
            Kind::I32 => "INT",
            Kind::I64 => "BIGINT",
            Kind::U64 => "BIGINT UNSIGNED",
            Kind::F32 => "FLOAT",
            Kind::F64 => "DOUBLE",
            Kind::Text if id => {
                "VARCHAR(255) CHARACTER SET utf8mb4 \
                 /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */"
            }
            Kind::Text => "LONGTEXT",
            Kind::Bytes if id => "VARBINARY(1020)",
            Kind::Bytes => "LONGBLOB",
            Kind::Json => "JSON",
            kind => types::column_type(kind),
        }
    }

    fn retype(table: &Table<'_>, column: &str, column_type: &str) -> Option<String> {
        let column_spec = std::iter::zip(&table.columns, table.schema.columns());
        let is_nullable =
            column_spec.into_iter().any(|(name, c)| name == column && c.is_nullable());
        let null = if is_nullable { "" } else { " NOT NULL" };
        Some(format!("ALTER TABLE {} MODIFY {column} {column_type}{null}", table.name))
    }

    /// The number: an SQLSTATE stands for many of them.
    fn code(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
        let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
        Some(error.number().to_string().into())
    }

    fn class(code: &str) -> Class {
        codes::class(code)
    }

    fn is_stale(error: &dyn DatabaseError) -> bool {
        Self::code(error).as_deref() == Some(codes::PREPARED_AGAIN)
    }

    fn is_lost(code: &str) -> bool {
        codes::is_lost(code)
    }

    fn is_doubtful(code: &str) -> bool {
        codes::is_lost(code)
    }
}

/// Overwrites the mapped columns of a row with the same id, and no others.
///
/// The server also comes here for a row that has another id and the same value in another unique
/// index: that row would be overwritten. The sum is above every integer, so that it is an error, and the
/// error quotes what it says. With the id it is no constant, which might be worked out beforehand.
fn on_duplicate(table: &Table<'_>) -> String {
    let is_same: Vec<_> = table.ids.iter().map(|&i| &table.columns[i]).collect();
    let is_same: Vec<_> = is_same.iter().map(|id| format!("{id} <=> VALUES({id})")).collect();
    let is_same = is_same.join(" AND ");
    let others = table.assigned().map(|column| format!(", {column} = VALUES({column})"));
    let id = table.ids.first().map_or("", |&i| &table.columns[i]);
    format!(
        "ON DUPLICATE KEY UPDATE {id} = IF({is_same}, {id}, {U64_MAX} + OCTET_LENGTH(\
         CONCAT_WS('another row has the same value in a unique index', '', {id}, ''))){}",
        others.collect::<String>(),
        U64_MAX = u64::MAX,
    )
}

fn integer(
    raw: MySqlValueRef<'_>,
    found: &str,
    kind: Kind,
) -> Result<Option<Value<'static>>, String> {
    // The name does not tell: a narrow integer without a sign is called a boolean, too.
    let is_unsigned = <u64 as Type<sqlx::MySql>>::compatible(&raw.type_info()) || found == "BIT";
    if !is_unsigned && !<i64 as Type<sqlx::MySql>>::compatible(&raw.type_info()) {
        return Ok(None);
    }
    let number = match is_unsigned {
        true => i128::from(decode::<u64>(raw)?),
        false => i128::from(decode::<i64>(raw)?),
    };
    let value = match kind {
        Kind::Bool => Value::Bool(number != 0),
        Kind::U64 => Value::U64(u64::try_from(number).map_err(|_| "the number is negative")?),
        _ => Value::I64(i64::try_from(number).map_err(|_| "the number is too great")?),
    };
    Ok(Some(value))
}

fn utf8(raw: MySqlValueRef<'_>) -> Result<String, String> {
    String::from_utf8(decode::<Vec<u8>>(raw)?).map_err(|_| "the text is not UTF-8".to_owned())
}

fn decode<'r, T: Decode<'r, sqlx::MySql>>(raw: MySqlValueRef<'r>) -> Result<T, String> {
    T::decode(raw).map_err(|e| e.to_string())
}

/// A statement has 65,535 parameters at most.
const CUT: Cut = Cut { parameters_max: 65_535, rows_max: 1024 };
