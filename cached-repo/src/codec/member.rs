//! A named value, in the formats that serde reads: which column it is, and what it may be.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, Unexpected, Visitor},
};

use super::ENVELOPE_FIELD;
use crate::{
    record::Value,
    schema::{ColumnSpec, Kind},
};

/// What a name stands for.
pub(super) enum Member {
    Envelope,
    Column(usize),
    Unknown,
}

/// Finds a member's column. Entries keep the schema's order, so the next column is tried first.
pub(super) struct Name<'s> {
    pub(super) columns: &'s [ColumnSpec],
    pub(super) next: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Member, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        if self.columns.get(self.next).is_some_and(|column| column.name() == name) {
            return Ok(Member::Column(self.next));
        }
        if name == ENVELOPE_FIELD {
            return Ok(Member::Envelope);
        }
        let found = column_named(self.columns, name);
        Ok(found.map_or(Member::Unknown, Member::Column))
    }
}

/// The column that an entry calls by this name, or called so in an older version of the struct.
pub(super) fn column_named(columns: &[ColumnSpec], name: &str) -> Option<usize> {
    let current = columns.iter().position(|column| column.name() == name);
    current.or_else(|| columns.iter().position(|column| column.aliases().contains(&name)))
}

/// A value of a column's kind.
pub(super) struct Content(pub(super) Kind);

impl Visitor<'_> for Content {
    type Value = Value<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of kind {:?}", self.0)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Bool => Ok(Value::Bool(v)),
            _ => Err(E::invalid_type(Unexpected::Bool(v), &self)),
        }
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
        match self.0 {
            Kind::I16 | Kind::I32 | Kind::I64 => Ok(Value::I64(v)),
            Kind::F32 | Kind::F64 => Ok(Value::F64(v as f64)),
            _ => Err(E::invalid_type(Unexpected::Signed(v), &self)),
        }
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
        match (self.0, i64::try_from(v)) {
            (Kind::U64, _) => Ok(Value::U64(v)),
            (Kind::F32 | Kind::F64, _) => Ok(Value::F64(v as f64)),
            (_, Ok(v)) => self.visit_i64(v),
            _ => Err(E::invalid_type(Unexpected::Unsigned(v), &self)),
        }
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        match self.0 {
            Kind::F64 => Ok(Value::F64(v)),
            // Back the way it was written: as an f32, widened.
            Kind::F32 => Ok(Value::F64(f64::from(v as f32))),
            _ => Err(E::invalid_type(Unexpected::Float(v), &self)),
        }
    }

    fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Bytes => Ok(Value::Bytes(Cow::Owned(v.to_owned()))),
            _ => Err(E::invalid_type(Unexpected::Other("bytes"), &self)),
        }
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        self.visit_string(v.to_owned())
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Text => Ok(Value::Text(Cow::Owned(v))),
            Kind::Json if v == "null" => Ok(Value::Null),
            Kind::Json => Ok(Value::Json(Cow::Owned(v))),
            Kind::Bytes => match STANDARD.decode(&v) {
                Ok(bytes) => Ok(Value::Bytes(Cow::Owned(bytes))),
                Err(_) => Err(E::custom("expected bytes in base64")),
            },
            Kind::F32 | Kind::F64 if matches!(v.as_str(), "NaN" | "inf" | "-inf") => {
                v.parse().map(Value::F64).map_err(E::custom)
            }
            // Another program may have spelled it differently.
            kind if kind.is_spelled() => match kind.canonical(&v) {
                Some(text) => Ok(Value::Text(Cow::Owned(text.into_owned()))),
                None => Err(E::custom(format!("expected {}", kind.spelled_as()))),
            },
            _ => Err(E::custom(format!("expected a value of kind {:?}, found text", self.0))),
        }
    }
}
