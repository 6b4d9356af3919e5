//! Write-behind: the entry and a journal record are written in one step; the worker carries it to the
//! store.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Flow, Parts, Reading, Saved,
    loader::{Loader, Patience},
};
use crate::{
    change::{Change, EntityId},
    error::{Error, Result},
    journal::Journal,
};

/// See [`Strategy::WriteBehind`](super::Strategy::WriteBehind).
#[derive(Debug)]
pub(super) struct WriteBehind {
    loader: Arc<Loader>,
    journal: Arc<Journal>,
}

impl WriteBehind {
    pub(super) fn new(parts: Parts, journal: Arc<Journal>) -> Self {
        let store = Arc::clone(&journal.store);
        Self { loader: Arc::new(Loader::new(&parts, store, Patience::ForHolder)), journal }
    }

    async fn append(journal: Arc<Journal>, changes: Vec<Change>) -> Result<Vec<Saved>> {
        for change in &changes {
            let checked = journal.store.check(&journal.entries.schema, change);
            checked.map_err(|e| Error::invalid(e.to_string()).of(change.id()))?;
        }
        let receipts = journal.append(changes).await?;
        let reached = journal.confirm(&receipts).await?;
        Ok(receipts.into_iter().map(|r| Saved::journaled(&journal, r, reached)).collect())
    }
}

impl Flow for WriteBehind {
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a> {
        Box::pin(self.loader.read(ids))
    }

    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>> {
        let journal = Arc::clone(&self.journal);
        Box::pin(super::detached(Self::append(journal, changes)))
    }
}
