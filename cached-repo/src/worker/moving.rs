//! Moving an entity between `redis_only` and the strategies with a store: what both directions share.
//!
//! While a partition moves nobody may write to it: whoever tries is refused. Each step may be the last one
//! of a process that dies: the same call goes on, and the other one is refused until it has.
//!
//! A mover draws a token, which stands beside the side of each partition that it turns over, and which each
//! of its later steps compares. One that was paused while others went on, were done, and moved the entity
//! once more, finds another token there, whatever the side is.

use std::{collections::HashSet, time::Duration};

use tokio::time::sleep;

use super::{
    copy::COPY_HOLD,
    survey::{TAKEN_WAIT, slots_of, survey_anew},
};
use crate::{
    backend::{
        CacheError, Side, Standing,
        snapshot::{Turn, Turned},
    },
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::{CopyPosition, Copying, Older, TRIES_MAX, busy},
};

/// Keys of a page, about so many.
const KEYS: usize = 500;
/// So many pages take no longer than others wait for a mover that died.
const PAGES_RENEWED: usize = 50;

/// One process that moves an entity, at one try.
pub(super) struct Mover<'a> {
    pub(super) copying: &'a Copying,
    pub(super) token: String,
}

/// Why a try ended early.
pub(super) enum Halt {
    /// Another process is at it, or was meanwhile: look again.
    Overtaken,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<CacheError> for Halt {
    fn from(error: CacheError) -> Self {
        Self::Failed(error.into_error())
    }
}

/// What one call knows of its tries.
#[derive(Default)]
pub(super) struct Tries {
    pub(super) was_overtaken: bool,
    /// The tokens that it has found or drawn.
    tokens: HashSet<String>,
}

impl Tries {
    pub(super) fn know(&mut self, found: &[(u32, Standing)]) {
        self.tokens.extend(found.iter().map(|(_, at)| at.turned_by.clone()));
    }

    pub(super) fn know_mover(&mut self, mover: &Mover<'_>) {
        self.tokens.insert(mover.token.clone());
    }

    /// Whether another mover has turned one of these since. Where there is none, Redis fell back.
    pub(super) fn finds_others(&self, found: &[(u32, Standing)]) -> bool {
        let is_new = |token: &str| !token.is_empty() && !self.tokens.contains(token);
        found.iter().any(|(_, at)| is_new(&at.turned_by))
    }
}

impl<'a> Mover<'a> {
    /// A mover, as soon as no other process is at it. `None` if one is: look again.
    pub(super) async fn begin(copying: &'a Copying) -> Result<Option<Self>> {
        let mover = Self { copying, token: copying.journal.entries.random.token() };
        if mover.hold().await? {
            return Ok(Some(mover));
        }
        sleep(TAKEN_WAIT).await;
        Ok(None)
    }

    /// What came of it; `None`: try again.
    pub(super) async fn end<T>(self, ended: Result<T, Halt>) -> Option<Result<T>> {
        let entries = &self.copying.journal.entries;
        // If it cannot be given back it ends by itself.
        drop(entries.backend.end_move(&entries.keys, &self.token).await);
        if let Err(error) = self.reach(Point::MoveEnded).await {
            return Some(Err(error));
        }
        match ended {
            Ok(done) => Some(Ok(done)),
            Err(Halt::Failed(error)) => Some(Err(error)),
            Err(Halt::Overtaken) => {
                sleep(TAKEN_WAIT).await;
                None
            }
        }
    }

    /// Keeps others waiting for a while longer. That only saves work, so nothing follows if it is too late, or
    /// fails.
    pub(super) async fn renew(&self) {
        drop(self.hold().await);
    }

    async fn hold(&self) -> Result<bool> {
        let entries = &self.copying.journal.entries;
        let renewed = entries.backend.take_move(&entries.keys, &self.token, MOVE_HOLD).await;
        renewed.map_err(CacheError::into_error)
    }

    /// Turns a partition over that is where it was seen; false if it is not.
    pub(super) async fn take(&self, partition: u32, seen: &Standing, to: Side) -> Result<bool> {
        let is_taken = self.turn(partition, (seen.side, &seen.turned_by), (to, None)).await?;
        self.reach(Point::SideTaken).await?;
        Ok(is_taken)
    }

    /// Turns a partition over that this mover has turned before; false if another one has since.
    pub(super) async fn pass(&self, partition: u32, from: Side, to: Side) -> Result<bool> {
        self.turn(partition, (from, &self.token), (to, None)).await
    }

    /// The same at the end of an import, which has opened the position in this epoch.
    pub(super) async fn keep(&self, partition: u32, epoch: u64) -> Result<bool> {
        let from = (Side::Importing, &*self.token);
        self.turn(partition, from, (Side::Kept, Some(epoch))).await
    }

    async fn turn(
        &self,
        partition: u32,
        (from, behind): (Side, &str),
        (to, epoch): (Side, Option<u64>),
    ) -> Result<bool> {
        let turn = Turn { token: &self.token, from: &[from], behind: Some(behind), to, epoch };
        Ok(matches!(self.copying.turn(partition, turn).await?, Turned::From(_)))
    }

    /// Opens the position of copies, which an export has sealed, and keeps copiers from before from it.
    pub(super) async fn raise(&self, partition: u32, side: Side) -> Result<CopyPosition, Halt> {
        for _ in 0..TRIES_MAX {
            // In this order: whoever overtakes this mover raises it behind that, so that this does nothing.
            let seen = self.copying.epoch(partition).await?;
            let standing = self.copying.standing(partition).await?;
            if standing.side != side || standing.turned_by != self.token {
                return Err(Halt::Overtaken);
            }
            self.reach(Point::EpochSeen).await?;
            // If it is another epoch by now, a copier began at the same time.
            if let Some(position) = self.copying.raise(partition, seen).await? {
                return Ok(position);
            }
        }
        Err(busy().into())
    }

    /// Opens the positions of those partitions that the store, in a state from before an import, says that it
    /// keeps. From then on everything is to be copied anew.
    pub(super) async fn reopen(&self, kept: &[(u32, Standing)]) -> Result<(), Halt> {
        let mut sealed_ones = Vec::new();
        for (partition, at) in kept {
            if let Some(Older::Store { sealed, noted }) = self.copying.older(*partition).await? {
                sealed_ones.push((*partition, at, sealed, noted));
            }
        }
        if sealed_ones.is_empty() {
            return Ok(());
        }
        // First, so that whoever ends in between has left nothing that looks as if it was copied.
        survey_anew(self.copying, &self.token).await?;
        for (partition, at, sealed, noted) in sealed_ones {
            self.reach(Point::EpochSeen).await?;
            let is_same = self.copying.standing(partition).await? == *at;
            if !is_same || self.copying.raise_above(partition, sealed, noted).await?.is_none() {
                return Err(Halt::Overtaken);
            }
        }
        Ok(())
    }

    /// Removes what `redis_only` has left behind in these partitions, which the store has.
    pub(super) async fn free(&self, partitions: &[(u32, String)]) -> Result<(), Halt> {
        if partitions.is_empty() {
            return Ok(());
        }
        let entries = &self.copying.journal.entries;
        let mut cursor = 0;
        for page in 0.. {
            if page % PAGES_RENEWED == 0 {
                self.renew().await;
            }
            let (next, found) = entries.backend.scan(&entries.keys, cursor, KEYS).await?;
            let slots = slots_of(entries, found).await?;
            self.reach(Point::EntriesFound).await?;
            for group in slots.chunk_by(|(one, _), (other, _)| one.partition == other.partition) {
                let partition = group[0].0.partition;
                let Some((_, token)) = partitions.iter().find(|(p, _)| *p == partition) else {
                    continue;
                };
                let keys: Vec<String> = group.iter().map(|(slot, _)| slot.entry.clone()).collect();
                let freed = entries.backend.free(&entries.keys, partition, &keys, token).await?;
                freed.ok_or(Halt::Overtaken)?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn reach(&self, point: Point) -> Result<()> {
        let reached = failpoint::reach(point, self.copying.ledger()).await;
        reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
    }
}

/// Where the partitions are.
pub(super) async fn standings(copying: &Copying) -> Result<Vec<(u32, Standing)>> {
    let mut found = Vec::new();
    for partition in copying.journal.partitions() {
        found.push((partition, copying.standing(partition).await?));
    }
    Ok(found)
}

/// What a mover is told that was overtaken, and finds that nothing of its move is left.
pub(super) fn moved() -> Error {
    Error::new(
        ErrorKind::Fenced,
        "other processes went on with this move, and then moved the entity back: it is left there. Call this \
         again if it is to be moved all the same",
    )
}

/// For how long a mover that died keeps others waiting.
const MOVE_HOLD: Duration = COPY_HOLD;
