//! The write path of the store-first strategies: announce, write the store, end.
//!
//! Each writer places a token of its own on the ids before it writes, so that no reader fills them
//! meanwhile. A writer that dies leaves its token until the token's deadline, which lies after the
//! last moment at which the store can still commit. PROTOCOL: BEGIN_WRITE, END_WRITE.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Outage, Parts, saved::CacheStep, saved::Saved};
use crate::{
    cache::{Begun, Entries, Refusal},
    change::{Change, EntityId},
    error::{Error, ErrorKind, Result},
    journal::Journal,
    record::Record,
    store::{Applied, Batch, Class, Fence, SharedStore, StoreError},
};

/// How often a write begins again because the journal was recovered under it.
const FENCED_MAX: usize = 3;
/// The waits between looks whether a journaled write of the same id is drained.
const DIRTY_WAIT: Duration = Duration::from_millis(5);

/// What becomes of the entry when the store has the new row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It stays away; the next reader loads it.
    Invalidate,
    /// It is put, if nobody else wrote meanwhile.
    Put,
}

/// Writes the store first.
#[derive(Debug)]
pub(super) struct StoreFirst {
    entries: Arc<Entries>,
    store: SharedStore,
    journal: Option<Arc<Journal>>,
    afterwards: Afterwards,
    outage: Outage,
    store_timeout: Duration,
    intent_grace: Duration,
}

/// A write that other processes know of, or that they could not be told of (`begun` is `None`).
struct Announced {
    token: String,
    begun: Option<Vec<Begun>>,
    /// The store must be done by then: Redis forgets the token a while later.
    deadline: Instant,
}

impl StoreFirst {
    pub(super) fn new(parts: &Parts, store: SharedStore, afterwards: Afterwards) -> Self {
        Self {
            entries: Arc::clone(&parts.entries),
            store,
            journal: parts.journal.clone(),
            afterwards,
            outage: parts.outage,
            store_timeout: parts.store_timeout,
            intent_grace: parts.intent_grace,
        }
    }

    /// Makes changes; of several changes of one id only the last is made.
    pub(super) async fn write(self: &Arc<Self>, changes: Vec<Change>) -> Result<Vec<Saved>> {
        for change in &changes {
            let checked = self.store.check(&self.entries.schema, change);
            checked.map_err(|e| Error::invalid(e.to_string()).of(change.id()))?;
        }
        let asked: Vec<EntityId> = changes.iter().map(|change| change.id().clone()).collect();
        let changes = last_of_each(changes);
        let writer = Arc::clone(self);
        // A task of its own: a caller that goes away must not leave half a write.
        let written = super::detached(async move { writer.run(&changes).await }).await?;
        Ok(asked.iter().map(|_| written.clone()).collect())
    }

    async fn run(&self, changes: &[Change]) -> Result<Saved> {
        let ids: Vec<EntityId> = changes.iter().map(|change| change.id().clone()).collect();
        let give_up = self.entries.clock.now() + self.store_timeout;
        let mut attempt = 1;
        loop {
            let announced = self.announce(&ids, give_up).await?;
            let fences = self.fences(&ids, &announced);
            let batch = Batch::new(changes, announced.deadline)
                .fenced(&fences)
                .returning(self.afterwards == Afterwards::Put);
            match self.store.apply(&self.entries.schema, batch).await {
                Ok(applied) => {
                    self.entries.counters.store_writes.add(1);
                    self.entries.counters.rows_written.add(applied.len());
                    return Ok(Saved::stored(self.end(&ids, announced, &applied).await));
                }
                Err(error) => {
                    let fenced = error.class() == Class::Fenced;
                    let retry = fenced && announced.begun.is_some() && attempt < FENCED_MAX;
                    let blind = fenced && announced.begun.is_none();
                    self.abandon(&ids, announced, &error).await;
                    match retry {
                        true => {}
                        false if blind => return Err(name_id(blind_refused(), &ids)),
                        false => return Err(name_id(error.into_error(), &ids)),
                    }
                    self.recover(&ids).await?;
                    attempt += 1;
                }
            }
        }
    }

    /// Announces the write. Where a journaled write of an id is not in the store yet it is waited for;
    /// where the journal belongs to another server it is recovered.
    async fn announce(&self, ids: &[EntityId], give_up: Instant) -> Result<Announced> {
        let mut recoveries = 0;
        loop {
            let token = self.entries.random.token();
            // Longer than the write may take, from now on.
            let hold = self.store_timeout + self.intent_grace;
            let sent = self.entries.clock.now();
            let refusal = match self.entries.begin(ids, &token, hold).await {
                Ok(begun) => {
                    let deadline = self.entries.clock.now() + self.store_timeout;
                    // The token lives from when Redis had it, however late that was heard here.
                    let deadline = deadline.min(sent + self.store_timeout + self.intent_grace / 2);
                    return Ok(Announced { token, begun: Some(begun), deadline });
                }
                Err(Refusal::Cache(error)) if self.outage == Outage::Available => {
                    self.entries.counters.cache_failures.add(1);
                    tracing::debug!(%error, "writing the store although the cache cannot be told");
                    let deadline = self.entries.clock.now() + self.store_timeout;
                    return Ok(Announced { token, begun: None, deadline });
                }
                Err(refusal) => refusal,
            };
            self.withdraw(ids, &token).await;
            match &refusal {
                Refusal::Dirty(index) if self.entries.clock.now() < give_up => {
                    let Some(journal) = &self.journal else { return Err(explain(refusal, ids)) };
                    let slots = self.entries.slots(&ids[*index..=*index]);
                    for slot in slots {
                        match journal.flush(slot.partition, Some(give_up)).await {
                            // What became of the journaled write is seen when this one begins again.
                            Err(error) if error.kind() == ErrorKind::Recovered => {}
                            flushed => flushed?,
                        }
                    }
                    // What is committed is acknowledged a moment later, or written again.
                    tokio::time::sleep(DIRTY_WAIT).await;
                }
                Refusal::Fenced if recoveries < FENCED_MAX && self.journal.is_some() => {
                    recoveries += 1;
                    self.recover(ids).await?;
                }
                _ => return Err(explain(refusal, ids)),
            }
        }
    }

    /// Takes an announcement back that some partitions refused. Others may have the token by now, and
    /// their entries are gone.
    async fn withdraw(&self, ids: &[EntityId], token: &str) {
        let slots = self.entries.slots(ids);
        let tokens: Vec<_> = slots.iter().map(|slot| (slot.clone(), token.to_owned())).collect();
        if self.entries.invalidate(&tokens).await.is_err() {
            self.entries.owe(slots, token);
        }
    }

    async fn recover(&self, ids: &[EntityId]) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let slots = self.entries.slots(ids);
        journal.recover_all(slots.iter().map(|slot| slot.partition)).await
    }

    /// What must still be true in the store's transaction: the epochs that the announcement saw, and
    /// that nothing was ever journaled where it saw none.
    fn fences(&self, ids: &[EntityId], announced: &Announced) -> Vec<Fence> {
        let entity = self.entries.keys.ledger_name();
        let mut fences: Vec<Fence> = match &announced.begun {
            Some(begun) => begun.iter().map(|b| Fence::new(entity, b.partition, b.epoch)).collect(),
            None => {
                let slots = self.entries.slots(ids);
                slots.iter().map(|slot| Fence::new(entity, slot.partition, 0)).collect()
            }
        };
        fences.sort_unstable_by_key(|fence| fence.partition);
        fences.dedup();
        fences
    }

    /// The store has the rows: tells the cache.
    async fn end(&self, ids: &[EntityId], announced: Announced, applied: &[Applied]) -> CacheStep {
        let Announced { token, begun, .. } = announced;
        let Some(begun) = begun else {
            self.entries.owe(self.entries.slots(ids), &token);
            return CacheStep::Pending;
        };
        let row = |applied: &Applied| -> Option<Record<'static>> {
            match (applied, self.afterwards) {
                (Applied::Put(row), Afterwards::Put) => row.clone(),
                _ => None,
            }
        };
        let rows: Vec<_> = applied.iter().map(row).collect();
        let rows: Vec<_> = rows.iter().map(Option::as_ref).collect();
        match self.entries.end(ids, &begun, &rows, &token).await {
            Ok(put) => self.entries.counters.puts.add(put.iter().filter(|put| **put).count()),
            // The entry is gone since the announcement, and nobody fills it while the token lives.
            Err(_) => {
                self.entries.counters.cache_failures.add(1);
                self.entries.owe(self.entries.slots(ids), &token);
            }
        }
        CacheStep::Done
    }

    /// The store does not have the rows, or nobody knows: then the token stays until its deadline,
    /// so that no reader fills what a late commit would make old.
    async fn abandon(&self, ids: &[EntityId], announced: Announced, error: &StoreError) {
        if error.class() == Class::Unknown {
            if announced.begun.is_none() {
                self.entries.owe(self.entries.slots(ids), &announced.token);
            }
            return;
        }
        let Some(begun) = announced.begun else { return };
        let nothing = vec![None; ids.len()];
        if self.entries.end(ids, &begun, &nothing, &announced.token).await.is_err() {
            self.entries.owe(self.entries.slots(ids), &announced.token);
        }
    }
}

/// Why a write was refused that Redis could not be told of.
fn blind_refused() -> Error {
    Error::new(
        ErrorKind::CacheUnavailable,
        "Redis cannot be reached, and its journal may hold newer writes of this entity that are not in \
         the store yet",
    )
}

/// Why a write could not be announced, and what to do about it.
fn explain(refusal: Refusal, ids: &[EntityId]) -> Error {
    let named = |index: usize, message| {
        Error::new(ErrorKind::Dirty, message).of(ids.get(index).map_or("", EntityId::text))
    };
    match refusal {
        Refusal::Cache(error) => error.into_error(),
        Refusal::Fenced => Error::new(
            ErrorKind::Fenced,
            "the journal of this entity belongs to another Redis server, or to this one before it was \
             restarted, and could not be recovered: try again",
        )
        .retryable(),
        Refusal::Dirty(index) => named(
            index,
            "the entry holds a journaled write that is not in the store yet: let the journal drain \
             first",
        ),
        Refusal::Kept(index) => named(
            index,
            "`redis_only` keeps this entity: to move it to the store, call `Repository::export` on a \
             repository under `redis_only`",
        ),
    }
}

/// Names the id where there is no doubt which one failed.
fn name_id(error: Error, ids: &[EntityId]) -> Error {
    match ids {
        [id] => error.of(id),
        _ => error,
    }
}

/// The last change of each id, in the order of those.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let last: HashMap<EntityId, usize> =
        changes.iter().enumerate().map(|(i, change)| (change.id().clone(), i)).collect();
    let keep = |(i, change): (usize, Change)| (last.get(change.id()) == Some(&i)).then_some(change);
    changes.into_iter().enumerate().filter_map(keep).collect()
}
