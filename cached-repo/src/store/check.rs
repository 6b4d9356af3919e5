//! Refuses a change whose values are not of the schema's kinds, before anything is sent anywhere.

use super::StoreError;
use crate::{
    change::Change,
    record::Value,
    schema::{ColumnSpec, Kind, Schema},
};

/// That each column of the change that is written is there, is null only where it may be, and is within its kind.
/// What a certain database cannot hold is that store's to refuse.
pub fn check_kinds(schema: &Schema, change: &Change) -> Result<(), StoreError> {
    check_id(schema, change.id().values())?;
    let Some(record) = change.record() else { return Ok(()) };
    if record.len() > schema.columns().len() {
        return Err(StoreError::record("the record has more columns than its schema"));
    }
    let columns = schema.columns().iter().enumerate();
    // What is not written may be anything.
    for (index, column) in columns.filter(|(_, column)| !column.is_generated()) {
        let value = record.get(index).ok_or_else(|| refused(column, "it is absent"))?;
        check_value(column, value)?;
    }
    Ok(())
}

/// Checks that an id has a value for each id column, of its kind.
pub(super) fn check_id(schema: &Schema, values: &[Value<'_>]) -> Result<(), StoreError> {
    let expected = schema.id_columns().count();
    if values.len() != expected {
        let found = values.len();
        return Err(StoreError::record(format!("the id has {found} parts instead of {expected}")));
    }
    schema.id_columns().zip(values).try_for_each(|((_, column), value)| check_value(column, value))
}

pub(super) fn refused(column: &ColumnSpec, why: impl AsRef<str>) -> StoreError {
    StoreError::record(format!("column `{}`: {}", column.column(), why.as_ref()))
}

fn check_value(column: &ColumnSpec, value: &Value<'_>) -> Result<(), StoreError> {
    let kind = column.kind();
    let fits = match (kind, value) {
        (_, Value::Null) if column.is_nullable() => true,
        (_, Value::Null) => return Err(refused(column, "it is null and may not be")),
        (Kind::I16, Value::I64(v)) => i16::try_from(*v).is_ok(),
        (Kind::I32, Value::I64(v)) => i32::try_from(*v).is_ok(),
        (Kind::F32, Value::F64(v)) => v.is_nan() || f64::from(*v as f32) == *v,
        (Kind::I64, Value::I64(_)) | (Kind::U64, Value::U64(_)) => true,
        (Kind::Bool, Value::Bool(_)) | (Kind::F64, Value::F64(_)) => true,
        (Kind::Text, Value::Text(_)) | (Kind::Bytes, Value::Bytes(_)) => true,
        (Kind::Json, Value::Json(_)) => true,
        (kind, Value::Text(v)) if kind.is_spelled() && !kind.is_canonical(v) => {
            return Err(refused(column, format!("it must be {}", kind.spelled_as())));
        }
        (kind, Value::Text(_)) if kind.is_spelled() => true,
        _ => {
            let found = value.type_name();
            return Err(refused(column, format!("a column of kind {kind:?} cannot hold {found}")));
        }
    };
    if !fits {
        return Err(refused(column, format!("the number does not fit the kind {kind:?}")));
    }
    Ok(())
}
