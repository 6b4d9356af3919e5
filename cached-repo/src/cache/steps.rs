//! The cache steps of reads and writes: lease and fill, begin and end, put, evict.

use std::time::Duration;

use super::entries::{Entries, Lifetimes, by_partition};
use crate::{
    backend::{Begin, CacheError, Content, End, Fill, Lease, LeaseAsk, Put, PutReply, Side},
    change::EntityId,
    codec::{Body, State},
    key::Slot,
    record::Record,
};

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
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Cache(CacheError),
    Fenced,
    /// The id, by index, holds a journaled write.
    Dirty(usize),
    /// The id, by index, is kept by `redis_only`.
    Kept(usize),
}

impl Refusal {
    fn is_silence(&self) -> bool {
        matches!(self, Refusal::Cache(_))
    }
}

/// Why only copies were not written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unput {
    /// The id, by index, holds a journaled write.
    Dirty(usize),
    /// The partition is on this side.
    Elsewhere(Side),
}

/// An only copy that was written.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) partition: u32,
    pub(crate) version: u64,
    /// Which server it was, if that was asked.
    pub(crate) server: String,
}

impl Entries {
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
            let at = |i: usize| indices.get(i).copied().unwrap_or(0);
            let refusal = match self.backend.begin(&self.keys, &slots, token, hold).await {
                Ok(Begin::Begun { epoch, generation }) => {
                    let begun =
                        |slot: &Slot| Begun { partition: slot.partition, epoch, generation };
                    return Ok::<_, Refusal>(slots.iter().map(begun).map(Ok).collect());
                }
                Ok(Begin::Fenced) => Refusal::Fenced,
                Ok(Begin::Dirty(i)) => Refusal::Dirty(at(i)),
                Ok(Begin::Kept(i)) => Refusal::Kept(at(i)),
                Err(error) => Refusal::Cache(error),
            };
            Ok(vec![Err(refusal); slots.len()])
        };
        let answers = by_partition(&indexed, |(_, slot)| slot.partition, begin).await?;
        // A refusal is an answer; a partition that did not answer must not hide it.
        let is_refused = |a: &Result<Begun, Refusal>| matches!(a, Err(r) if !r.is_silence());
        if let Some(Err(refusal)) = answers.iter().find(|a| is_refused(a)) {
            return Err(refusal.clone());
        }
        answers.into_iter().collect()
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

    /// Writes entries that are the only copy; no body deletes. Answers what became of each, or why a
    /// partition was left alone.
    pub(crate) async fn put(
        &self,
        writes: &[(EntityId, Option<Body>)],
        asks_server: bool,
    ) -> Result<Vec<Result<Kept, Unput>>, CacheError> {
        self.write_kept(writes, None, asks_server).await
    }

    /// The same for rows of the store, while this move imports their partitions. What is kept already stays.
    pub(crate) async fn keep(
        &self,
        rows: &[(EntityId, Option<Body>)],
        token: &str,
    ) -> Result<Vec<Result<Kept, Unput>>, CacheError> {
        self.write_kept(rows, Some(token), false).await
    }

    async fn write_kept(
        &self,
        writes: &[(EntityId, Option<Body>)],
        import: Option<&str>,
        asks_server: bool,
    ) -> Result<Vec<Result<Kept, Unput>>, CacheError> {
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
            .zip(writes)
            .map(|(Prepared { slot, content }, (id, _))| Put {
                slot,
                id: id.text(),
                content: content.as_ref().map(Stamped::content),
            })
            .enumerate()
            .collect();
        by_partition(
            &puts,
            |(_, put)| put.slot.partition,
            |group| async move {
                let (indices, group): (Vec<usize>, Vec<Put<'_>>) = group.into_iter().unzip();
                let put = match import {
                    Some(token) => self.backend.keep(&self.keys, &group, token),
                    None => self.backend.put(&self.keys, &group, asks_server),
                };
                let why = match put.await? {
                    PutReply::Written { versions, server } => {
                        let kept = |(version, put): (u64, &Put<'_>)| {
                            let partition = put.slot.partition;
                            Ok(Kept { partition, version, server: server.clone() })
                        };
                        return Ok(versions.into_iter().zip(&group).map(kept).collect());
                    }
                    PutReply::Dirty(i) => Unput::Dirty(indices.get(i).copied().unwrap_or(0)),
                    PutReply::Elsewhere(side) => Unput::Elsewhere(side),
                };
                Ok(vec![Err(why); group.len()])
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

    /// How long an entry lives once its journaled write is in the store.
    pub(crate) fn settled_ttl(&self, deleted: bool) -> Duration {
        let Lifetimes { ttl, negative_ttl, .. } = self.lifetimes;
        self.spread(if deleted { negative_ttl } else { ttl })
    }

    /// Writes a copy of an entity that nobody is writing; tells whether it is there now.
    pub(crate) async fn put_copy(
        &self,
        id: &EntityId,
        row: &Record<'static>,
    ) -> Result<bool, CacheError> {
        let token = self.random.token();
        let lease = self.lease(&[(id, true)], &token, COPY_HOLD).await?;
        let Some(Lease::Granted { generation }) = lease.first().copied() else { return Ok(false) };
        let filling = Filling { id, generation, row: Some(row) };
        Ok(self.fill(&[filling], &token).await?.first().copied().unwrap_or(false))
    }

    fn prepare(&self, id: &EntityId, row: Option<&Record<'static>>) -> Prepared {
        let slot = self.keys.slot(id);
        let Lifetimes { ttl, negative_ttl, .. } = self.lifetimes;
        let encoded = match row {
            Some(row) if row.size() > self.row_max_bytes => None,
            // The database may hold what the format cannot.
            Some(row) => self.codec.encode(row).ok().map(|body| (State::Clean, body, ttl)),
            None if negative_ttl.is_zero() => None,
            None => Some((State::Negative, self.codec.encode_absence(), negative_ttl)),
        };
        let Some((state, body, ttl)) = encoded else { return Prepared { slot, content: None } };
        let stamp = self.codec.stamp(slot.hash);
        let content = Stamped { state, stamp, body, ttl: Some(self.spread(ttl)) };
        Prepared { slot, content: Some(content) }
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

/// How long a copy may take to be written.
const COPY_HOLD: Duration = Duration::from_secs(3);
