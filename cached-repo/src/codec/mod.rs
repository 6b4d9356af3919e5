//! Entries as Redis holds them: the same columns in each format, behind one envelope.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    column::ColumnError,
    error::Error,
    record::{Record, Value},
    schema::{Kind, Schema},
};

mod body;
mod compress;
mod data;
mod document;
mod envelope;
mod hash;
#[cfg(feature = "conformance")]
pub(crate) mod hostile;
mod json;
mod kept;
mod member;
mod msgpack;

pub(crate) use body::{Body, Raw};
pub use compress::Compression;
pub(crate) use compress::{IS_BUILT as CAN_COMPRESS, Packing};
pub(crate) use data::Misread;
pub(crate) use envelope::{ENVELOPE_FIELD, Envelope, State, stamp};

/// How an entry is written in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON text under a string key. Defaults to this.
    #[default]
    Json,
    /// One hash field per column, readable with `HGETALL`; nulls are absent.
    Hash,
    /// A RedisJSON document with one member per column, whose paths people and programs read and write
    /// with `JSON.GET` and `JSON.SET`. Needs a server that has these commands. What RedisJSON would not
    /// keep exactly, such as a float of 17 digits, stands in it as a text.
    JsonDoc,
    /// MessagePack under a string key: smaller than JSON where there are numbers and bytes.
    Msgpack,
}

impl Format {
    /// Every format that there is.
    pub const ALL: &'static [Format] =
        &[Format::Json, Format::Hash, Format::JsonDoc, Format::Msgpack];

    /// The name that the attribute `format` uses.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Hash => "hash",
            Format::JsonDoc => "json_doc",
            Format::Msgpack => "msgpack",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|format| format.name() == text).ok_or_else(|| {
            Error::configuration(format!(
                "unknown format {text:?}; there are: json, hash, json_doc, msgpack"
            ))
        })
    }
}

/// An entry that was read.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// `None`: another program wrote the entry.
    pub(crate) envelope: Option<Envelope>,
    /// `None`: the entry says that there is no such row.
    pub(crate) record: Option<Record<'static>>,
}

/// Encodes and decodes the entries of one entity.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    schema: Arc<Schema>,
    format: Format,
    packing: Packing,
    fingerprint: u64,
    fingerprint_text: String,
}

impl Codec {
    pub(crate) fn new(schema: Arc<Schema>, format: Format, packing: Packing) -> Self {
        let fingerprint = schema.fingerprint();
        let fingerprint_text = envelope::spell(fingerprint);
        Self { schema, format, packing, fingerprint, fingerprint_text }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The constant part of an entry's envelope.
    pub(crate) fn stamp(&self, key_hash: u64) -> String {
        stamp(self.fingerprint, key_hash)
    }

    /// The body of an entry. A text says what [`encode_data`](Self::encode_data) does.
    pub(crate) fn encode(&self, record: &Record<'_>) -> Result<Body, ColumnError> {
        match self.format {
            Format::Json => {
                let text = json::encode(&self.schema, record)?;
                let frame = self.packing.pack(text.as_bytes());
                Ok(frame.map_or(Body::Text(text), Body::CompressedText))
            }
            Format::Hash => hash::encode(&self.schema, record).map(Body::Fields),
            Format::JsonDoc => document::encode(&self.schema, record).map(Body::Document),
            Format::Msgpack => {
                let bytes = msgpack::encode(&self.schema, record)?;
                Ok(Body::Packed(self.packing.pack(&bytes).unwrap_or(bytes)))
            }
        }
    }

    /// The data of a journal record, in whatever format the entries are.
    pub(crate) fn encode_data(&self, record: &Record<'_>) -> Result<String, ColumnError> {
        data::encode(&self.schema, record)
    }

    /// Reads the data of a journal record that a schema with this fingerprint wrote.
    pub(crate) fn decode_data(
        &self,
        data: &[u8],
        fingerprint: &str,
    ) -> Result<Record<'static>, Misread> {
        data::decode(&self.schema, data, fingerprint == self.fingerprint_text)
    }

    /// The schema's fingerprint as journal records carry it.
    pub(crate) fn fingerprint_text(&self) -> &str {
        &self.fingerprint_text
    }

    /// The body of an entry that says "no such row".
    pub(crate) fn encode_absence(&self) -> Body {
        match self.format {
            Format::Json => Body::Text("}".to_owned()),
            Format::Hash => Body::Fields(Vec::new()),
            Format::JsonDoc => Body::Document("}".to_owned()),
            Format::Msgpack => Body::Packed(msgpack::encode_absence()),
        }
    }

    /// Reads an entry in whatever format it is.
    pub(crate) fn decode(&self, raw: Raw) -> Result<Decoded, ColumnError> {
        let mut decoded = match raw {
            Raw::Text(text) => {
                let text = self.packing.unpack(&self.schema, text)?;
                match msgpack::split(&text) {
                    Some((envelope, rest)) => msgpack::decode(&self.schema, envelope, rest)?,
                    None => json::decode(&self.schema, &text)?,
                }
            }
            Raw::Fields(fields) => hash::decode(&self.schema, fields, self.fingerprint)?,
            Raw::Document(text) => document::decode(&self.schema, &text)?,
            Raw::WrongType => {
                return Err(ColumnError::new("the key holds another type than the format's"));
            }
        };
        if decoded.envelope.as_ref().is_some_and(|e| e.state.is_absence()) {
            decoded.record = None;
        }
        Ok(decoded)
    }
}

/// The error of a value that is not of its column's kind: a broken `CachedEntity` implementation.
fn mismatch(value: &Value<'_>) -> ColumnError {
    ColumnError::new(format!("{} does not fit the column's kind", value.type_name()))
}

/// A text of this kind, if it is in its one spelling: a date that no format and no store has is refused.
fn spelled(kind: Kind, text: &str) -> Result<&str, ColumnError> {
    let refused = || ColumnError::new(format!("it must be {}", kind.spelled_as()));
    kind.is_canonical(text).then_some(text).ok_or_else(refused)
}

#[cfg(test)]
mod tests;
