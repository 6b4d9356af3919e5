//! Redis-only: the entry is the only copy, so absent is absent and undecodable is an error.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::BoxFuture;

use super::{Flow, Reading, Saved};
use crate::{
    backend::{Side, journal::Mark},
    cache::{Entries, Entry, Kept, Unput},
    change::{Change, EntityId},
    error::{Error, ErrorKind, Outcome, Result},
    journal::{DurabilitySettings, Reached},
    record::Record,
};

/// Entries without a store behind them.
#[derive(Debug)]
pub(super) struct RedisOnly {
    entries: Arc<Entries>,
    durability: DurabilitySettings,
}

impl RedisOnly {
    pub(super) fn new(entries: Arc<Entries>, durability: DurabilitySettings) -> Self {
        Self { entries, durability }
    }

    async fn look_up(&self, ids: &[EntityId]) -> Result<Vec<Option<Record<'static>>>> {
        let counters = &self.entries.counters;
        let found = self.entries.read_closely(ids).await.map_err(|e| e.into_error())?;
        let found = found.into_iter().zip(ids).map(|(entry, id)| match entry {
            // There is nothing newer anywhere: an older shape is read by name.
            Entry::Hit(record) | Entry::Outdated(Some(record)) => Ok(Some(record)),
            Entry::Unstored(record) => Ok(record),
            Entry::Absent | Entry::Nothing | Entry::Outdated(None) => Ok(None),
            Entry::Undecodable(cause) | Entry::Unusable(cause) => {
                counters.undecodable.add(1);
                let message = "the entry is the only copy and cannot be decoded";
                Err(Error::new(ErrorKind::Undecodable, message).of(id).caused_by(cause))
            }
        });
        let found: Vec<_> = found.collect::<Result<_>>()?;
        counters.hits.add(found.iter().flatten().count());
        counters.misses.add(found.iter().filter(|record| record.is_none()).count());
        Ok(found)
    }

    async fn put(
        entries: &Entries,
        changes: Vec<Change>,
        durability: DurabilitySettings,
    ) -> Result<Vec<Saved>> {
        let encode = |change: Change| match change {
            Change::Put { id, record } => match entries.codec.encode(&record) {
                Ok(body) => Ok((id, Some(body))),
                Err(cause) => {
                    let message = "the value has no encoding in this format";
                    Err(Error::invalid(message).of(&id).caused_by(cause))
                }
            },
            Change::Delete { id } => Ok((id, None)),
        };
        let writes: Vec<_> = changes.into_iter().map(encode).collect::<Result<_>>()?;
        // Each partition is one step: of several, some may be done when another one fails.
        let several = entries.partitions_of(writes.iter().map(|(id, _)| id)) > 1;
        let written = entries.put(&writes, durability.asks()).await.map_err(|error| {
            let ambiguous = several || error.is_ambiguous();
            let error = error.into_error();
            if ambiguous { error.outcome_is(Outcome::Unknown) } else { error }
        })?;
        entries.counters.puts.add(written.iter().flatten().count());
        let kept = |written: std::result::Result<Kept, Unput>| {
            written.map_err(|why| {
                let error = match why {
                    Unput::Dirty(index) => {
                        let id = writes.get(index).map_or("", |(id, _): &(EntityId, _)| id.text());
                        dirty().of(id)
                    }
                    Unput::Elsewhere(side) => elsewhere(side),
                };
                if several { error.outcome_is(Outcome::Unknown) } else { error }
            })
        };
        let kept: Vec<Kept> = written.into_iter().map(kept).collect::<Result<_>>()?;
        let reached = Self::confirm(entries, &kept, durability).await?;
        Ok(kept.into_iter().map(|kept| Saved::cached_only(kept.version, reached)).collect())
    }

    /// Waits until these writes are as durable as the settings say.
    async fn confirm(
        entries: &Entries,
        kept: &[Kept],
        durability: DurabilitySettings,
    ) -> Result<Reached> {
        let marks = kept
            .iter()
            .map(|Kept { partition, server, .. }| Mark::Server { partition: *partition, server });
        let marks: BTreeSet<Mark<'_>> = marks.collect();
        let confirmed = durability.confirm(entries, marks, "in Redis").await?;
        confirmed.ok_or_else(|| {
            let message = "another Redis server answers than the one that took the write (or it was \
                           restarted), before that was as durable as it was to be: read the entity";
            Error::new(ErrorKind::DurabilityNotMet, message).outcome_is(Outcome::Unknown)
        })
    }
}

fn dirty() -> Error {
    Error::new(
        ErrorKind::Dirty,
        "the entry holds a journaled write: let the journal drain before this strategy takes over",
    )
}

/// Why `redis_only` may not write.
fn elsewhere(side: Side) -> Error {
    match side {
        Side::Stored => Error::new(
            ErrorKind::Fenced,
            "the store keeps this entity now, as it was exported: use a strategy with a store, or \
             `Repository::import` it",
        ),
        _ => Error::new(
            ErrorKind::Fenced,
            "this entity is being imported or exported right now: try again. If whoever did so is gone, \
             call `import` or `export` again, which goes on",
        )
        .retryable(),
    }
}

impl Flow for RedisOnly {
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a> {
        Box::pin(self.look_up(ids))
    }

    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>> {
        let (entries, durability) = (Arc::clone(&self.entries), self.durability);
        Box::pin(super::detached(async move { Self::put(&entries, changes, durability).await }))
    }
}
