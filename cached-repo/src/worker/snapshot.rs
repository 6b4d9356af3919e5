//! Copying what `redis_only` keeps to a store every so often, and when somebody asks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    copy::Copier,
    ending::Trouble,
    supervise::AbortOnDrop,
    survey::{Surveyed, TAKEN_WAIT, survey},
};
use crate::{
    clock::Random,
    error::{Error, ErrorKind, Result},
    journal::{Copying, Event, Roster},
    retry::Backoff,
};

/// What a snapshot has copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Entities that were written to the store.
    pub copied: u64,
    /// Entities that are gone from the store because they were deleted, or have expired.
    pub deleted: u64,
    /// Entities that the store refused, such as two with one value of a unique column. Each was told of
    /// ([`Event::CopyRefused`]).
    pub refused: u64,
    /// Entities that refer to a row that is not there (yet). They are tried again each time.
    pub postponed: u64,
    /// Changes that were made meanwhile: the next snapshot copies them.
    pub left: u64,
}

impl Snapshot {
    /// Whether the store has everything that was to be copied.
    pub fn is_complete(&self) -> bool {
        self.refused == 0 && self.postponed == 0
    }

    /// Adds what another snapshot has copied behind this one.
    pub(super) fn add(&mut self, later: Self) {
        let (copied, deleted) = (self.copied + later.copied, self.deleted + later.deleted);
        *self = Self { copied, deleted, ..later };
    }
}

/// How a snapshot is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    /// Whether what the store refused before is tried again.
    pub(crate) retries: bool,
    /// Whether what changed since another process began is wanted too. If not, what it is at is left to
    /// it.
    pub(crate) waits: bool,
    /// Whether partitions that are exported already are no error.
    pub(crate) skips_stored: bool,
}

/// Copies what changed before the call.
pub(crate) async fn copy_all(copying: &Copying, ask: Ask) -> Result<Snapshot> {
    let token = copying.journal.entries.random.token();
    let partitions: Vec<u32> = copying.journal.partitions().collect();
    let mut summary = Snapshot::default();
    loop {
        let surveyed = survey(copying, &token, ask.skips_stored).await?;
        if surveyed == Surveyed::Taken {
            if !ask.waits {
                return Ok(summary);
            }
            sleep(TAKEN_WAIT).await;
            continue;
        }
        if surveyed == Surveyed::All {
            copy_partitions(copying, &partitions, &token, ask, &mut summary).await?;
            return Ok(summary);
        }
        let part = Ask { retries: false, ..ask };
        copy_once(copying, &partitions, &token, part, &mut summary).await?;
    }
}

/// Copies what changed in these partitions before the call. What refers to a row that was copied behind it
/// is tried again, and what was referred to until then, as long as that helps.
pub(super) async fn copy_partitions(
    copying: &Copying,
    partitions: &[u32],
    token: &str,
    ask: Ask,
    summary: &mut Snapshot,
) -> Result<()> {
    let (mut ask, mut postponed) = (ask, u64::MAX);
    loop {
        let written = summary.copied + summary.deleted;
        copy_once(copying, partitions, token, ask, summary).await?;
        let is_more = summary.copied + summary.deleted > written;
        let helps = is_more && summary.postponed < postponed;
        // What was refused is told of once.
        (ask.retries, postponed) = (false, summary.postponed);
        if postponed == 0 || !helps {
            return Ok(());
        }
    }
}

async fn copy_once(
    copying: &Copying,
    partitions: &[u32],
    token: &str,
    ask: Ask,
    summary: &mut Snapshot,
) -> Result<()> {
    // All of these come again, and are counted as they are then.
    (summary.left, summary.postponed) = (0, 0);
    if ask.retries {
        summary.refused = 0;
    }
    for &partition in partitions {
        if ask.skips_stored && copying.standing(partition).await?.side.is_exported() {
            continue;
        }
        let copier = Copier::new(copying, partition, token);
        summary.left += loop {
            match copier.run(ask.retries, summary).await? {
                Some(left) => break left,
                None if !ask.waits => break 0,
                None => sleep(TAKEN_WAIT).await,
            }
        };
    }
    Ok(())
}

/// Copies what the roster says, every so often, until it is stopped.
pub(super) async fn keep(roster: Arc<Roster>, random: Random) {
    let mut tasks = JoinSet::new();
    let mut kept = HashMap::new();
    loop {
        for copying in roster.copyings() {
            kept.entry(copying.prefix().to_owned()).or_insert_with(|| {
                tasks.spawn(keep_one(copying, Arc::clone(&roster), random.clone()))
            });
        }
        tokio::select! {
            biased;
            () = roster.stopped() => break,
            () = roster.copyings_grew() => {}
        }
    }
    tasks.shutdown().await;
}

async fn keep_one(copying: Arc<Copying>, roster: Arc<Roster>, random: Random) {
    let Some(interval) = copying.interval else { return };
    let first = RETRY_FIRST.min(interval);
    let mut backoff = Backoff::new(first, interval);
    let mut next = copying.journal.entries.clock.now() + interval;
    loop {
        tokio::time::sleep_until(next).await;
        let began: Instant = copying.journal.entries.clock.now();
        next = match copy_apart(&copying).await {
            Ok(summary) => {
                backoff = Backoff::new(first, interval);
                well(&copying, &roster, &summary);
                // What takes longer than the interval begins again at its end.
                (began + interval).max(copying.journal.entries.clock.now())
            }
            Err(error) => {
                failed(&copying, &roster, error);
                copying.journal.entries.clock.now() + backoff.wait(&random)
            }
        };
    }
}

/// In a task of its own, so that a panic ends nothing else.
async fn copy_apart(copying: &Arc<Copying>) -> Result<Snapshot> {
    let task = Arc::clone(copying);
    let copied = tokio::spawn(async move { copy_all(&task, Ask::default()).await });
    let mut copied = AbortOnDrop(copied);
    match (&mut copied.0).await {
        Ok(copied) => copied,
        Err(stopped) => {
            let entity = copying.journal.name().to_owned();
            copying.journal.roster.listener.tell(&Event::CopyingPanicked { entity });
            Err(Error::new(ErrorKind::Internal, "copying panicked").caused_by(stopped))
        }
    }
}

fn well(copying: &Copying, roster: &Roster, summary: &Snapshot) {
    let entity = copying.journal.name().to_owned();
    let Snapshot { copied, deleted, refused, postponed, left } = *summary;
    tracing::debug!(entity, copied, deleted, refused, postponed, left, "a snapshot was copied");
    let postponed = (postponed > 0).then(|| {
        format!(
            "{postponed} entities refer to rows that are not there, or are still referred to; they are \
             tried again each time"
        )
    });
    let is_trouble = postponed.is_some();
    if roster.copy_trouble(copying.prefix(), postponed) && !is_trouble {
        roster.listener.tell(&Event::CopyingResumed { entity });
    }
}

fn failed(copying: &Copying, roster: &Roster, error: Error) {
    copying.journal.entries.counters.copy_failures.add(1);
    let entity = copying.journal.name().to_owned();
    let trouble = Trouble::from(error);
    let reason = trouble.reason().to_owned();
    tracing::debug!(entity, reason, "copying failed");
    let is_news = roster.copy_trouble(copying.prefix(), Some(reason.clone()));
    if is_news && matches!(trouble, Trouble::Lasting(_)) {
        roster.listener.tell(&Event::CopyingPaused { entity, reason });
    }
}

/// What failed is tried again after this, and then after longer, up to the interval.
const RETRY_FIRST: Duration = Duration::from_secs(1);
