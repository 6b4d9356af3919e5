//! The format `hash`: one field per column, as plain text, so that people and programs can read it.

use std::borrow::Cow;

use super::{Decoded, ENVELOPE_FIELD, Envelope, member::column_named, mismatch, spelled};
use crate::{
    column::ColumnError,
    record::{Record, Value},
    schema::{ColumnSpec, Kind, Schema},
};

/// The fields of the columns that are not null.
pub(super) fn encode(
    schema: &Schema,
    record: &Record<'_>,
) -> Result<Vec<(String, Vec<u8>)>, ColumnError> {
    let mut fields = Vec::with_capacity(schema.columns().len());
    for (index, column) in schema.columns().iter().enumerate() {
        match record.get(index) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let field = field(column.kind(), value).map_err(|e| e.in_column(column.name()))?;
                fields.push((column.name().to_owned(), field));
            }
        }
    }
    Ok(fields)
}

fn field(kind: Kind, value: &Value<'_>) -> Result<Vec<u8>, ColumnError> {
    Ok(match (kind, value) {
        (Kind::Bool, Value::Bool(v)) => v.to_string().into_bytes(),
        (Kind::I16 | Kind::I32 | Kind::I64, Value::I64(v)) => v.to_string().into_bytes(),
        (Kind::U64, Value::U64(v)) => v.to_string().into_bytes(),
        // `Debug` writes the shortest text that reads back, with an exponent where it is long.
        (Kind::F32, Value::F64(v)) => format!("{:?}", *v as f32).into_bytes(),
        (Kind::F64, Value::F64(v)) => format!("{v:?}").into_bytes(),
        (Kind::Text, Value::Text(v)) => v.as_bytes().to_vec(),
        (Kind::Bytes, Value::Bytes(v)) => v.to_vec(),
        (Kind::Json, Value::Json(v)) => v.as_bytes().to_vec(),
        (kind, Value::Text(v)) if kind.is_spelled() => spelled(kind, v)?.as_bytes().to_vec(),
        (_, other) => return Err(mismatch(other)),
    })
}

/// Absent means null in an entry of this very schema, and just absent in any other.
pub(super) fn decode(
    schema: &Schema,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    fingerprint: u64,
) -> Result<Decoded, ColumnError> {
    let columns = schema.columns();
    let mut record = Record::absent(columns.len());
    let mut envelope = None;
    for (name, text) in fields {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        if name == ENVELOPE_FIELD {
            envelope = Some(Envelope::parse(&text)?);
        } else if let Some(index) = column_named(columns, name) {
            let value = parse(&columns[index], text);
            record.set(index, value.map_err(|e| e.in_column(columns[index].name()))?);
        }
    }
    if envelope.as_ref().is_some_and(|e: &Envelope| e.fingerprint == fingerprint) {
        for (index, column) in columns.iter().enumerate() {
            if column.is_nullable() && record.get(index).is_none() {
                record.set(index, Value::Null);
            }
        }
    }
    Ok(Decoded { envelope, record: Some(record) })
}

fn parse(column: &ColumnSpec, bytes: Vec<u8>) -> Result<Value<'static>, ColumnError> {
    if column.kind() == Kind::Bytes {
        return Ok(Value::Bytes(Cow::Owned(bytes)));
    }
    let text = String::from_utf8(bytes).map_err(|_| ColumnError::new("the text is not UTF-8"))?;
    let parsed = match column.kind() {
        Kind::Text => Some(Value::Text(Cow::Owned(text))),
        Kind::Json => Some(match text.as_str() {
            "null" => Value::Null,
            _ => Value::Json(Cow::Owned(text)),
        }),
        Kind::Bool => match text.as_str() {
            "true" | "1" => Some(Value::Bool(true)),
            "false" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::U64 => text.parse().ok().map(Value::U64),
        Kind::F32 => text.parse::<f32>().ok().map(|v| Value::F64(f64::from(v))),
        Kind::F64 => text.parse().ok().map(Value::F64),
        // Another program may have spelled it differently.
        kind if kind.is_spelled() => {
            kind.canonical(&text).map(|text| Value::Text(Cow::Owned(text.into_owned())))
        }
        _ => text.parse().ok().map(Value::I64),
    };
    parsed.ok_or_else(|| ColumnError::new(format!("the text is no {:?}", column.kind())))
}
