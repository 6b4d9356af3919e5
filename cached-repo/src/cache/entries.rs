//! One entity's entries: the backend's bytes, decoded and judged, grouped by partition.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{counts::Counters, owed::Owed};
use crate::{
    backend::{
        Backend, Begin, CacheError, Content, End, Fill, Lease, LeaseAsk, Put, PutReply, Seen,
    },
    change::EntityId,
    clock::{Clock, Random},
    codec::{Body, Codec, State},
    column::ColumnError,
    key::{self, Keyspace, Slot},
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
    /// Larger entries (bytes) are not cached.
    pub(crate) size_max: usize,
    pub(crate) counters: Counters,
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
    /// Nothing.
    Nothing,
    /// An entry of another schema or an earlier generation.
    Outdated(Option<Record<'static>>),
    /// Bytes that are no entry of this entity.
    Undecodable(ColumnError),
}

/// A row to fill an entry with, or the absence of one.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) id: &'a EntityId,
    pub(crate) generation: u64,
    pub(crate) row: Option<&'a Record<'static>>,
}

/// An announced write of one entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) partition: u32,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
}

/// Why a write could not be announced.
#[derive(Debug)]
pub(crate) enum Refusal {
    Cache(CacheError),
    Fenced,
    /// The id, by index, holds a journaled write.
    Dirty(usize),
    /// The id, by index, is kept by `redis_only`.
    Kept(usize),
}

impl Entries {
    pub(crate) fn slots(&self, ids: &[EntityId]) -> Vec<Slot> {
        ids.iter().map(|id| self.keys.slot(id)).collect()
    }

    pub(crate) async fn read(&self, ids: &[EntityId]) -> Result<Vec<Entry>, CacheError> {
        let slots = self.slots(ids);
        let seen = self.backend.read(&self.keys, self.codec.format(), &slots).await?;
        let judge = |((id, slot), seen)| self.judge(id, slot, seen);
        Ok(ids.iter().zip(&slots).zip(seen).map(judge).collect())
    }

    fn judge(&self, id: &EntityId, slot: &Slot, seen: Seen) -> Entry {
        let Some(raw) = seen.raw else { return Entry::Nothing };
        let decoded = match self.codec.decode(raw) {
            Ok(decoded) => decoded,
            Err(error) => return Entry::Undecodable(error),
        };
        if let Some(envelope) = &decoded.envelope {
            if envelope.key_hash != slot.hash {
                return Entry::Undecodable(ColumnError::new("the entry belongs to another key"));
            }
            let current = envelope.fingerprint == self.codec.fingerprint()
                && (envelope.generation == seen.generation || envelope.state.is_pinned());
            if !current {
                return Entry::Outdated(decoded.record);
            }
        }
        match decoded.record {
            None => Entry::Absent,
            Some(record) if self.answers(id, &record) => Entry::Hit(record),
            Some(_) => Entry::Undecodable(ColumnError::new("the entry holds another id")),
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

    pub(crate) async fn lease(
        &self,
        asks: &[(&EntityId, bool)],
        token: &str,
        hold: Duration,
    ) -> Result<Vec<Lease>, CacheError> {
        let slots: Vec<_> = asks.iter().map(|(id, _)| self.keys.slot(id)).collect();
        let ask = |(slot, (_, replace)): (_, &(_, bool))| LeaseAsk { slot, replace: *replace };
        let asks: Vec<_> = slots.iter().zip(asks).map(ask).collect();
        by_partition(
            &asks,
            |ask| ask.slot.partition,
            |group| async move {
                self.backend.lease(&self.keys, self.codec.format(), &group, token, hold).await
            },
        )
        .await
    }

    /// Fills entries; tells for each whether nobody wrote since the lease. A row that is too large to
    /// cache, and "no such row" where that is not remembered, only return the lease.
    pub(crate) async fn fill(
        &self,
        fillings: &[Filling<'_>],
        token: &str,
    ) -> Result<Vec<bool>, CacheError> {
        let prepared: Vec<_> =
            fillings.iter().map(|filling| self.prepare(filling.id, filling.row)).collect();
        let fills: Vec<_> = fillings
            .iter()
            .zip(&prepared)
            .map(|(filling, Prepared { slot, content })| {
                let content = content.as_ref().map(Stamped::content);
                Fill { slot, generation: filling.generation, content }
            })
            .collect();
        by_partition(
            &fills,
            |fill| fill.slot.partition,
            |group| async move { self.backend.fill(&self.keys, &group, token).await },
        )
        .await
    }

    /// Announces a write of these ids under one token.
    pub(crate) async fn begin(
        &self,
        ids: &[EntityId],
        token: &str,
        hold: Duration,
    ) -> Result<Vec<Begun>, Refusal> {
        let indexed: Vec<(usize, Slot)> = self.slots(ids).into_iter().enumerate().collect();
        let begin = |group: Vec<(usize, Slot)>| async move {
            let (indices, slots): (Vec<usize>, Vec<Slot>) = group.into_iter().unzip();
            match self.backend.begin(&self.keys, &slots, token, hold).await {
                Ok(Begin::Begun { epoch, generation }) => Ok(slots
                    .iter()
                    .map(|slot| Begun { partition: slot.partition, epoch, generation })
                    .collect()),
                Ok(Begin::Fenced) => Err(Refusal::Fenced),
                Ok(Begin::Dirty(i)) => Err(Refusal::Dirty(indices.get(i).copied().unwrap_or(0))),
                Ok(Begin::Kept(i)) => Err(Refusal::Kept(indices.get(i).copied().unwrap_or(0))),
                Err(error) => Err(Refusal::Cache(error)),
            }
        };
        by_partition(&indexed, |(_, slot)| slot.partition, begin).await
    }

    /// Ends a write. Where `rows` has a row, the entry is put if that is safe.
    pub(crate) async fn end(
        &self,
        ids: &[EntityId],
        begun: &[Begun],
        rows: &[Option<&Record<'static>>],
        token: &str,
    ) -> Result<Vec<bool>, CacheError> {
        let prepared: Vec<_> = ids
            .iter()
            .zip(rows)
            .map(|(id, row)| match row {
                Some(row) => self.prepare(id, Some(row)),
                None => Prepared { slot: self.keys.slot(id), content: None },
            })
            .collect();
        let ends: Vec<_> = begun
            .iter()
            .zip(&prepared)
            .map(|(begun, Prepared { slot, content })| {
                let content = content.as_ref().map(Stamped::content);
                End { slot, token, epoch: begun.epoch, generation: begun.generation, content }
            })
            .collect();
        self.end_all(&ends).await
    }

    /// Removes entries, their leases and these tokens, whatever became of the writes.
    pub(crate) async fn invalidate(&self, owed: &[(Slot, String)]) -> Result<(), CacheError> {
        let end = |(slot, token)| End { slot, token, epoch: 0, generation: 0, content: None };
        let ends: Vec<_> = owed.iter().map(|(slot, token)| end((slot, token.as_str()))).collect();
        self.end_all(&ends).await.map(drop)
    }

    async fn end_all(&self, ends: &[End<'_>]) -> Result<Vec<bool>, CacheError> {
        by_partition(
            ends,
            |end| end.slot.partition,
            |group| async move { self.backend.end(&self.keys, &group).await },
        )
        .await
    }

    /// Writes entries that are the only copy; no body deletes. Answers the versions, or the index of
    /// an id that holds a journaled write.
    pub(crate) async fn put(
        &self,
        writes: &[(EntityId, Option<Body>)],
    ) -> Result<Vec<Result<u64, usize>>, CacheError> {
        let stamp = |(id, body): &(EntityId, Option<Body>)| {
            let slot = self.keys.slot(id);
            let ttl = self.lifetimes.kept_ttl.map(|ttl| self.spread(ttl));
            let stamp = self.codec.stamp(slot.hash);
            let content = body.clone().map(|body| Stamped { state: State::Kept, stamp, body, ttl });
            Prepared { slot, content }
        };
        let prepared: Vec<_> = writes.iter().map(stamp).collect();
        let puts: Vec<_> = prepared
            .iter()
            .map(|Prepared { slot, content }| Put {
                slot,
                content: content.as_ref().map(Stamped::content),
            })
            .enumerate()
            .collect();
        by_partition(
            &puts,
            |(_, put)| put.slot.partition,
            |group| async move {
                let (indices, group): (Vec<usize>, Vec<Put<'_>>) = group.into_iter().unzip();
                Ok(match self.backend.put(&self.keys, &group).await? {
                    PutReply::Written(versions) => versions.into_iter().map(Ok).collect(),
                    PutReply::Dirty(i) => {
                        let index = indices.get(i).copied().unwrap_or(0);
                        vec![Err(index); group.len()]
                    }
                })
            },
        )
        .await
    }

    /// Removes copies; tells for each whether nothing of it is cached now.
    pub(crate) async fn evict(&self, ids: &[EntityId]) -> Result<Vec<bool>, CacheError> {
        let slots = self.slots(ids);
        by_partition(
            &slots,
            |slot| slot.partition,
            |group: Vec<Slot>| async move { self.backend.evict(&self.keys, &group).await },
        )
        .await
    }

    fn prepare(&self, id: &EntityId, row: Option<&Record<'static>>) -> Prepared {
        let slot = self.keys.slot(id);
        let Lifetimes { ttl, negative_ttl, .. } = self.lifetimes;
        let (state, body, ttl) = match row.map(|row| self.codec.encode(row)) {
            Some(Ok(body)) => (State::Clean, body, ttl),
            None if !negative_ttl.is_zero() => {
                (State::Negative, self.codec.encode_absence(), negative_ttl)
            }
            // A row that has no entry (the database holds what the format cannot) is not cached.
            Some(Err(_)) | None => return Prepared { slot, content: None },
        };
        let stamp = self.codec.stamp(slot.hash);
        let fits = body.size() <= self.size_max;
        let stamped = Stamped { state, stamp, body, ttl: Some(self.spread(ttl)) };
        Prepared { slot, content: fits.then_some(stamped) }
    }

    fn spread(&self, ttl: Duration) -> Duration {
        self.random.jitter(ttl, self.lifetimes.jitter)
    }
}

/// An entry that is ready to be written, where there is one to write.
struct Prepared {
    slot: Slot,
    content: Option<Stamped>,
}

struct Stamped {
    state: State,
    stamp: String,
    body: Body,
    ttl: Option<Duration>,
}

impl Stamped {
    fn content(&self) -> Content<'_> {
        Content { state: self.state, stamp: &self.stamp, body: &self.body, ttl: self.ttl }
    }
}

/// Makes one call per partition, all at a time, and puts the answers back in order. Every call ends,
/// also when another one fails.
async fn by_partition<T, R, E, F>(
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
