//! Copying what `redis_only` keeps to the store.

use std::sync::Arc;

use tracing::Instrument;

use super::Repository;
use crate::{
    entity::CachedEntity,
    error::{Error, Result},
    journal::Copying,
    strategy::Strategy,
    worker::{self, Ask, Snapshot},
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
        let ask = Ask { retries: true, waits: true, skips_stored: false };
        let copied = worker::copy_all(&copying, ask).instrument(self.span("snapshot_now"));
        copied.await.map_err(|e| self.name("snapshot_now", e))
    }

    /// Moves an entity from the strategies with a store to `redis_only`: every row becomes an entity that
    /// Redis keeps. Answers how many rows there were; 0 where `redis_only` keeps the entity already.
    ///
    /// From its beginning on nobody may write to the entity: processes under any strategy may go on running,
    /// and their writes are refused ([`Dirty`](crate::ErrorKind::Dirty) under a strategy with a store,
    /// [`Fenced`](crate::ErrorKind::Fenced) and retryable under `redis_only`). What they had journaled is
    /// drained first, and a write to the store that had begun either is committed before the rows are read or
    /// fails. When it returns `Ok`, `redis_only` may write, and the others still may not. Until then reads
    /// under `redis_only` see a part of the entities only: let them begin afterwards. What `redis_only` kept
    /// already, beside the store, stays as it is.
    ///
    /// It goes page by page. When it fails, is dropped, or its process dies, call it again: nothing is lost,
    /// and writes are refused until then. Where another process is at it, it waits for that one, for one that
    /// died or says nothing up to 10 s, and answers 0 then if everything is imported. Call it when all
    /// processes run this version of the library: older ones know nothing of moves.
    ///
    /// Where `redis_only` keeps the entity, and the database came back in a state from before its import, it
    /// answers 0 as well, and the next snapshot copies everything anew.
    ///
    /// # Errors
    ///
    /// As [`snapshot_now`](Self::snapshot_now); `Fenced` if an [`export`](Self::export) is under way, or was
    /// cut off, or if others went on with this import while this process was paused, and have exported the
    /// entity since; `Undecodable` where a row is no entity; `Configuration` where Redis came back in a state
    /// from before an export.
    pub async fn import(&self) -> Result<u64> {
        let copying = self.copying("import")?;
        let imported = worker::import(&copying).instrument(self.span("import"));
        imported.await.map_err(|e| self.name("import", e))
    }

    /// Moves an entity from `redis_only` to the strategies with a store: copies everything to the store as a
    /// snapshot does, and removes it from Redis when the store has it.
    ///
    /// Processes may go on writing under `redis_only` while most is copied: what is acknowledged is copied. Then
    /// all partitions are turned over, and their writes are refused
    /// ([`Fenced`](crate::ErrorKind::Fenced)) while the rest is copied and all keys of Redis are scanned for what
    /// is to be removed; writes of the others are refused until that is done. When it returns `Ok`, the
    /// store has every write that was acknowledged, and repositories with a store can be built. Processes
    /// that go on running under `redis_only` can write no more, and what they read may be gone from Redis.
    /// Entities with a time to live have none in the store.
    ///
    /// When it fails, is dropped, or its process dies, call it again: nothing is lost. If it fails before the
    /// store has everything, `redis_only` goes on keeping the entity, unless Redis cannot be told so. If it
    /// fails later, or is cut off after the partitions were turned over, nobody may write until it was called
    /// again. Where another process is at it, it waits for that one; for one that died or says nothing up to
    /// 10 s. Rows of ids that `redis_only` never had stay, as with a snapshot. Call it when all processes run
    /// this version of the library.
    ///
    /// If the database came back in a state from before the last import, everything is copied anew. If it came
    /// back in a later one, delete the key `…@survey` of the entity in Redis first, which does the same: what
    /// Redis knows to be copied may be missing there.
    ///
    /// # Errors
    ///
    /// As [`snapshot_now`](Self::snapshot_now); [`Refused`](crate::ErrorKind::Refused) if the store does not
    /// take all entities: then `redis_only` goes on keeping them; `Fenced` if an
    /// [`import`](Self::import) is under way, or was cut off, or if others went on with this export while
    /// this process was paused, and have imported the entity since; `Configuration` if Redis came back in a
    /// state from before that while the store had taken the entity already.
    pub async fn export(&self) -> Result<Snapshot> {
        let copying = self.copying("export")?;
        let exported = worker::export(&copying).instrument(self.span("export"));
        exported.await.map_err(|e| self.name("export", e))
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
