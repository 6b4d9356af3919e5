//! The data of a journal record: the columns by name, as a JSON object.
//!
//! By name, because the process that drains a record may be of another release than the one that
//! wrote it. As JSON, because that is what an entry in the format `json` says anyway, so that a write
//! is encoded and sent once.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::{json, member::column_named};
use crate::{column::ColumnError, record::Record, schema::Schema};

/// Why the data of a record cannot be used.
#[derive(Debug)]
pub(crate) enum Misread {
    /// A newer version of the struct wrote it, with columns that this one does not have. Writing it
    /// without them would lose them.
    Newer(String),
    /// An older version of the struct wrote it, without a column that has no default here.
    Older(String),
    /// Another version of the struct wrote it, with a value that the column does not hold here.
    Unfit(String),
    /// No version of the struct wrote this.
    Corrupt(ColumnError),
}

pub(super) fn encode(schema: &Schema, record: &Record<'_>) -> Result<String, ColumnError> {
    let members = json::encode(schema, record)?;
    Ok(format!("{{{}", members.strip_prefix(',').unwrap_or(&members)))
}

/// `same`: this version of the struct wrote the data.
pub(super) fn decode(schema: &Schema, data: &[u8], same: bool) -> Result<Record<'static>, Misread> {
    if !same {
        check_names(schema, data)?;
    }
    let decoded = json::decode(schema, data).map_err(|error| match same {
        true => Misread::Corrupt(error),
        false => Misread::Unfit(error.to_string()),
    })?;
    let mut record = decoded.record.unwrap_or_else(|| Record::absent(schema.columns().len()));
    for (index, column) in schema.columns().iter().enumerate() {
        // An older version of the struct did not have the column yet, or let it be null.
        let lacks = match record.get(index) {
            None => true,
            Some(value) => value.is_null() && !column.is_nullable(),
        };
        if !same
            && lacks
            && let Some(absent) = column.absent()
        {
            record.set(index, absent);
        }
    }
    Ok(record)
}

/// Whether the schema has, or had, all names. They are not collected: there may be very many.
fn check_names(schema: &Schema, data: &[u8]) -> Result<(), Misread> {
    let mut reader = serde_json::Deserializer::from_slice(data);
    let found = Names(schema).deserialize(&mut reader);
    match found.and_then(|unknown| reader.end().map(|()| unknown)) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(Misread::Newer(name)),
        Err(_) => Err(Misread::Corrupt(ColumnError::new("the data is no JSON object"))),
    }
}

/// Finds the first name that the schema does not have, in an object that is read to its end.
struct Names<'s>(&'s Schema);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let is_known = |name: &str| {
            column_named(self.0.columns(), name).is_some() || self.0.removed().contains(&name)
        };
        let mut unknown = None;
        while let Some((name, _)) = members.next_entry::<Cow<'de, str>, IgnoredAny>()? {
            if unknown.is_none() && !is_known(&name) {
                unknown = Some(name.into_owned());
            }
        }
        Ok(unknown)
    }
}
