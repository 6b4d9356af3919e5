//! Changing the number of partitions on live data: drain the old ones, close them, and make new ones.
//!
//! Each step may be the last one of a process that dies: whoever comes next begins again. The store's
//! rows say what is done. An old partition ends as a row whose epoch was raised, and is settled by
//! nobody: no transaction that knows it can commit, and no recovery opens it again.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{
    drained::patient,
    ending::{Ending, Trouble},
    opening::{self, Floor},
};
use crate::{
    backend::{CacheError, journal::Meta},
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::{self, Journal, moving},
    layout::{CLOSED, FACT, LAYOUT_ROW, Recorded},
    retry::Backoff,
    store::{Offset, StoreError},
};

/// So many partitions at a time.
const AT_A_TIME: usize = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// Moves an entity from the partitions of one journal to those of another, within `deadline`.
pub(crate) async fn repartition(old: &Journal, new: &Journal, deadline: Duration) -> Result<()> {
    let mover = Mover { old, new, closed: AtomicUsize::new(0), waits: Mutex::default() };
    let moved = timeout(deadline, mover.run()).await;
    moved.unwrap_or_else(|_| Err(mover.late()))
}

struct Mover<'a> {
    old: &'a Journal,
    new: &'a Journal,
    /// How many old partitions are closed.
    closed: AtomicUsize,
    /// What those wait for that are behind parents.
    waits: Mutex<BTreeMap<u32, String>>,
}

impl Mover<'_> {
    async fn run(&self) -> Result<()> {
        // Before anything is changed: what cannot be drained would keep all writers waiting.
        self.drain_all().await?;
        if self.announce().await? {
            return self.tell_redis().await;
        }
        self.reach(Point::LayoutAnnounced).await?;
        self.tell_redis().await?;
        let old = stream::iter(self.old.partitions());
        let closes = old.map(|partition| self.close(partition));
        closes.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        let floor = self.floor().await?;
        let partitions = stream::iter(self.new.partitions());
        let opened = partitions.map(|partition| opening::open(self.new, partition, floor));
        opened.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        self.reach(Point::PartitionOpened).await?;
        // What Redis lost and found meanwhile of those that are closed.
        self.drain_all().await?;
        self.record(self.goal(), self.after()).await?;
        self.reach(Point::LayoutChanged).await?;
        self.tell_redis().await
    }

    fn before(&self) -> Recorded {
        Recorded::settled(self.old.entries.keys.layout())
    }

    fn after(&self) -> Recorded {
        Recorded::settled(self.new.entries.keys.layout())
    }

    /// What is recorded while the number is being changed.
    fn goal(&self) -> Recorded {
        Recorded { next: Some(self.after().now.count), ..self.before() }
    }

    /// Says in the store that the number is being changed; true if it was changed meanwhile.
    async fn announce(&self) -> Result<bool> {
        match journal::recorded(&self.old.store, self.old.name()).await? {
            Some((found, _)) if found == self.after() => Ok(true),
            Some((found, _)) if found == self.goal() => Ok(false),
            Some((Recorded { now, next: Some(next) }, _)) => Err(moving(now.count, next)),
            _ => self.record(self.before(), self.goal()).await.map(|()| false),
        }
    }

    /// Replaces what the store knows of the entity's partitions.
    async fn record(&self, from: Recorded, to: Recorded) -> Result<()> {
        let journal = self.old;
        let seen = match journal::recorded(&journal.store, journal.name()).await? {
            Some((found, _)) if found == to => return Ok(()),
            Some((found, _)) if found != from => return Err(overtaken()),
            found => found.map_or(0, |(_, epoch)| epoch),
        };
        let (home, token) = (to.to_string(), journal.entries.random.token());
        match journal.give_up(LAYOUT_ROW, (&token, &home), seen).await? {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }

    /// Tells Redis what the store knows.
    async fn tell_redis(&self) -> Result<()> {
        let found = journal::recorded(&self.old.store, self.old.name()).await?;
        let Some((known, _)) = found else { return Ok(()) };
        let entries = &self.old.entries;
        for before in [self.before(), self.goal()] {
            let (before, known) = (before.to_string(), known.to_string());
            let amending = entries.backend.amend(&entries.keys, FACT, &before, &known);
            if amending.await.map_err(CacheError::into_error)? {
                break;
            }
        }
        Ok(())
    }

    async fn close(&self, partition: u32) -> Result<()> {
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        while !self.try_close(partition).await? {
            sleep(backoff.wait(&self.old.entries.random)).await;
        }
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.reach(Point::PartitionClosed).await
    }

    /// Closes an old partition for ever, if it is drained.
    async fn try_close(&self, partition: u32) -> Result<bool> {
        let journal = self.old;
        let offset = journal.offset(partition).await.map_err(StoreError::into_error)?;
        let offset = match offset {
            // Whoever closed it may have died while it waited for transactions that know it. Asked for an
            // epoch that is over, the store only waits.
            Some(Offset { home, journal: token, epoch, .. }) if home == CLOSED => {
                journal.give_up(partition, (&token, CLOSED), epoch.saturating_sub(1)).await?;
                return Ok(true);
            }
            // It is known to be empty, and stays so until a recovery, which would raise the epoch. Not so
            // if the store was restored to that.
            Some(offset) if offset.sealed => {
                let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
                if meta.epoch > offset.epoch || meta.acked > offset.last_id {
                    journal.recover(partition).await?;
                    return Ok(false);
                }
                offset
            }
            Some(offset) if self.is_drained(partition, &offset).await? => offset,
            Some(_) => return Ok(false),
            None => {
                let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
                if meta.exists() {
                    journal.recover(partition).await?;
                    return Ok(false);
                }
                Offset { journal: journal.entries.random.token(), ..Offset::default() }
            }
        };
        self.reach(Point::PartitionDrained).await?;
        // Not where it was recovered meanwhile: writes may have been journaled since.
        journal.give_up(partition, (&offset.journal, CLOSED), offset.epoch).await
    }

    /// Whether nothing is left to drain and nothing can be journaled in this epoch. Comes nearer to it
    /// if not.
    async fn is_drained(&self, partition: u32, offset: &Offset) -> Result<bool> {
        let journal = self.old;
        let (epoch, entries) = (offset.epoch, &journal.entries);
        let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
        if !is_sound(&meta, offset) {
            journal.recover(partition).await?;
            return Ok(false);
        }
        journal.check_identity(&meta, offset)?;
        let seal = async |may_be_left| {
            let sealed = entries.backend.seal(&entries.keys, partition, epoch, may_be_left).await;
            sealed.map_err(CacheError::into_error)
        };
        if seal(true).await?.is_none() {
            return Ok(false);
        }
        self.reach(Point::PartitionSealed).await?;
        // The store may have been restored to before what Redis knows it to have.
        if seal(false).await? == Some(offset.last_id) {
            return Ok(true);
        }
        self.drain(partition).await?;
        Ok(false)
    }

    async fn drain_all(&self) -> Result<()> {
        let partitions = stream::iter(self.old.partitions());
        let drains = partitions.map(|partition| self.drain(partition));
        drains.buffer_unordered(AT_A_TIME).try_collect().await
    }

    /// Drains an old partition once, or removes what came back of one that is closed; an error if only a
    /// person can mend what is in the way.
    async fn drain(&self, partition: u32) -> Result<()> {
        let journal = self.old;
        let waits = || self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |reason: &str| drop(waits().insert(partition, reason.to_owned()));
        let ending = patient(journal, partition, &journal.entries.random.token(), told).await;
        if !matches!(ending, Ending::Failed(_)) {
            waits().remove(&partition);
        }
        match ending {
            Ending::Failed(Trouble::Lasting(reason)) => Err(Error::new(
                ErrorKind::Dirty,
                format!(
                    "the number of partitions is not changed while partition {partition} cannot be \
                     drained: {reason}"
                ),
            )),
            Ending::Failed(Trouble::Passing(reason)) => {
                tracing::debug!(reason, partition, "draining before the number is changed failed");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What new partitions must be above of.
    async fn floor(&self) -> Result<Floor> {
        let mut floor = Floor::default();
        for partition in self.old.partitions() {
            let offset = self.old.offset(partition).await.map_err(StoreError::into_error)?;
            let meta = self.old.meta(partition).await.map_err(CacheError::into_error)?;
            let Offset { epoch, last_id, .. } = offset.unwrap_or_default();
            floor.epoch = floor.epoch.max(epoch).max(meta.epoch);
            floor.version = floor.version.max(last_id).max(meta.clock);
        }
        Ok(floor)
    }

    async fn reach(&self, point: Point) -> Result<()> {
        let reached = failpoint::reach(point, self.old.name()).await;
        reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
    }

    fn late(&self) -> Error {
        let (closed, of) = (self.closed.load(Ordering::Relaxed), self.old.partitions().len());
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let waits =
            waits.iter().next().map(|(partition, why)| format!(" (partition {partition}: {why})"));
        Error::new(
            ErrorKind::Dirty,
            format!(
                "the number of partitions was not changed in time: {closed} of {of} old partitions are \
                 drained and closed{}. Nothing is lost: see whether the store takes writes \
                 (`Cache::health`), and call it again",
                waits.unwrap_or_default()
            ),
        )
        .retryable()
    }
}

fn is_sound(meta: &Meta, offset: &Offset) -> bool {
    meta.exists()
        && meta.is_at_home()
        && meta.epoch == offset.epoch
        && offset.settled == offset.epoch
        && meta.clock >= offset.last_id
}

fn overtaken() -> Error {
    let message = "another process changes the number of partitions: call it again";
    Error::new(ErrorKind::Fenced, message).retryable()
}
