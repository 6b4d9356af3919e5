//! The setting of snapshots, which `redis_only` alone can have.

use std::{sync::Arc, time::Duration};

use super::RepositoryBuilder;
use crate::{
    entity::CachedEntity,
    journal::{Copying, Journal},
    strategy::Strategy,
};

impl<E: CachedEntity> RepositoryBuilder<E> {
    /// How often what `redis_only` keeps is copied to the store, from 1 s to 30 days; `None` turns it off.
    /// For reporting: the copy is older than the entities by this long, and is never read by this
    /// repository. It needs a [`store`](Self::store) with the entity's table. The rows of deleted and of
    /// expired entities are removed; rows that were there before, of ids that were never written here, are
    /// left alone.
    ///
    /// Each process copies, and they keep out of each other's way. What failed is tried again;
    /// `Cache::health` and `CacheBuilder::on_event` tell of it. From the first copy on, no process may use
    /// another strategy for the entity before `Repository::export`. Defaults to the attribute, and without
    /// one to none.
    pub fn snapshot(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.snapshot = Some(interval.into());
        self
    }
}

/// The copying of an entity under `redis_only`, and the journal that is to be drained. Without snapshots
/// the store is only for those who call `import` and `export`.
pub(super) fn copying(
    strategy: Strategy,
    journal: Option<Arc<Journal>>,
    interval: Option<Duration>,
) -> (Option<Arc<Journal>>, Option<Arc<Copying>>) {
    if strategy != Strategy::RedisOnly {
        return (journal, None);
    }
    let copied = |journal: &Arc<Journal>| Arc::new(Copying::new(Arc::clone(journal), interval));
    let copying = journal.as_ref().map(copied);
    (journal.filter(|_| interval.is_some()), copying)
}
