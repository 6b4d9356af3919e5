//! Rows as JSON objects, for stores that keep documents.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::{StoreError, check::refused};
use crate::{
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// Puts a record into a row, which is a JSON object or null, under the store's names of the columns.
/// Members that are not columns of the schema stay as they are.
///
/// # Errors
///
/// [`StoreError::record`] for NaN and the infinities, which JSON has no words for. Then parts of the
/// row may be written.
pub fn to_json(schema: &Schema, record: &Record<'_>, row: &mut Json) -> Result<(), StoreError> {
    if !row.is_object() {
        *row = json!({});
    }
    for (column, (_, value)) in schema.columns().iter().zip(record.iter()) {
        row[column.column()] = match value {
            Value::Null => Json::Null,
            Value::Bool(v) => json!(v),
            Value::I64(v) => json!(v),
            Value::U64(v) => json!(v),
            Value::F64(v) if v.is_finite() => json!(v),
            Value::F64(_) => return Err(refused(column, "JSON has no NaN and no infinities")),
            // JSON as text, so that a `null` in it is not taken for null.
            Value::Text(v) | Value::Json(v) => json!(v),
            Value::Bytes(v) => json!(v),
        };
    }
    Ok(())
}

/// Reads the record that [`to_json`] put into a row. A member that is missing is null.
///
/// # Errors
///
/// [`StoreError::record`] where something else was put there.
pub fn from_json(schema: &Schema, row: &Json) -> Result<Record<'static>, StoreError> {
    let mut record = Record::absent(schema.columns().len());
    for (index, column) in schema.columns().iter().enumerate() {
        let value = value(column.kind(), &row[column.column()]);
        record.set(index, value.map_err(|e| refused(column, "the row does not fit").caused_by(e))?);
    }
    Ok(record)
}

fn value(kind: Kind, json: &Json) -> serde_json::Result<Value<'static>> {
    fn read<T: DeserializeOwned>(
        json: &Json,
        make: impl FnOnce(T) -> Value<'static>,
    ) -> serde_json::Result<Value<'static>> {
        let value: Option<T> = serde::Deserialize::deserialize(json)?;
        Ok(value.map_or(Value::Null, make))
    }
    match kind {
        Kind::Bool => read(json, Value::Bool),
        Kind::I16 | Kind::I32 | Kind::I64 => read(json, Value::I64),
        Kind::U64 => read(json, Value::U64),
        Kind::F32 | Kind::F64 => read(json, Value::F64),
        Kind::Text => read(json, |v| Value::Text(Cow::Owned(v))),
        Kind::Json => read(json, |v| Value::Json(Cow::Owned(v))),
        Kind::Bytes => read(json, |v| Value::Bytes(Cow::Owned(v))),
        kind => {
            let text: Option<String> = serde::Deserialize::deserialize(json)?;
            let Some(text) = text else { return Ok(Value::Null) };
            let canonical = kind.canonical(&text);
            let canonical = canonical.ok_or_else(|| {
                serde::de::Error::custom(format!("it must be {}", kind.spelled_as()))
            })?;
            Ok(Value::Text(Cow::Owned(canonical.into_owned())))
        }
    }
}
