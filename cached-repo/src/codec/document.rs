//! The format `json_doc`: a RedisJSON document with one member per column, which the module keeps as it is.
//!
//! RedisJSON reads a document and writes it anew. What it would not give back letter by letter, or refuse,
//! stands in the document as a text: a float as its digits, JSON behind a mark that no other value of a
//! `json` column begins with.

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Decoded, ENVELOPE_FIELD,
    body::TEXT_HEAD,
    envelope::LEN,
    json,
    kept::{is_kept, is_kept_number},
};
use crate::{
    column::ColumnError,
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// What stands in front of JSON that is spelled as a text.
const MARK: &str = "_cr:";
/// How such a text begins in the document, and no other value of a `json` column.
const MARKED: &str = "\"_cr:";

pub(super) fn encode(schema: &Schema, record: &Record<'_>) -> Result<String, ColumnError> {
    json::members(schema, record, member)
}

fn member(kind: Kind, value: &Value<'_>, text: &mut Vec<u8>) -> Result<(), ColumnError> {
    let start = text.len();
    json::member(kind, value, text)?;
    match value {
        Value::F64(v) if v.is_finite() && !is_kept_number(&text[start..]) => {
            text.truncate(start);
            // `Debug` writes the shortest text that reads back.
            let digits =
                if kind == Kind::F32 { format!("{:?}", *v as f32) } else { format!("{v:?}") };
            json::string(&digits, text);
        }
        Value::Json(v) if v.starts_with(MARKED) || !is_kept(v) => {
            text.truncate(start);
            json::string(&format!("{MARK}{v}"), text);
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn decode(schema: &Schema, text: &[u8]) -> Result<Decoded, ColumnError> {
    json::read(schema, text, Cell)
}

/// Where the envelope stands in a document. Another program may have moved it.
pub(super) fn envelope_at(text: &[u8]) -> Option<Range<usize>> {
    if text.starts_with(&TEXT_HEAD) {
        return Some(TEXT_HEAD.len()..text.len().min(TEXT_HEAD.len() + LEN));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let own = reader.deserialize_map(OwnMember).ok()?;
    reader.end().ok()?;
    let own = own?.get();
    let inner = own.strip_prefix('"')?.strip_suffix('"')?;
    let start = (inner.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some(start..start + inner.len())
}

/// Finds the envelope's member, and keeps no other one.
struct OwnMember;

impl<'de> Visitor<'de> for OwnMember {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut own = None;
        while let Some((name, value)) = members.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            if name == ENVELOPE_FIELD {
                own = Some(value);
            }
        }
        Ok(own)
    }
}

/// Reads a member's value, and what is spelled as a text.
struct Cell(Kind);

impl<'de> DeserializeSeed<'de> for Cell {
    type Value = Value<'static>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        let kind = self.0;
        if !matches!(kind, Kind::F32 | Kind::F64 | Kind::Json) {
            return json::Cell(kind).deserialize(reader);
        }
        let raw = Box::<RawValue>::deserialize(reader)?;
        let is_text = raw.get().starts_with(if kind == Kind::Json { MARKED } else { "\"" });
        if !is_text {
            return json::Cell(kind).deserialize(&*raw).map_err(D::Error::custom);
        }
        let text: String = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        let spelled = match kind {
            Kind::F32 => text.parse::<f32>().ok().map(|v| Value::F64(f64::from(v))),
            Kind::F64 => text.parse().ok().map(Value::F64),
            _ => text.strip_prefix(MARK).and_then(json_of),
        };
        spelled.ok_or_else(|| D::Error::custom("a text that spells no value of its column"))
    }
}

fn json_of(text: &str) -> Option<Value<'static>> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(Value::Json(Cow::Owned(text.to_owned())))
}
