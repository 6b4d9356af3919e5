//! That the number of an entity's partitions was changed: what is recorded of it, and what those are told
//! who know the old one.
//!
//! The store says which partitions count. Redis has a copy, for those without a store.

use super::Journal;
use crate::{
    error::{Error, ErrorKind, Result},
    layout::{CLOSED, LAYOUT_ROW, Recorded},
    store::{Entry, Ledger, Offset, SharedStore, StoreError},
};

/// What the store knows of an entity's partitions, if their number was ever changed; with the epoch of
/// that knowledge.
pub(crate) async fn recorded(store: &SharedStore, entity: &str) -> Result<Option<(Recorded, u64)>> {
    let find = Ledger::Offset { entity, partition: LAYOUT_ROW };
    let Entry::Offset(found) = store.ledger(find).await.map_err(StoreError::into_error)? else {
        return Err(Error::new(ErrorKind::Internal, "the store did not answer an offset"));
    };
    let Some(Offset { home, epoch, .. }) = found else { return Ok(None) };
    let recorded = home.parse().map_err(|()| unreadable(&home))?;
    Ok(Some((recorded, epoch)))
}

/// What is recorded is of a release that does not exist yet, or was edited.
pub(crate) fn unreadable(text: &str) -> Error {
    Error::configuration(format!(
        "what is recorded of the entity's partitions, {text:?}, cannot be read: a newer release of this \
         crate may have changed their number"
    ))
}

/// What those are told who come while the number is being changed.
pub(crate) fn moving(from: u32, to: u32) -> Error {
    Error::configuration(format!(
        "the number of partitions of this entity is being changed from {from} to {to}. Nothing is \
         written meanwhile: start this process with {to} when that is done. If it was cut off, call \
         `RepositoryBuilder::repartition` again"
    ))
}

impl Journal {
    /// Refuses to recover a partition that was given up, or is about to be. With an entity's first journal
    /// it tells the store which partitions there are: Redis may forget it.
    pub(super) async fn check_layout(&self, before: Option<&Offset>) -> Result<()> {
        let is_closed = before.is_some_and(|before| before.home == CLOSED);
        if self.settings.moves && !is_closed {
            return Ok(());
        }
        let layout = self.entries.keys.layout();
        match recorded(&self.store, self.name()).await? {
            Some((Recorded { now, next: Some(next) }, _)) => Err(moving(now.count, next)),
            Some((recorded, _)) if is_closed || recorded.now != layout => Err(moved()),
            None if is_closed => Err(moved()),
            None if before.is_none() => {
                let (home, token) =
                    (Recorded::settled(layout).to_string(), self.entries.random.token());
                // If somebody else did it, that is as good.
                self.give_up(LAYOUT_ROW, (&token, &home), 0).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Raises the epoch of a row of the store that is none of a journal, or of one that is closed: nobody
    /// settles it. False where it is in another epoch than was seen.
    pub(crate) async fn give_up(
        &self,
        partition: u32,
        (journal, home): (&str, &str),
        seen: u64,
    ) -> Result<bool> {
        let entity = self.name();
        let raise = Ledger::Recover { entity, partition, journal, home, epoch_min: 0, seen };
        match self.store.ledger(raise).await.map_err(StoreError::into_error)? {
            Entry::Offset(raised) => Ok(raised.is_some()),
            _ => Err(Error::new(ErrorKind::Internal, "the store did not answer an offset")),
        }
    }
}

/// Whether a write of this epoch is drained because its partition was closed then: only a journal that
/// is drained to its end is.
pub(super) fn is_closed_behind(offset: &Offset, epoch: u64, version: u64) -> bool {
    offset.home == CLOSED && offset.epoch == epoch + 1 && offset.last_id >= version
}

/// Refuses a partition that was given up.
pub(super) fn check_open(offset: &Offset) -> Result<()> {
    if offset.home == CLOSED { Err(moved()) } else { Ok(()) }
}

fn moved() -> Error {
    Error::configuration(
        "the number of partitions of this entity was changed after this process had started: start it \
         anew with the new number",
    )
}
