//! Copying one partition that `redis_only` keeps: what changed, read, apply, report, until nothing is left.
//!
//! A change is forgotten only when the store has it, and only if it has not changed again, so a copier may
//! end anywhere. Which of two copiers writes is decided by the store: see [`Copying`].

use std::{iter, ops::Range, time::Duration};

use super::{Snapshot, copy_items::Item};
use crate::{
    backend::{
        CacheError, Side,
        snapshot::{AskChanged, Changed, Copied, Report},
    },
    cache::Entries,
    change::Change,
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::{CopyPosition, Copying, Event, busy, exported},
    store::{Batch, Class, Journaled, Position, Refused, Source, StoreError},
};

/// For how long a copier that died keeps others from its partition.
pub(super) const COPY_HOLD: Duration = Duration::from_secs(10);
/// How often copying begins again because another process was ahead.
const CONFLICTS_MAX: usize = 3;
/// If more changes of a batch are refused than this and than half of it, it is not they that are wrong.
const REFUSED_MIN: usize = 10;

/// One process at one partition.
pub(super) struct Copier<'a> {
    pub(super) copying: &'a Copying,
    partition: u32,
    token: &'a str,
}

/// What follows from the store's answer.
#[derive(PartialEq, Eq)]
enum Step {
    Written,
    /// Another process was ahead, or nobody knows: look again.
    Again,
}

impl<'a> Copier<'a> {
    pub(super) fn new(copying: &'a Copying, partition: u32, token: &'a str) -> Self {
        Self { copying, partition, token }
    }

    /// Copies what changed before the call, and with `retry` what the store refused before. Answers how
    /// many changes are left; `None` if another process is at it.
    pub(super) async fn run(&self, retry: bool, summary: &mut Snapshot) -> Result<Option<u64>> {
        let copied = self.copy(retry, summary).await;
        if !matches!(copied, Ok(None)) {
            let entries = self.entries();
            let let_go = entries.backend.let_go(&entries.keys, self.partition, self.token).await;
            // If it cannot be given back it ends by itself.
            drop(let_go);
        }
        copied
    }

    pub(super) fn entries(&self) -> &Entries {
        &self.copying.journal.entries
    }

    async fn copy(&self, retry: bool, summary: &mut Snapshot) -> Result<Option<u64>> {
        let Some(mut until) = self.goal(retry).await? else { return Ok(None) };
        'position: for _ in 0..CONFLICTS_MAX {
            let mut position = None;
            loop {
                let Some(changed) = self.ask(Some(until), false).await? else { return Ok(None) };
                self.check_side(changed.standing.side)?;
                until = changed.until;
                if changed.ids.is_empty() && changed.more {
                    continue;
                }
                if changed.ids.is_empty() {
                    return Ok(Some(changed.left));
                }
                // Before the entries are read: what is copied is newer than what was copied before.
                let position = match &mut position {
                    Some(position) => position,
                    None => match self.copying.position(self.partition, &changed.standing).await? {
                        Some(known) => position.insert(known),
                        None => continue 'position,
                    },
                };
                self.reach(Point::PositionRead).await?;
                let items = self.read(changed.ids).await?;
                self.reach(Point::RecordsRead).await?;
                // What is not there was deleted only if nobody has turned the partition since it was asked
                // for: whoever turns it later raises the position before entries go.
                let standing = self.copying.standing(self.partition).await?;
                self.check_side(standing.side)?;
                if standing != changed.standing
                    || self.write(position, &items, summary).await? == Step::Again
                {
                    self.entries().counters.copy_conflicts.add(1);
                    continue 'position;
                }
            }
        }
        Err(busy())
    }

    /// Up to which version changes are meant. What the store refused is a change again by then, if that
    /// is asked for.
    async fn goal(&self, retry: bool) -> Result<Option<u64>> {
        loop {
            let Some(changed) = self.ask(None, retry).await? else { return Ok(None) };
            if !changed.more {
                return Ok(Some(changed.until));
            }
        }
    }

    async fn ask(&self, until: Option<u64>, retry: bool) -> Result<Option<Changed>> {
        let entries = self.entries();
        let (partition, token, hold) = (self.partition, self.token, COPY_HOLD);
        let count = self.copying.batch();
        let ask = AskChanged { partition, token, hold, until, count, retry };
        entries.backend.changed(&entries.keys, ask).await.map_err(CacheError::into_error)
    }

    fn check_side(&self, side: Side) -> Result<()> {
        match side {
            Side::Kept | Side::Exporting => Ok(()),
            Side::Leaving | Side::Stored => Err(exported()),
            // Redis lost it, and its survey begins anew.
            Side::Open | Side::Importing => Err(Error::new(
                ErrorKind::CacheUnavailable,
                "Redis lost what it knew of this entity, or it is being imported",
            )),
        }
    }

    async fn reach(&self, point: Point) -> Result<()> {
        let reached = failpoint::reach(point, self.copying.ledger()).await;
        reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
    }

    /// Writes items and reports what became of them.
    async fn write(
        &self,
        position: &mut CopyPosition,
        items: &[Item],
        summary: &mut Snapshot,
    ) -> Result<Step> {
        let mut fates: Vec<Option<(Copied, String)>> = Vec::with_capacity(items.len());
        fates.extend(items.iter().map(|item| match &item.change {
            Err(why) => Some((Copied::Refused, why.clone())),
            Ok(None) => Some((Copied::Done, String::new())),
            Ok(Some(_)) => None,
        }));
        let written = self.write_all(position, items, &mut fates).await;
        self.copying.adapt(written.is_ok());
        let refused = fates.iter().flatten().filter(|(copied, _)| *copied == Copied::Refused);
        let (count, example) =
            (refused.clone().count(), refused.map(|(_, why)| why.clone()).next());
        if let Some(example) = example.filter(|_| count > REFUSED_MIN.max(items.len() / 2)) {
            return Err(Error::new(
                ErrorKind::Store,
                format!(
                    "{count} of {} copies were refused, too many to be wrong themselves; one because: \
                     {example}",
                    items.len()
                ),
            ));
        }
        self.reach(Point::Committed).await?;
        self.report(items, &fates, summary).await?;
        self.reach(Point::Acknowledged).await?;
        written
    }

    /// Writes all items that are to be written. What is refused is found by halving the batch.
    async fn write_all(
        &self,
        position: &mut CopyPosition,
        items: &[Item],
        fates: &mut [Option<(Copied, String)>],
    ) -> Result<Step> {
        let meant: Vec<usize> = (0..items.len()).filter(|&i| fates[i].is_none()).collect();
        // The next part is the last one.
        let mut parts: Vec<Range<usize>> = iter::once(0..meant.len()).collect();
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.apply(position, items, &meant[part.clone()]).await {
                Ok(()) => {
                    position.at += 1;
                    for &index in &meant[part] {
                        fates[index] = Some((Copied::Done, String::new()));
                    }
                }
                Err(error) => match error.class() {
                    // Unknown is never believed: the position tells.
                    Class::Fenced | Class::Unknown => return Ok(Step::Again),
                    Class::Record | Class::Reference if part.len() > 1 => {
                        let middle = part.start + part.len() / 2;
                        parts.push(middle..part.end);
                        parts.push(part.start..middle);
                    }
                    Class::Reference => {
                        fates[meant[part.start]] = Some((Copied::Later, error.to_string()));
                    }
                    Class::Record => {
                        fates[meant[part.start]] = Some((Copied::Refused, error.to_string()));
                    }
                    _ => return Err(error.into_error()),
                },
            }
        }
        Ok(Step::Written)
    }

    async fn apply(
        &self,
        position: &CopyPosition,
        items: &[Item],
        indices: &[usize],
    ) -> Result<(), StoreError> {
        let journal = &self.copying.journal;
        let changes: Vec<Change> = indices
            .iter()
            .filter_map(|&index| items[index].change.as_ref().ok()?.clone())
            .collect();
        let source =
            |&index: &usize| Source { version: items[index].version, data: "", schema: "" };
        let sources: Vec<_> = indices.iter().map(source).collect();
        let journaled = Journaled {
            position: Position {
                entity: self.copying.ledger(),
                partition: self.partition,
                journal: &position.journal,
                epoch: position.epoch,
                from: position.at,
                to: position.at + 1,
            },
            sources: &sources,
            unreadable: &[],
            coalesced: 0,
            refused: Refused::Fail,
        };
        let entries = &journal.entries;
        entries.counters.copy_batches.add(1);
        let deadline = entries.clock.now() + journal.settings.store_timeout;
        let batch = Batch::new(&changes, deadline).journaled(journaled);
        journal.store.apply(&entries.schema, batch).await.map(drop)
    }

    /// Tells Redis what became of items, where that is known.
    async fn report(
        &self,
        items: &[Item],
        fates: &[Option<(Copied, String)>],
        summary: &mut Snapshot,
    ) -> Result<()> {
        let known = || items.iter().zip(fates).filter_map(|(i, fate)| Some((i, fate.as_ref()?)));
        let copies: Vec<_> =
            known().map(|(item, (copied, _))| (&*item.text, item.version, *copied)).collect();
        if copies.is_empty() {
            return Ok(());
        }
        let entries = self.entries();
        let (partition, token, hold) = (self.partition, self.token, COPY_HOLD);
        let report = Report { partition, token, hold, copies: &copies };
        let left = entries.backend.copied(&entries.keys, report).await;
        let left = left.map_err(CacheError::into_error)?;
        for (item, (copied, why)) in known() {
            self.count(item, *copied, why, summary);
        }
        tracing::debug!(
            entity = self.copying.journal.name(),
            partition,
            left,
            "changes were copied"
        );
        Ok(())
    }

    fn count(&self, item: &Item, copied: Copied, why: &str, summary: &mut Snapshot) {
        let counters = &self.entries().counters;
        match (copied, &item.change) {
            (Copied::Done, Ok(Some(Change::Put { .. }))) => {
                summary.copied += 1;
                counters.copied.add(1);
            }
            (Copied::Done, Ok(Some(Change::Delete { .. }))) => {
                summary.deleted += 1;
                counters.copied_deletes.add(1);
            }
            (Copied::Done, _) => {}
            (Copied::Later, _) => summary.postponed += 1,
            (Copied::Refused, _) => {
                summary.refused += 1;
                counters.copies_refused.add(1);
                self.copying.journal.roster.listener.tell(&Event::CopyRefused {
                    entity: self.copying.journal.name().to_owned(),
                    partition: self.partition,
                    id: item.text.clone(),
                    error: why.to_owned(),
                });
            }
        }
    }
}
