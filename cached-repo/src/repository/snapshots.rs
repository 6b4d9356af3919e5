//! Copying what `redis_only` keeps to the store.

use std::sync::Arc;

use tracing::Instrument;

use super::Repository;
use crate::{
    entity::CachedEntity,
    error::{Error, Result},
    journal::Copying,
    strategy::Strategy,
    worker::{self, Snapshot, Taken},
};

impl<E: CachedEntity> Repository<E> {
    /// Copies what changed since the last snapshot to the store now, and what the store refused before
    /// once more.
    ///
    /// When it returns `Ok` and [`Snapshot::is_complete`], then for each id that was ever written under
    /// `redis_only` the store has what Redis had at a moment between call and return: the entity, or no
    /// row where it was deleted or had expired. The moments may be different ones. Rows of other ids are
    /// left alone.
    ///
    /// It goes on where an earlier one was cut off, and waits for other processes that are at it. It takes
    /// as long as there is to copy; what was copied stays copied when the future is dropped, or after an
    /// error. [`counts`](Self::counts) shows how far it is.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) for a repository that is not under `redis_only`
    /// with a store that takes journals, or whose entity was exported; `CacheUnavailable` and
    /// `StoreUnavailable` where it may work later; [`Store`](crate::ErrorKind::Store) where the store as a
    /// whole refuses.
    pub async fn snapshot_now(&self) -> Result<Snapshot> {
        let copying = self.copying("snapshot_now")?;
        let copied = worker::copy_all(&copying, true, Taken::Wait).instrument(self.span("snapshot_now"));
        copied.await.map_err(|e| self.name("snapshot_now", e))
    }

    fn copying(&self, operation: &'static str) -> Result<Arc<Copying>> {
        let copying = self.shared.copying.clone();
        copying.ok_or_else(|| {
            let message = match self.shared.strategy {
                Strategy::RedisOnly => {
                    "it needs a store that takes journals: call `.store(&db)` on the builder"
                }
                _ => "it is for repositories under `redis_only`",
            };
            self.name(operation, Error::configuration(message))
        })
    }
}
