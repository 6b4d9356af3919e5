//! One entity's entries: the backend's bytes, decoded and judged, grouped by partition.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{counts::Counters, owed::Owed};
use crate::{
    backend::{Backend, CacheError, Seen},
    change::EntityId,
    clock::{Clock, Random},
    codec::{Codec, Format, Raw, State},
    column::ColumnError,
    key::{self, Keyspace, Slot},
    layout::Layout,
    record::Record,
    schema::Schema,
};

/// How long entries live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) ttl: Duration,
    /// Share of a lifetime by which it is spread.
    pub(crate) jitter: f64,
    /// Zero: "no such row" is not remembered.
    pub(crate) negative_ttl: Duration,
    /// Lifetime of entries that are the only copy; `None` is for ever.
    pub(crate) kept_ttl: Option<Duration>,
}

/// The entries of one entity.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) keys: Keyspace,
    pub(crate) schema: Arc<Schema>,
    pub(crate) codec: Codec,
    pub(crate) lifetimes: Lifetimes,
    /// Rows whose values have more bytes are not cached.
    pub(crate) row_max_bytes: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) owed: Owed,
}

/// What a read found.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The entity.
    Hit(Record<'static>),
    /// "No such row."
    Absent,
    /// What the store does not have: the entity, or that it is deleted.
    Unstored(Option<Record<'static>>),
    /// Nothing.
    Nothing,
    /// An entry of another schema or format, or an earlier generation.
    Outdated(Option<Record<'static>>),
    /// Bytes that are no entry of this entity.
    Undecodable(ColumnError),
    /// An entry that holds what the store does not, and that cannot be decoded.
    Unusable(ColumnError),
}

/// What is under a key where `redis_only` keeps its only copies.
#[derive(Debug)]
pub(crate) enum Only {
    /// The entity, and whether another version of the struct wrote it.
    Kept {
        record: Record<'static>,
        is_of_other: bool,
    },
    /// Nothing, or a copy of what the store has.
    Nothing,
    /// A journaled write, which is drained.
    Journaled,
    Undecodable(ColumnError),
}

impl Entries {
    /// Those of the same entity with these partitions.
    pub(crate) fn laid_out(&self, layout: Layout) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            keys: self.keys.clone().laid_out(layout),
            schema: Arc::clone(&self.schema),
            codec: self.codec.clone(),
            lifetimes: self.lifetimes,
            row_max_bytes: self.row_max_bytes,
            counters: Arc::clone(&self.counters),
            clock: self.clock,
            random: self.random.clone(),
            owed: Owed::default(),
        }
    }

    pub(crate) fn slots(&self, ids: &[EntityId]) -> Vec<Slot> {
        ids.iter().map(|id| self.keys.slot(id)).collect()
    }

    /// In how many partitions these ids are.
    pub(crate) fn partitions_of<'a>(&self, ids: impl Iterator<Item = &'a EntityId>) -> usize {
        ids.map(|id| self.keys.slot(id).partition).collect::<HashSet<_>>().len()
    }

    /// One round trip, but where entries are of another type than this format's. Among strings another
    /// type looks like nothing: where that matters, there is [`read_closely`](Self::read_closely).
    pub(crate) async fn read(&self, ids: &[EntityId]) -> Result<Vec<Entry>, CacheError> {
        self.look(ids, false).await
    }

    /// Reads entries of whatever type: one round trip more where a string was looked for in vain.
    pub(crate) async fn read_closely(&self, ids: &[EntityId]) -> Result<Vec<Entry>, CacheError> {
        self.look(ids, true).await
    }

    async fn look(&self, ids: &[EntityId], closely: bool) -> Result<Vec<Entry>, CacheError> {
        let slots = self.slots(ids);
        let seen = self.see(&slots, closely).await?;
        let judge = |((id, slot), seen)| self.judge(id, slot, seen);
        Ok(ids.iter().zip(&slots).zip(seen).map(judge).collect())
    }

    /// What `redis_only` keeps of these ids.
    pub(crate) async fn only(&self, ids: &[EntityId]) -> Result<Vec<Only>, CacheError> {
        let slots = self.slots(ids);
        let seen = self.see(&slots, true).await?;
        let tell = |((id, slot), seen): ((&EntityId, &Slot), Seen)| {
            let Some(raw) = seen.raw else { return Only::Nothing };
            let envelope = match self.codec.decode(raw.clone()) {
                Ok(decoded) => decoded.envelope,
                Err(error) => return Only::Undecodable(error),
            };
            let state = envelope.as_ref().map(|envelope| envelope.state);
            let fingerprint = envelope.map(|envelope| envelope.fingerprint);
            match (state, self.judge(id, slot, Seen { raw: Some(raw), ..seen })) {
                (Some(State::Dirty | State::Tombstone), _) => Only::Journaled,
                // Other programs write entries without an envelope.
                (Some(State::Kept) | None, Entry::Hit(record) | Entry::Unstored(Some(record))) => {
                    let is_of_other = fingerprint != Some(self.codec.fingerprint());
                    Only::Kept { record, is_of_other }
                }
                (_, Entry::Undecodable(error) | Entry::Unusable(error)) => Only::Undecodable(error),
                _ => Only::Nothing,
            }
        };
        Ok(ids.iter().zip(&slots).zip(seen).map(tell).collect())
    }

    /// The id that an entry names, which its key is too short for.
    pub(crate) async fn id_in(&self, key: String) -> Result<Option<EntityId>, CacheError> {
        let slots = [Slot { partition: 0, hash: 0, entry: key }];
        let seen = self.see(&slots, true).await?;
        let raw = seen.into_iter().next().and_then(|seen| seen.raw);
        let record = raw.and_then(|raw| self.codec.decode(raw).ok()?.record);
        Ok(record.and_then(|record| self.id_of(&record)))
    }

    async fn see(&self, slots: &[Slot], closely: bool) -> Result<Vec<Seen>, CacheError> {
        let format = self.codec.format();
        let mut seen = self.backend.read(&self.keys, format, slots).await?;
        let is_open = |seen: &Seen| match &seen.raw {
            Some(raw) => *raw == Raw::WrongType,
            None => closely && passes_over(format),
        };
        let mut open: Vec<usize> = (0..seen.len()).filter(|&i| is_open(&seen[i])).collect();
        for format in looks(format) {
            if open.is_empty() {
                break;
            }
            let again: Vec<Slot> = open.iter().map(|&i| slots[i].clone()).collect();
            let answers = self.backend.read(&self.keys, format, &again).await?;
            for (i, answer) in std::mem::take(&mut open).into_iter().zip(answers) {
                // It is of a type that comes later, or became one of another type between two looks.
                if answer.raw == Some(Raw::WrongType) || passes_over(format) && answer.raw.is_none()
                {
                    open.push(i);
                }
                if answer.raw.is_some() || !passes_over(format) {
                    seen[i] = answer;
                }
            }
        }
        Ok(seen)
    }

    fn judge(&self, id: &EntityId, slot: &Slot, seen: Seen) -> Entry {
        let Some(raw) = seen.raw else { return Entry::Nothing };
        let pinned = raw.is_pinned();
        let in_format = raw.format() == Some(self.codec.format());
        let decoded = match self.codec.decode(raw) {
            Ok(decoded) => decoded,
            Err(error) if pinned => return Entry::Unusable(error),
            Err(error) => return Entry::Undecodable(error),
        };
        if let Some(envelope) = &decoded.envelope {
            if envelope.key_hash != slot.hash {
                return Entry::Undecodable(ColumnError::new("the entry belongs to another key"));
            }
            // What the store does not have is read by its columns' names, whoever wrote it.
            let current = envelope.state.is_pinned()
                || (in_format
                    && envelope.fingerprint == self.codec.fingerprint()
                    && envelope.generation == seen.generation);
            if !current {
                return Entry::Outdated(decoded.record);
            }
        }
        let unstored = decoded.envelope.is_some_and(|envelope| envelope.state.is_pinned());
        match decoded.record {
            Some(record) if !self.answers(id, &record) => {
                Entry::Undecodable(ColumnError::new("the entry holds another id"))
            }
            record if unstored => Entry::Unstored(record),
            Some(record) => Entry::Hit(record),
            None => Entry::Absent,
        }
    }

    /// Whether a record is the one that was asked for.
    pub(crate) fn answers(&self, id: &EntityId, record: &Record<'_>) -> bool {
        let columns = self.schema.id_columns().map(|(index, _)| record.get(index));
        columns.eq(id.values().iter().map(Some))
    }

    /// The id of a row.
    pub(crate) fn id_of(&self, row: &Record<'static>) -> Option<EntityId> {
        let columns = self.schema.id_columns();
        let values: Option<Vec<_>> = columns.map(|(index, _)| row.get(index).cloned()).collect();
        key::entity_id(values?).ok()
    }
}

/// Whether a read in this format takes an entry of another type for nothing.
fn passes_over(format: Format) -> bool {
    matches!(format, Format::Json | Format::Msgpack)
}

/// As what a key is looked at again that a read in this format did not find, or that was of another type.
fn looks(format: Format) -> [Format; 3] {
    match format {
        Format::Json | Format::Msgpack => [Format::Hash, Format::JsonDoc, Format::Json],
        Format::Hash => [Format::Json, Format::JsonDoc, Format::Hash],
        Format::JsonDoc => [Format::Json, Format::Hash, Format::JsonDoc],
    }
}

/// Makes one call per partition, all at a time, and puts the answers back in order. Every call ends,
/// also when another one fails.
pub(super) async fn by_partition<T, R, E, F>(
    items: &[T],
    partition: impl Fn(&T) -> u32,
    call: impl Fn(Vec<T>) -> F,
) -> Result<Vec<R>, E>
where
    T: Clone,
    F: Future<Output = Result<Vec<R>, E>>,
{
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| partition(&items[i]));
    let groups = order.chunk_by(|&a, &b| partition(&items[a]) == partition(&items[b]));
    let calls = groups.map(|group| call(group.iter().map(|&i| items[i].clone()).collect()));
    let mut answers = Vec::with_capacity(items.len());
    for answer in join_all(calls).await {
        answers.extend(answer?);
    }
    let mut placed: Vec<(usize, R)> = order.into_iter().zip(answers).collect();
    placed.sort_unstable_by_key(|(index, _)| *index);
    Ok(placed.into_iter().map(|(_, answer)| answer).collect())
}
