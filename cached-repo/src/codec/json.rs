//! The format `json`: an object with the envelope first and one member per column.

use std::{borrow::Cow, fmt, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Decoded, Envelope,
    member::{Content, Member, Name},
    mismatch, spelled,
};
use crate::{
    column::ColumnError,
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// The members behind the envelope, with their commas and the closing brace.
pub(super) fn encode(schema: &Schema, record: &Record<'_>) -> Result<String, ColumnError> {
    members(schema, record, member)
}

/// The same, with another spelling of members.
pub(super) fn members(
    schema: &Schema,
    record: &Record<'_>,
    member: impl Fn(Kind, &Value<'_>, &mut Vec<u8>) -> Result<(), ColumnError>,
) -> Result<String, ColumnError> {
    let mut text = Vec::with_capacity(record.size() + 32 * schema.columns().len());
    for (index, column) in schema.columns().iter().enumerate() {
        let Some(value) = record.get(index) else { continue };
        text.push(b',');
        string(column.name(), &mut text);
        text.push(b':');
        member(column.kind(), value, &mut text).map_err(|e| e.in_column(column.name()))?;
    }
    text.push(b'}');
    String::from_utf8(text).map_err(|_| ColumnError::new("not UTF-8"))
}

pub(super) fn member(kind: Kind, value: &Value<'_>, text: &mut Vec<u8>) -> Result<(), ColumnError> {
    match (kind, value) {
        (_, Value::Null) => text.extend_from_slice(b"null"),
        (Kind::Bool, Value::Bool(v)) => drop(write!(text, "{v}")),
        (Kind::I16 | Kind::I32 | Kind::I64, Value::I64(v)) => drop(write!(text, "{v}")),
        (Kind::U64, Value::U64(v)) => drop(write!(text, "{v}")),
        (Kind::F32 | Kind::F64, Value::F64(v)) if !v.is_finite() => string(&v.to_string(), text),
        // Through f32, so that 0.1 is written as 0.1 and not with the digits of its widening.
        (Kind::F32, Value::F64(v)) => drop(serde_json::to_writer(text, &(*v as f32))),
        (Kind::F64, Value::F64(v)) => drop(serde_json::to_writer(text, v)),
        (Kind::Text, Value::Text(v)) => string(v, text),
        (Kind::Bytes, Value::Bytes(v)) => string(&STANDARD.encode(v), text),
        (Kind::Json, Value::Json(v)) => {
            // A database may hold text here that no entity wrote; unchecked it could add members.
            serde_json::from_str::<IgnoredAny>(v)
                .map_err(|_| ColumnError::new("it is not JSON"))?;
            text.extend_from_slice(v.as_bytes());
        }
        (kind, Value::Text(v)) if kind.is_spelled() => string(spelled(kind, v)?, text),
        (_, other) => return Err(mismatch(other)),
    }
    Ok(())
}

pub(super) fn string(value: &str, text: &mut Vec<u8>) {
    // Writing a string to a vector cannot fail.
    drop(serde_json::to_writer(text, value));
}

pub(super) fn decode(schema: &Schema, text: &[u8]) -> Result<Decoded, ColumnError> {
    read(schema, text, Cell)
}

/// Reads an object whose members' values are read by what is made of their columns' kinds.
pub(super) fn read<S>(
    schema: &Schema,
    text: &[u8],
    cell: impl Fn(Kind) -> S,
) -> Result<Decoded, ColumnError>
where
    S: for<'de> DeserializeSeed<'de, Value = Value<'static>>,
{
    let mut reader = serde_json::Deserializer::from_slice(text);
    let decoded = Object { schema, cell }
        .deserialize(&mut reader)
        .and_then(|decoded| reader.end().map(|()| decoded))
        // The position only: serde_json's own message quotes the value.
        .map_err(|e| {
            ColumnError::new(format!("no such entity at line {} column {}", e.line(), e.column()))
        })?;
    Ok(decoded)
}

/// Reads a whole entry.
struct Object<'s, C> {
    schema: &'s Schema,
    cell: C,
}

impl<'de, C, S> DeserializeSeed<'de> for Object<'_, C>
where
    C: Fn(Kind) -> S,
    S: DeserializeSeed<'de, Value = Value<'static>>,
{
    type Value = Decoded;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Decoded, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, C, S> Visitor<'de> for Object<'_, C>
where
    C: Fn(Kind) -> S,
    S: DeserializeSeed<'de, Value = Value<'static>>,
{
    type Value = Decoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded, A::Error> {
        let columns = self.schema.columns();
        let mut record = Record::absent(columns.len());
        let mut envelope = None;
        let mut next = 0;
        while let Some(member) = members.next_key_seed(Name { columns, next })? {
            match member {
                Member::Envelope if envelope.is_some() => return Err(A::Error::custom("repeated")),
                Member::Column(index) if record.get(index).is_some() => {
                    return Err(A::Error::custom("repeated"));
                }
                Member::Envelope => {
                    let text: Cow<'_, str> = members.next_value()?;
                    envelope = Some(Envelope::parse(text.as_bytes()).map_err(A::Error::custom)?);
                }
                Member::Column(index) => {
                    let kind = columns[index].kind();
                    record.set(index, members.next_value_seed((self.cell)(kind))?);
                    next = index + 1;
                }
                Member::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Decoded { envelope, record: Some(record) })
    }
}

/// Reads a member's value. JSON in a column is taken as it stands.
pub(super) struct Cell(pub(super) Kind);

impl<'de> DeserializeSeed<'de> for Cell {
    type Value = Value<'static>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if !matches!(self.0, Kind::Json | Kind::F32 | Kind::F64) {
            return reader.deserialize_any(Content(self.0));
        }
        let raw = Box::<RawValue>::deserialize(reader)?;
        if self.0 != Kind::Json {
            return float(self.0, raw.get()).map_err(D::Error::custom);
        }
        Ok(match raw.get() {
            "null" => Value::Null,
            _ => Value::Json(Cow::Owned(Box::<str>::from(raw).into_string())),
        })
    }
}

/// Reads a float. A visitor would be given an object for it wherever some crate of the program turns
/// serde_json's feature `arbitrary_precision` on.
fn float(kind: Kind, json: &str) -> serde_json::Result<Value<'static>> {
    match json.parse::<f64>() {
        Ok(number) if number.is_finite() => Content(kind).visit_f64(number),
        _ => serde_json::Deserializer::from_str(json).deserialize_any(Content(kind)),
    }
}
