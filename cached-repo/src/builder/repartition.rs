//! Changing the number of partitions of an entity that has data.

use std::{sync::Arc, time::Duration};

use super::{Ready, RepositoryBuilder, agreement};
use crate::{
    entity::CachedEntity,
    error::{Error, Result},
    journal::{Journal, JournalSettings, moving},
    key::Topology,
    layout::Recorded,
    worker,
};

impl<E: CachedEntity> RepositoryBuilder<E> {
    /// Changes the number of partitions of the entity to this builder's, on live data, within `deadline`.
    /// Processes that know the old number may be running: their writes are refused from then on, and
    /// what they had journaled is drained first, so that no acknowledged write is lost. Then start
    /// processes with the new number. Until that is done nobody writes; reads go on.
    ///
    /// What it does: it looks whether the journal can be drained at all; says that the number is being
    /// changed; lets each old partition take no journaled writes any more, drains it and closes it for
    /// ever; makes new partitions; and says that they count. Where the number is this builder's
    /// already, it does nothing. Receipts and dead letters from before stay good.
    ///
    /// It may fail, and its process may die, at any step: call it again, with the same number. Dropping
    /// the future is the same. Where it was called before, `build` refuses until it is done.
    ///
    /// # Errors
    ///
    /// `Dirty` if the journal cannot be drained, or not within `deadline`: the message says what to mend.
    /// [`Configuration`](crate::ErrorKind::Configuration) as [`build`](Self::build); where Redis is in
    /// cluster mode, whose keys have the partition in them; under `redis_only` and for a store that takes
    /// no journals, where nothing would stop old processes; for an entity that `redis_only` keeps with
    /// snapshots, or that was exported from it, whose partitions know that; and while it is being changed to yet another
    /// number. `CacheUnavailable` and `StoreUnavailable` when one of them does not answer.
    pub async fn repartition(self, deadline: Duration) -> Result<()> {
        let entity = self.schema.prefix().to_owned();
        let repartitioned = self.repartition_within(deadline).await;
        repartitioned.map_err(|error| error.during("repartition", &entity))
    }

    async fn repartition_within(self, deadline: Duration) -> Result<()> {
        let Ready { strategy, entries, store, settings, recorded, journals, parents, .. } =
            self.ready().await?;
        let (Recorded { now, next }, count) = (recorded, entries.keys.layout().count);
        if next.is_none() && now.count == count {
            return Ok(());
        }
        if entries.backend.topology() == Topology::Cluster {
            return Err(Error::configuration(
                "the number of partitions cannot be changed where Redis is in cluster mode: the key of \
                 each entry has the partition in it. Give the entity another prefix instead",
            ));
        }
        agreement::unmoved(&entries, now).await?;
        let store = store.filter(|_| journals && strategy.needs_store());
        let Some(store) = store else {
            return Err(Error::configuration(format!(
                "without a store that takes journals nothing would stop processes that know the old \
                 number: stop them all, delete the field `partitions` of the key `{}`, and start them \
                 with the new one",
                entries.keys.registry()
            )));
        };
        if let Some(next) = next.filter(|next| *next != count) {
            return Err(moving(now.count, next));
        }
        let Some(new) = now.behind(count) else {
            return Err(Error::configuration("the numbers of partitions are used up"));
        };
        let settings = JournalSettings { moves: true, ..settings };
        let roster = &self.cache.duties.roster;
        let [old, new] = [now, new].map(|layout| {
            let (entries, roster) = (Arc::new(entries.laid_out(layout)), Arc::clone(roster));
            Journal::new(entries, Arc::clone(&store), settings, roster).after(&parents)
        });
        worker::repartition(&old, &new, deadline).await
    }
}
