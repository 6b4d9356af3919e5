//! The decoders of what strangers may have written, for the fuzz targets of this project.

use std::{str::FromStr, sync::Arc};

use crate::{
    change::{Change, EntityId},
    codec::{Codec, Compression, Envelope, Format, Misread, Packing, Raw, State, hostile},
    column::ColumnError,
    error::Result,
    journal::Receipt,
    key::{self, Keyspace, Topology},
    layout::Recorded,
    record::{Record, Value},
    schema::{Kind, Schema},
    store::check_kinds,
};

/// What Redis answers for an entry's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// A string: JSON or MessagePack, compressed or not.
    Text(Vec<u8>),
    /// A hash.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    /// A document.
    Document(Vec<u8>),
}

/// Reads and writes the entries and records of one entity.
#[derive(Debug)]
pub struct Decoders {
    schema: Arc<Schema>,
    packing: Packing,
    reader: Codec,
}

impl Decoders {
    /// Those of this schema, whose entities may have so many bytes.
    pub fn new(schema: Schema, value_max_bytes: usize) -> Self {
        let schema = Arc::new(schema);
        let packing = Packing {
            compression: Some(Compression::Zstd),
            min_bytes: usize::MAX,
            value_max_bytes,
        };
        let reader = Codec::new(Arc::clone(&schema), Format::Json, packing);
        Self { schema, packing, reader }
    }

    /// Reads an entry. `None`: it says that there is no such row.
    pub fn read(&self, bytes: Bytes) -> std::result::Result<Option<Record<'static>>, ColumnError> {
        let raw = Raw::from(bytes);
        Ok(self.reader.decode(raw)?.record)
    }

    /// Whether the entry is one of those that nobody may replace, and what is made of it when the store has
    /// it: both without decoding it.
    pub fn settle(bytes: Bytes) -> (bool, Bytes) {
        let mut raw = Raw::from(bytes);
        let is_pinned = raw.is_pinned();
        raw.set_state(State::Clean);
        let settled = match raw {
            Raw::Fields(fields) => Bytes::Fields(fields),
            Raw::Document(text) => Bytes::Document(text),
            Raw::Text(text) => Bytes::Text(text),
            Raw::WrongType => Bytes::Text(Vec::new()),
        };
        (is_pinned, settled)
    }

    /// Writes an entry in this state: `c`lean, `n`egative, `k`ept, `d`irty, `t`ombstone.
    pub fn write(
        &self,
        record: &Record<'_>,
        format: Format,
        state: char,
    ) -> std::result::Result<Bytes, ColumnError> {
        let codec = Codec::new(Arc::clone(&self.schema), format, self.packing);
        let states = [State::Clean, State::Negative, State::Kept, State::Dirty, State::Tombstone]
            .into_iter();
        let unknown = || ColumnError::new("there is no such state");
        let state = states.into_iter().find(|s| s.letter() == state).ok_or_else(unknown)?;
        let body =
            if state.is_absence() { codec.encode_absence() } else { codec.encode(record)? };
        let envelope = Envelope::compose(state, 42, 7, &codec.stamp(5));
        Ok(match body.compose(&envelope) {
            Raw::Fields(fields) => Bytes::Fields(fields),
            Raw::Document(text) => Bytes::Document(text),
            Raw::Text(text) => Bytes::Text(text),
            Raw::WrongType => return Err(ColumnError::new("an entry has a type")),
        })
    }

    /// Reads the data of a journal record or a dead letter, as the worker does. `same`: this very schema
    /// wrote it.
    pub fn read_data(
        &self,
        data: &[u8],
        same: bool,
    ) -> std::result::Result<Record<'static>, String> {
        let fingerprint = if same { self.reader.fingerprint_text() } else { "" };
        let record =
            self.reader.decode_data(data, fingerprint).map_err(|misread| match misread {
                Misread::Newer(_) => "newer".to_owned(),
                Misread::Older(_) => "older".to_owned(),
                Misread::Unfit(why) => why,
                Misread::Corrupt(why) => why.to_string(),
            })?;
        let values = self.schema.id_columns().map(|(index, _)| record.get(index).cloned());
        let values = values.collect::<Option<Vec<_>>>().ok_or("the record has no id")?;
        let id = key::entity_id(values).map_err(|error| error.to_string())?;
        let change = Change::Put { id, record: record.clone() };
        check_kinds(&self.schema, &change).map_err(|error| error.to_string())?;
        Ok(record)
    }

    /// Writes the data of a journal record.
    pub fn write_data(&self, record: &Record<'_>) -> std::result::Result<String, ColumnError> {
        self.reader.encode_data(record)
    }
}

impl From<Bytes> for Raw {
    fn from(bytes: Bytes) -> Self {
        match bytes {
            Bytes::Text(text) => Raw::Text(text),
            Bytes::Fields(fields) => Raw::Fields(fields),
            Bytes::Document(text) => Raw::Document(text),
        }
    }
}

/// The same entry with a check that fits its bytes, where it is in MessagePack.
pub fn checked(entry: Vec<u8>) -> Vec<u8> {
    hostile::checked(entry)
}

/// The same entry, compressed.
pub fn compressed(entry: Vec<u8>) -> Vec<u8> {
    hostile::compressed(entry)
}

/// What the cache can be asked.
#[cfg(feature = "redis")]
pub const STEPS: &[&str] = &crate::redis::hostile::STEPS;

/// Reads what Redis answered to a step that was asked for so many items, in words. `None`: the bytes are
/// an error, or no answer at all.
#[cfg(feature = "redis")]
pub fn answer(step: &str, bytes: &[u8], count: usize) -> Option<Result<String>> {
    let read = crate::redis::hostile::answer(step, bytes, count)?;
    Some(read.map_err(crate::backend::CacheError::into_error))
}

/// Spells an id.
pub fn id(values: Vec<Value<'static>>) -> Result<EntityId> {
    key::entity_id(values)
}

/// Reads what [`id`] spelled.
pub fn read_id(kinds: &[Kind], text: &str) -> Option<EntityId> {
    key::parse_id(kinds, text)
}

/// All keys that have to do with an entity, first its entry's, and whether that names the id.
pub fn keys(id: &EntityId, is_cluster: bool, partitions: u32) -> Result<(Vec<String>, bool)> {
    let topology = if is_cluster { Topology::Cluster } else { Topology::Standalone };
    let keys = Keyspace::new("app", "todos", topology, partitions)?;
    let slot = keys.slot(id);
    let of = slot.partition;
    let is_named = match keys.id_text(&slot.entry) {
        Some(key::KeyedId::Text(text)) => text == id.text(),
        Some(key::KeyedId::Hashed) => id.text().len() > key::ID_LEN_MAX,
        None => false,
    };
    let beside = [keys.intents(&slot), keys.lease(&slot)];
    let of_partition = [
        keys.meta(of),
        keys.journal(of),
        keys.claim(of),
        keys.changed(of),
        keys.expiring(of),
        keys.refused(of),
        keys.copier(of),
        keys.op(of, "token"),
        keys.generation(of).to_owned(),
    ];
    let mut all = vec![slot.entry];
    all.extend(beside.into_iter().chain(of_partition));
    // A standalone server has one backlog for all.
    all.extend(is_cluster.then(|| keys.backlog(of)));
    Ok((all, is_named))
}

/// Reads one of the small texts that the library keeps, and spells what it read: `layout` in the registry
/// and the store, `receipt` (a token of a write), `member` of the backlog.
pub fn fact(kind: &str, text: &str) -> Option<String> {
    match kind {
        "layout" => Recorded::from_str(text).ok().map(|recorded| recorded.to_string()),
        "receipt" => Receipt::from_str(text).ok().map(|receipt| receipt.to_string()),
        "member" => Keyspace::parse_member(text).map(|(prefix, of)| format!("{prefix}/{of}")),
        _ => None,
    }
}

/// Every statement on rows of an entity in each dialect of this build: the database's name, the statement,
/// the number of values that go with it.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub fn statements(
    schema: &Schema,
    rows: &[&Record<'_>],
    ids: &[&EntityId],
) -> Result<Vec<(&'static str, String, usize)>> {
    crate::store::statements::rendered(schema, rows, ids)
        .map_err(crate::store::StoreError::into_error)
}
