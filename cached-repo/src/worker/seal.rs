//! Sealing a journal that is not used any more, so that store-first writes may do without Redis.
//!
//! Redis first: from then on nothing can be journaled before a recovery, which raises the store's
//! epoch. So when the store's record is made, in the same epoch, the journal is empty and stays so.

use std::sync::Arc;

use super::ending::{Ending, Trouble};
use crate::{
    journal::Journal,
    store::{Entry, Ledger},
};

/// Seals a partition, if it is drained. If not, or if that fails, nothing is lost but the sealing, which
/// is tried again.
pub(super) async fn seal(journal: Arc<Journal>, partition: u32) -> Ending {
    match try_seal(&journal, partition).await {
        Ok(()) => Ending::Idle,
        Err(reason) => {
            tracing::debug!(reason, partition, "the journal was not sealed");
            Ending::Failed(Trouble::Passing(reason))
        }
    }
}

pub(super) async fn try_seal(journal: &Journal, partition: u32) -> Result<(), String> {
    let meta = journal.meta(partition).await.map_err(|e| e.to_string())?;
    if !meta.exists() {
        return Ok(());
    }
    if !meta.is_at_home() || meta.backlog() > 0 {
        return Err("it is not drained".to_owned());
    }
    let entries = &journal.entries;
    let sealed = entries.backend.seal(&entries.keys, partition, meta.epoch, false).await;
    let sealed = sealed.map_err(|e| e.to_string())?;
    let last_id = sealed.ok_or_else(|| "somebody wrote to it".to_owned())?;
    let (entity, epoch) = (journal.name(), meta.epoch);
    let sealed = journal.store.ledger(Ledger::Seal { entity, partition, epoch, last_id }).await;
    match sealed.map_err(|e| e.to_string())? {
        Entry::Changed(true) => Ok(()),
        _ => Err("the store is in another epoch or at another position".to_owned()),
    }
}
