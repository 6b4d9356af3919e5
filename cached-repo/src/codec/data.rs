//! The data of a journal record: the columns by name, as a JSON object.
//!
//! By name, because the process that drains a record may be of another release than the one that
//! wrote it. As JSON, because that is what an entry in the format `json` says anyway, so that a write
//! is encoded and sent once.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::json;
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

fn check_names(schema: &Schema, data: &[u8]) -> Result<(), Misread> {
    let members: HashMap<String, IgnoredAny> = serde_json::from_slice(data)
        .map_err(|_| Misread::Corrupt(ColumnError::new("the data is no JSON object")))?;
    let is_known = |name: &str| {
        json::column_named(schema.columns(), name).is_some() || schema.removed().contains(&name)
    };
    match members.into_keys().find(|name| !is_known(name)) {
        Some(name) => Err(Misread::Newer(name)),
        None => Ok(()),
    }
}
