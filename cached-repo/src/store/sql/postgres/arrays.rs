//! Values of many rows as one array per column.

use sqlx::{Arguments, postgres::PgArguments};

use super::types;
use crate::{
    change::EntityId,
    record::Value,
    schema::Kind,
    store::{
        StoreError,
        sql::{Shape, Table},
    },
};

/// The condition that selects rows by id, whatever their number.
pub(super) fn these(
    table: &Table<'_>,
    ids: &[&EntityId],
) -> Result<(String, PgArguments), StoreError> {
    let mut arguments = PgArguments::default();
    let mut arrays = Vec::new();
    for (part, &column) in table.ids.iter().enumerate() {
        let kind = kind_of(table, column);
        bind_array(&mut arguments, kind, ids.iter().map(|id| id.values().get(part)))?;
        arrays.push(array(part + 1, table.shape(column)));
    }
    let condition = match arrays.as_slice() {
        [array] => format!("{} = ANY ({array})", table.id_list()),
        _ => format!("({}) IN (SELECT * FROM UNNEST({}))", table.id_list(), arrays.join(", ")),
    };
    Ok((condition, arguments))
}

pub(super) fn bind_array<'v>(
    arguments: &mut PgArguments,
    kind: Kind,
    values: impl Iterator<Item = Option<&'v Value<'v>>>,
) -> Result<(), StoreError> {
    macro_rules! array {
        ($($pattern:pat => $value:expr),*) => {
            arguments.add(values.map(|v| match v { $(Some($pattern) => Some($value),)* _ => None })
                .collect::<Vec<_>>())
        };
    }
    match kind {
        Kind::Bool => array!(Value::Bool(v) => *v),
        Kind::I16 | Kind::I32 | Kind::I64 => array!(Value::I64(v) => *v),
        Kind::U64 => arguments.add(values.map(|v| v.and_then(signed)).collect::<Vec<_>>()),
        Kind::F32 | Kind::F64 => array!(Value::F64(v) => *v),
        Kind::Text => array!(Value::Text(v) => &**v),
        Kind::Json => array!(Value::Json(v) => &**v),
        Kind::Bytes => array!(Value::Bytes(v) => &**v),
        _ => array!(Value::Text(v) => &**v),
    }
    .map_err(unbindable)
}

pub(super) fn kind_of(table: &Table<'_>, column: usize) -> Kind {
    table.schema.columns()[column].kind()
}

/// The `n`th parameter (from 1) as an array of what the column holds.
pub(super) fn array(n: usize, column: Shape<'_>) -> String {
    let sent = element_type(column.kind);
    match types::native(column) {
        Some(native) => format!("${n}::{sent}[]::{native}[]"),
        None => format!("${n}::{sent}[]"),
    }
}

/// The `n`th parameter (from 1) as what the column holds.
pub(super) fn single(n: usize, column: Shape<'_>) -> String {
    let sent = element_type(column.kind);
    match types::native(column) {
        Some(native) => format!("${n}::{sent}::{native}"),
        None => format!("${n}::{sent}"),
    }
}

/// As what a value is sent, and read where that makes no difference.
pub(super) fn element_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 => "int8",
        Kind::F32 | Kind::F64 => "float8",
        Kind::Bytes => "bytea",
        _ => "text",
    }
}

/// Those above [`Dialect::U64_MAX`] were refused.
pub(super) fn signed(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::U64(v) => i64::try_from(*v).ok(),
        _ => None,
    }
}

pub(super) fn unbindable(error: sqlx::error::BoxDynError) -> StoreError {
    StoreError::record("a value cannot be sent to PostgreSQL").caused_by(error)
}

/// The columns, as they are read.
pub(super) fn read_as(table: &Table<'_>) -> String {
    let read_as = |index: usize| types::read_as(kind_of(table, index), &table.columns[index]);
    let columns: Vec<_> = (0..table.columns.len()).map(read_as).collect();
    columns.join(", ")
}
