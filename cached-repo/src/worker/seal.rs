//! Sealing a journal that is not used any more, so that store-first writes may do without Redis.
//!
//! Redis first: from then on nothing can be journaled before a recovery, which raises the store's
//! epoch. So when the store's record is made, in the same epoch, the journal is empty and stays so.

use std::sync::Arc;

use super::ending::Ending;
use crate::{
    journal::Journal,
    store::{Entry, Ledger},
};

/// Seals a partition, if it is drained. If not, or if that fails, nothing is lost but the sealing.
pub(super) async fn seal(journal: Arc<Journal>, partition: u32) -> Ending {
    if let Err(reason) = try_seal(&journal, partition).await {
        tracing::debug!(reason, partition, "the journal was not sealed");
    }
    Ending::Idle
}

async fn try_seal(journal: &Journal, partition: u32) -> Result<(), String> {
    let meta = journal.meta(partition).await.map_err(|e| e.to_string())?;
    if !meta.exists() || !meta.is_at_home() || meta.backlog() > 0 {
        return Ok(());
    }
    let entries = &journal.entries;
    let sealed = entries.backend.seal(&entries.keys, partition, meta.epoch).await;
    let Some(last_id) = sealed.map_err(|e| e.to_string())? else { return Ok(()) };
    let (entity, epoch) = (journal.name(), meta.epoch);
    let sealed = journal.store.ledger(Ledger::Seal { entity, partition, epoch, last_id }).await;
    match sealed.map_err(|e| e.to_string())? {
        Entry::Changed(true) => Ok(()),
        _ => Err("the store is in another epoch or at another position".to_owned()),
    }
}
