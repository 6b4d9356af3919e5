//! Making a partition that nobody uses yet, above what others were before it.

use super::seal::try_seal;
use crate::{
    backend::{CacheError, journal::Meta},
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::Journal,
    store::{Batch, Class, Journaled, Ledger, Offset, Position, Refused, StoreError},
};

/// What a new partition must be above of: else copies from before count again, or its writes are taken
/// for older ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    pub(super) epoch: u64,
    pub(super) version: u64,
}

/// How often it is tried: nobody else is there but who does the same.
const TRIES_MAX: usize = 20;

/// Makes a partition: its row in the store, with its position at the floor; then its journal in Redis,
/// by a recovery, which raises the clock and the generation; and seals both, because it is empty.
pub(super) async fn open(journal: &Journal, partition: u32, floor: Floor) -> Result<()> {
    for _ in 0..TRIES_MAX {
        if step(journal, partition, floor).await? {
            return Ok(());
        }
    }
    let message = "the new partitions could not be made: call it again";
    Err(Error::new(ErrorKind::Fenced, message).retryable())
}

/// One step nearer; true if nothing is left to do.
async fn step(journal: &Journal, partition: u32, floor: Floor) -> Result<bool> {
    let entity = journal.name();
    let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
    let offset = journal.offset(partition).await.map_err(StoreError::into_error)?;
    let Some(offset) = offset else {
        let meta = Meta { epoch: floor.epoch, ..meta };
        journal.raise(partition, &meta, 0).await?;
        reach(journal, Point::PartitionRaised).await?;
        return Ok(false);
    };
    let epoch = offset.epoch;
    let is_at_home = meta.exists() && meta.is_at_home() && meta.epoch == epoch;
    if is_at_home && meta.sealed && offset.sealed {
        return Ok(true);
    }
    if is_at_home && offset.settled == epoch && offset.last_id >= floor.version {
        if let Err(reason) = try_seal(journal, partition).await {
            tracing::debug!(reason, partition, "a new partition was not sealed");
        }
        return Ok(false);
    }
    let settle = Ledger::Settle { entity, partition, epoch };
    journal.store.ledger(settle).await.map_err(StoreError::into_error)?;
    if offset.last_id < floor.version {
        set_position(journal, partition, &offset, floor.version).await?;
        reach(journal, Point::PositionSet).await?;
        return Ok(false);
    }
    // Its recovery is no news then.
    let seal = Ledger::Seal { entity, partition, epoch, last_id: offset.last_id };
    journal.store.ledger(seal).await.map_err(StoreError::into_error)?;
    journal.recover(partition).await?;
    Ok(false)
}

/// Moves the position of an empty journal, which no recovery lets the clock fall behind.
async fn set_position(journal: &Journal, partition: u32, offset: &Offset, to: u64) -> Result<()> {
    let position = Position {
        entity: journal.name(),
        partition,
        journal: &offset.journal,
        epoch: offset.epoch,
        from: offset.last_id,
        to,
    };
    let (sources, unreadable) = (&[], &[]);
    let journaled =
        Journaled { position, sources, unreadable, coalesced: 0, refused: Refused::Fail };
    let deadline = journal.entries.clock.now() + journal.settings.store_timeout;
    let batch = Batch::new(&[], deadline).journaled(journaled);
    match journal.store.apply(&journal.entries.schema, batch).await {
        // Where it is now is seen in the next step.
        Err(error) if !matches!(error.class(), Class::Fenced | Class::Unknown) => {
            Err(error.into_error())
        }
        _ => Ok(()),
    }
}

async fn reach(journal: &Journal, point: Point) -> Result<()> {
    let reached = failpoint::reach(point, journal.name()).await;
    reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
}
