//! Draining one partition: read, apply, acknowledge, until nothing is left. PROTOCOL: D.
//!
//! The position is the store's. It is read at the beginning and after every failure; in between it is
//! where the store's own compare-and-set has moved it. So any number of workers may drain a partition
//! at a time: the claim in Redis only keeps them from doing the same work twice.

use std::time::Duration;

use super::{
    ending::{Ending, Kept, Tries, Trouble},
    plan::Plan,
    position::Reading,
};
use crate::{
    backend::{
        CacheError,
        journal::{JournalRecord, Meta},
    },
    error::Result,
    failpoint::{self, Point},
    journal::Journal,
    layout::CLOSED,
    store::{Applied, Batch, Class, Journaled, Position, Refused, Source, StoreError, Unreadable},
};

/// For how long a worker that died keeps others from its partition. Shorter than what a write waits
/// for a drain.
pub(super) const CLAIM_HOLD: Duration = Duration::from_secs(2);
/// A batch ends when it has so many bytes of data.
pub(super) const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// So many batches, and the other partitions have their turn.
const BATCHES_MAX: usize = 16;
/// How often a session begins again because another worker or a recovery was ahead.
const CONFLICTS_MAX: usize = 3;
/// How often a batch is tried in which a record refers to a row that is not there: it may be on its
/// way in another partition.
const REFERENCE_TRIES: usize = 5;

/// One worker at one partition.
pub(super) struct Session<'a> {
    pub(super) journal: &'a Journal,
    pub(super) partition: u32,
    pub(super) token: String,
    /// Records of a batch.
    pub(super) batch: usize,
    /// Up to where it drains.
    pub(super) until: u64,
    /// What an earlier session left to this one, and this one leaves to the next.
    pub(super) kept: Kept,
    /// How batches are made and what is done with what the store refuses.
    mode: Mode,
}

/// What to do with changes that the store refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Fail: nothing was refused so far.
    Plain,
    /// Make them dead letters. Records are not coalesced then: each one is judged by itself.
    Bury,
}

/// What follows from the store's answer to a batch.
enum Step {
    Committed(Vec<Applied>),
    /// Another worker or a recovery was ahead, or nobody knows: look again.
    Again,
    /// A record refers to a row that is not there: it may come.
    Wait,
    /// The store refused a change: try again and bury it.
    Bury,
}

impl<'a> Session<'a> {
    pub(super) fn new(journal: &'a Journal, partition: u32, token: String, batch: usize) -> Self {
        let (until, kept, mode) = (u64::MAX, Kept::default(), Mode::Plain);
        Self { journal, partition, token, batch, until, kept, mode }
    }

    /// The same session, which goes on where an earlier one was.
    pub(super) fn going_on(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    /// Drains until nothing is left, or for as long as a session may.
    pub(super) async fn run(mut self) -> (Ending, Kept) {
        let ending = self.drain().await.unwrap_or_else(Ending::Failed);
        if !matches!(ending, Ending::Taken) {
            let keys = &self.journal.entries.keys;
            let released = self.journal.entries.backend.release(keys, self.partition, &self.token);
            // If it cannot be given back it ends by itself.
            drop(released.await);
        }
        (ending, self.kept)
    }

    async fn drain(&mut self) -> Result<Ending, Trouble> {
        for _ in 0..CONFLICTS_MAX {
            let Some(meta) = self.claim().await? else { return Ok(Ending::Taken) };
            self.reach(Point::Claimed).await?;
            let offset = self.journal.offset(self.partition).await?;
            if let Some(closed) = offset.as_ref().filter(|offset| offset.home == CLOSED) {
                return self.retire(&meta, closed).await;
            }
            if !meta.exists() && offset.as_ref().is_some_and(|offset| !offset.sealed) {
                // The journal is gone, which its recovery reports.
                self.journal.recover(self.partition).await?;
                continue;
            }
            if !meta.exists() {
                return Ok(Ending::Idle);
            }
            // The store may have been restored to before what Redis knows to be drained.
            let is_there = offset.as_ref().is_none_or(|offset| offset.last_id >= meta.acked);
            if meta.sealed && meta.backlog() == 0 && is_there {
                return self.rest(meta.epoch, meta.acked, meta.trimmed_to).await;
            }
            if let Some(ending) = self.behind_parents(&meta).await? {
                return Ok(ending);
            }
            let Some(mut reading) = self.position(&meta, offset).await? else { continue };
            self.reach(Point::PositionRead).await?;
            if let Some(ending) = self.follow(&mut reading).await? {
                return Ok(ending);
            }
            self.journal.entries.counters.drain_conflicts.add(1);
        }
        let busy = "other workers or recoveries are ahead again and again";
        Ok(Ending::Failed(Trouble::Passing(busy.to_owned())))
    }

    pub(super) async fn reach(&self, point: Point) -> Result<(), Trouble> {
        failpoint::reach(point, self.journal.name()).await.map_err(Trouble::Passing)
    }

    async fn claim(&self) -> Result<Option<Meta>, CacheError> {
        let entries = &self.journal.entries;
        entries.backend.claim(&entries.keys, self.partition, &self.token, CLAIM_HOLD).await
    }

    /// Drains from a position; `None` if it has to be looked up again. While the store writes one
    /// batch, the next one is read.
    async fn follow(&mut self, reading: &mut Reading) -> Result<Option<Ending>, Trouble> {
        let full = self.journal.settings.batch;
        let mut tries = self.kept.tries.next_at((reading.offset.epoch, reading.at));
        if tries > 1 {
            self.batch = full;
        }
        let (mut ahead, mut batches) = (None, 0);
        while batches < BATCHES_MAX {
            let mut records = match ahead.take() {
                Some(records) => records,
                None => self.read(reading.at).await?,
            };
            if std::mem::take(&mut reading.is_fresh) {
                self.check_all_are_there(reading, &records).await?;
            }
            let found = records.len();
            records.retain(|record| record.version <= self.until);
            if records.is_empty() && found > 0 {
                return Ok(Some(Ending::More));
            }
            if records.is_empty() && batches > 0 {
                return Ok(Some(Ending::Drained));
            }
            if records.is_empty() {
                let (epoch, trimmed_to) = (reading.offset.epoch, reading.trimmed_to);
                return self.rest(epoch, reading.at.min(reading.acked), trimmed_to).await.map(Some);
            }
            self.reach(Point::RecordsRead).await?;
            let coalesce = self.journal.settings.coalesce && self.mode == Mode::Plain;
            let plan = Plan::new(&self.journal.entries, &records, coalesce);
            if plan.to == 0 {
                return Err(Trouble::Lasting(plan.waits_for.unwrap_or_default()));
            }
            let (applied, next) =
                tokio::join!(self.apply(reading, &plan, &records, tries), self.read(plan.to));
            match self.judge(applied, tries)? {
                Step::Again => return Ok(None),
                // What it refers to may be one of the next records.
                Step::Wait if self.batch < full => self.batch = full,
                Step::Wait => {
                    let place = (reading.offset.epoch, reading.at);
                    self.kept.tries = Tries { place, count: tries };
                    return Ok(Some(Ending::Missing));
                }
                Step::Bury => {
                    self.expect_no_parents(tries).await?;
                    self.mode = Mode::Bury;
                    ahead = Some(records);
                }
                Step::Committed(applied) => {
                    self.reach(Point::Committed).await?;
                    let from = std::mem::replace(&mut reading.at, plan.to);
                    let place = (reading.offset.epoch, from);
                    let left = self.acknowledge(place, &plan, &records, &applied).await?;
                    let Some(left) = left else { return Ok(None) };
                    self.reach(Point::Acknowledged).await?;
                    if let Some(reason) = plan.waits_for {
                        return Err(Trouble::Lasting(reason));
                    }
                    if left == 0 && reading.at >= reading.acked {
                        return Ok(Some(Ending::Drained));
                    }
                    (self.mode, tries) = (Mode::Plain, 1);
                    batches += 1;
                    ahead = next.ok().filter(|records| !records.is_empty());
                }
            }
        }
        Ok(Some(Ending::More))
    }

    pub(super) async fn read(&self, after: u64) -> Result<Vec<JournalRecord>, CacheError> {
        let entries = &self.journal.entries;
        let backend = &entries.backend;
        backend.records(&entries.keys, self.partition, after, self.batch, BATCH_BYTES).await
    }

    async fn apply(
        &self,
        reading: &Reading,
        plan: &Plan,
        records: &[JournalRecord],
        tries: usize,
    ) -> Result<Vec<Applied>, StoreError> {
        let texts: Vec<_> = records.iter().map(|r| String::from_utf8_lossy(&r.data)).collect();
        let source = |index: usize| Source {
            version: records[index].version,
            data: &texts[index],
            schema: &records[index].schema,
        };
        let sources: Vec<_> = plan.sources.iter().map(|&index| source(index)).collect();
        let unread = plan.unreadable.iter();
        let unreadable: Vec<_> = unread
            .map(|u| Unreadable { source: source(u.index), deletes: u.deletes, error: &u.error })
            .collect();
        let journaled = Journaled {
            position: Position {
                entity: self.journal.name(),
                partition: self.partition,
                journal: &reading.offset.journal,
                epoch: reading.offset.epoch,
                from: reading.at,
                to: plan.to,
            },
            sources: &sources,
            unreadable: &unreadable,
            coalesced: plan.coalesced,
            refused: match self.mode {
                Mode::Plain => Refused::Fail,
                Mode::Bury => Refused::Bury { references: tries >= REFERENCE_TRIES },
            },
        };
        let entries = &self.journal.entries;
        let deadline = entries.clock.now() + self.journal.settings.store_timeout;
        let batch = Batch::new(&plan.changes, deadline).journaled(journaled);
        self.journal.store.apply(&entries.schema, batch).await
    }

    /// Buries nothing whose row may be among what a restored store gets again of the parents.
    async fn expect_no_parents(&self, tries: usize) -> Result<(), Trouble> {
        if tries < REFERENCE_TRIES {
            return Ok(());
        }
        match self.journal.replaying_parents().await?.first() {
            None => Ok(()),
            Some(parent) => Err(Trouble::Passing(format!(
                "a row it refers to may be among those that the restored store gets again of {}, of which \
                 partition {} is not there yet",
                parent.prefix, parent.partition
            ))),
        }
    }

    /// What follows from the store's answer.
    fn judge(
        &self,
        applied: Result<Vec<Applied>, StoreError>,
        tries: usize,
    ) -> Result<Step, Trouble> {
        let error = match applied {
            Ok(applied) => return Ok(Step::Committed(applied)),
            Err(error) => error,
        };
        match error.class() {
            // Unknown is never believed: the position tells.
            Class::Fenced | Class::Unknown => Ok(Step::Again),
            Class::Reference if tries < REFERENCE_TRIES => Ok(Step::Wait),
            Class::Record | Class::Reference if self.mode == Mode::Plain => Ok(Step::Bury),
            _ => Err(error.into()),
        }
    }
}

/// How long the row is waited for in between, at first and at most. Others have the place meanwhile: it
/// may be among what they bring.
pub(super) const REFERENCE_WAIT: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(800));
