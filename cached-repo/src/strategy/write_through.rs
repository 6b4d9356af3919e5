//! Write-through: as read-through, and a write goes to the store and then into the entry.

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
pub(super) struct WriteThrough {
    loader: Arc<Loader>,
    writer: Arc<StoreFirst>,
}

impl WriteThrough {
    pub(super) fn new(parts: Parts, store: SharedStore) -> Self {
        Self {
            loader: Arc::new(Loader::new(&parts, store.clone(), Patience::ForHolder)),
            writer: Arc::new(StoreFirst::new(&parts, store, Afterwards::Put)),
        }
    }
}

impl Flow for WriteThrough {
    fn read<'a>(&'a self, ids: &'a [EntityId]) -> Reading<'a> {
        Box::pin(self.loader.read(ids))
    }

    fn write(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Saved>>> {
        Box::pin(self.writer.write(changes))
    }
}
