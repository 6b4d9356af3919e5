//! Write-behind: the entry and a journal record are written in one step; the worker carries it to the
//! store.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Flow, Outage, Parts, Reading, Saved,
    loader::{Loader, Patience},
    store_first::{Afterwards, StoreFirst},
};
use crate::{
    change::{Change, EntityId},
    error::{Error, Outcome, Result},
    journal::{Journal, Receipt},
};

/// See [`Strategy::WriteBehind`](super::Strategy::WriteBehind).
#[derive(Debug)]
pub(super) struct WriteBehind {
    loader: Arc<Loader>,
    journal: Arc<Journal>,
    /// For what the journal has no room for, where it is to be written through. Redis answered a moment
    /// ago, so a write that it cannot be told of is none.
    overflow: Arc<StoreFirst>,
}

impl WriteBehind {
    pub(super) fn new(parts: Parts, journal: Arc<Journal>) -> Self {
        let store = Arc::clone(&journal.store);
        let parts = Parts { outage: Outage::Strict, ..parts };
        let overflow = Arc::new(StoreFirst::new(&parts, Arc::clone(&store), Afterwards::Put));
        let loader = Arc::new(Loader::new(&parts, store, Patience::ForHolder));
        Self { loader, journal, overflow }
    }

    async fn append(
        journal: Arc<Journal>,
        overflow: Arc<StoreFirst>,
        changes: Vec<Change>,
    ) -> Result<Vec<Saved>> {
        for change in &changes {
            let checked = journal.store.check(&journal.entries.schema, change);
            checked.map_err(|e| Error::invalid(e.to_string()).of(change.id()))?;
        }
        let receipts = journal.append(&changes).await?;
        let journaled: Vec<Receipt> = receipts.iter().flatten().cloned().collect();
        let rest = changes.into_iter().zip(&receipts).filter(|(_, receipt)| receipt.is_none());
        let rest: Vec<Change> = rest.map(|(change, _)| change).collect();
        let mut stored = Vec::new();
        if !rest.is_empty() {
            let written = overflow.write(rest).await;
            stored = written.map_err(|error| match journaled.is_empty() {
                true => error,
                false => error.outcome_is(Outcome::Unknown),
            })?;
        }
        let reached = journal.confirm(&journaled).await?;
        let mut stored = stored.into_iter();
        let saved = receipts.into_iter().filter_map(|receipt| match receipt {
            Some(receipt) => Some(Saved::journaled(&journal, receipt, reached)),
            None => stored.next(),
        });
        Ok(saved.collect())
    }
}

impl Flow for WriteBehind {
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a> {
        Box::pin(self.loader.read(ids))
    }

    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>> {
        let (journal, overflow) = (Arc::clone(&self.journal), Arc::clone(&self.overflow));
        Box::pin(super::detached(Self::append(journal, overflow, changes)))
    }
}
