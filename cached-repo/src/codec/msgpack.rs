//! The format `msgpack`: a MessagePack map with the envelope first and the columns by name in a map of
//! their own, behind a check of its bytes.
//!
//! ```text
//! { "_cr": envelope, "sum": check of the row's bytes, "row": { column: value, … } }
//! ```
//!
//! JSON in a column is kept as its text.

use std::fmt;

use rmp_serde::{Deserializer, Serializer};
use serde::{
    Serialize,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
    ser::{Error as _, SerializeMap},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Decoded, Envelope,
    body::{ENVELOPE_END, PACKED_HEAD},
    member::{Content, Member, Name},
    mismatch, spelled,
};
use crate::{
    column::ColumnError,
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// The second key, and the marker of the 64 bits behind it.
const SUM: &[u8] = b"\xa3sum\xcf";
/// The third key.
const ROW: &[u8] = b"\xa3row";
const EMPTY_ROW: &[u8] = b"\x80";
/// Rows are flat; a column that this version of the struct does not know is read over, however it is
/// made. Each level takes stack.
const DEPTH_MAX: usize = 64;

/// What is behind the envelope.
pub(super) fn encode(schema: &Schema, record: &Record<'_>) -> Result<Vec<u8>, ColumnError> {
    let mut row = Vec::with_capacity(record.size() + 32 * schema.columns().len());
    Row { schema, record }
        .serialize(&mut Serializer::new(&mut row))
        .map_err(|error| ColumnError::new(error.to_string()))?;
    Ok(checked(&row))
}

/// The same for an entry that says "no such row".
pub(super) fn encode_absence() -> Vec<u8> {
    checked(EMPTY_ROW)
}

/// A row behind its check.
pub(super) fn checked(row: &[u8]) -> Vec<u8> {
    [SUM, &xxh3_64(row).to_be_bytes(), ROW, row].concat()
}

/// The columns of a record that have a value, as a map.
struct Row<'a> {
    schema: &'a Schema,
    record: &'a Record<'a>,
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let columns = self.schema.columns().iter().enumerate();
        let members: Vec<_> =
            columns.filter_map(|(index, column)| Some((column, self.record.get(index)?))).collect();
        let mut map = writer.serialize_map(Some(members.len()))?;
        for (column, value) in members {
            let cell = Cell { kind: column.kind(), value };
            let named = |e: ColumnError| S::Error::custom(e.in_column(column.name()));
            cell.check().map_err(named)?;
            map.serialize_entry(column.name(), &cell)?;
        }
        map.end()
    }
}

struct Cell<'a> {
    kind: Kind,
    value: &'a Value<'a>,
}

impl Cell<'_> {
    fn check(&self) -> Result<(), ColumnError> {
        match (self.kind, self.value) {
            (_, Value::Null)
            | (Kind::Bool, Value::Bool(_))
            | (Kind::I16 | Kind::I32 | Kind::I64, Value::I64(_))
            | (Kind::U64, Value::U64(_))
            | (Kind::F32 | Kind::F64, Value::F64(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Bytes, Value::Bytes(_))
            | (Kind::Json, Value::Json(_)) => Ok(()),
            (kind, Value::Text(v)) if kind.is_spelled() => spelled(kind, v).map(drop),
            (_, other) => Err(mismatch(other)),
        }
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Null => writer.serialize_unit(),
            Value::Bool(v) => writer.serialize_bool(*v),
            Value::I64(v) => writer.serialize_i64(*v),
            Value::U64(v) => writer.serialize_u64(*v),
            Value::F64(v) if self.kind == Kind::F32 => writer.serialize_f32(*v as f32),
            Value::F64(v) => writer.serialize_f64(*v),
            Value::Text(v) | Value::Json(v) => writer.serialize_str(v),
            Value::Bytes(v) => writer.serialize_bytes(v),
        }
    }
}

/// Reads what is behind the envelope's place.
pub(super) fn decode(
    schema: &Schema,
    envelope: &[u8],
    rest: &[u8],
) -> Result<Decoded, ColumnError> {
    let envelope = Some(Envelope::parse(envelope)?);
    let no_entry = || ColumnError::new("no such entity in MessagePack");
    let (sum, rest) = rest
        .strip_prefix(SUM)
        .and_then(|rest| rest.split_first_chunk::<8>())
        .ok_or_else(no_entry)?;
    let mut row = rest.strip_prefix(ROW).ok_or_else(no_entry)?;
    if u64::from_be_bytes(*sum) != xxh3_64(row) {
        return Err(ColumnError::new("the bytes are damaged: their check does not fit"));
    }
    let mut reader = Deserializer::new(&mut row);
    reader.set_max_depth(DEPTH_MAX);
    let record = Columns { schema }.deserialize(&mut reader);
    // Not the reason: its text may quote the value.
    let record = record.map_err(|_| no_entry())?;
    if !row.is_empty() {
        return Err(ColumnError::new("there are bytes behind the entry"));
    }
    Ok(Decoded { envelope, record: Some(record) })
}

/// The envelope of an entry in this format, and what is behind it.
pub(super) fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    text.starts_with(&PACKED_HEAD).then_some(())?;
    let (head, rest) = text.split_at_checked(ENVELOPE_END)?;
    Some((&head[PACKED_HEAD.len()..], rest))
}

/// Reads a row's map.
struct Columns<'s> {
    schema: &'s Schema,
}

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Record<'static>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Record<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let columns = self.schema.columns();
        let mut record = Record::absent(columns.len());
        let mut next = 0;
        while let Some(member) = members.next_key_seed(Name { columns, next })? {
            match member {
                Member::Column(index) if record.get(index).is_some() => {
                    return Err(A::Error::custom("repeated"));
                }
                Member::Column(index) => {
                    record.set(index, members.next_value_seed(Column(columns[index].kind()))?);
                    next = index + 1;
                }
                Member::Envelope | Member::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(record)
    }
}

/// Reads a column's value.
struct Column(Kind);

impl<'de> DeserializeSeed<'de> for Column {
    type Value = Value<'static>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(Content(self.0))
    }
}
