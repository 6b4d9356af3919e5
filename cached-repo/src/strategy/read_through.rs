//! Read-through: a miss is loaded by one process for all, a write goes to the store and removes the entry.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Flow, Parts, Reading, Saved,
    loader::{Loader, Patience},
    store_first::{Afterwards, StoreFirst},
};
use crate::{
    change::{Change, EntityId},
    error::Result,
    store::SharedStore,
};

/// A reader that meets another process filling waits for it a moment.
#[derive(Debug)]
pub(super) struct ReadThrough {
    loader: Arc<Loader>,
    writer: Arc<StoreFirst>,
}

impl ReadThrough {
    pub(super) fn new(parts: Parts, store: SharedStore) -> Self {
        Self {
            loader: Arc::new(Loader::new(&parts, store.clone(), Patience::ForHolder)),
            writer: Arc::new(StoreFirst::new(&parts, store, Afterwards::Invalidate)),
        }
    }
}

impl Flow for ReadThrough {
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a> {
        Box::pin(self.loader.read(ids))
    }

    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>> {
        Box::pin(self.writer.write(changes))
    }
}
