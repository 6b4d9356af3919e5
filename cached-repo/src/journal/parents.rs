//! The order between entities: what was journaled of the parents of an entity, and is to be in the store
//! before what was journaled of the entity itself.

use futures_util::future::try_join_all;

use super::Journal;
use crate::{
    backend::{CacheError, journal::Meta},
    key::{Keyspace, Topology},
    layout::{FACT, Recorded},
};

/// What the registry of an entity calls its parents.
pub(crate) const AFTER: &str = "after";
/// What every entity has in its registry that a process ever built.
pub(crate) const KNOWN: &str = "protocol";

/// Up to where one partition of a parent was journaled when somebody looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    /// By its place among the parents.
    parent: usize,
    pub(crate) partition: u32,
    journal: String,
    epoch: u64,
    version: u64,
}

impl Tail {
    /// Nobody knows yet how far it goes.
    fn unknown(parent: usize, partition: u32) -> Self {
        Self { parent, partition, ..Self::default() }
    }

    /// How it stands according to what is known of the partition now; `None` if the store has reached it.
    fn against(self, meta: &Meta) -> Option<Self> {
        // Also where the journal is gone, which its recovery reports.
        if meta.backlog() == 0 {
            return None;
        }
        let Meta { journal, epoch, clock, .. } = meta;
        if self.journal == *journal && self.epoch == *epoch {
            return (meta.acked < self.version).then_some(self);
        }
        // Recovered since, or not looked at yet: what is there now has all that is left of it.
        Some(Self { journal: journal.clone(), epoch: *epoch, version: *clock, ..self })
    }
}

impl Journal {
    /// Where parents have something that is not in the store. Everything that was journaled of them before
    /// the call is in the store once all of these were [reached](Self::ahead).
    pub(crate) async fn tails(&self) -> Result<Vec<Tail>, CacheError> {
        let (entries, parents) = (&self.entries, &self.parents);
        let mut tails = Vec::new();
        if entries.backend.topology() == Topology::Standalone {
            // One key has the partitions of all entities, as they are, whatever their number.
            for (prefix, partition, _) in entries.backend.backlog(&entries.keys).await? {
                let parent = parents.iter().position(|keys| keys.prefix() == prefix);
                tails.extend(parent.map(|parent| Tail::unknown(parent, partition)));
            }
        } else {
            for (parent, keys) in parents.iter().enumerate() {
                let Some(keys) = self.laid_out(keys).await? else { continue };
                let backlog = entries.backend.backlog(&keys).await?;
                tails.extend(
                    backlog.iter().map(|(_, partition, _)| Tail::unknown(parent, *partition)),
                );
            }
        }
        self.ahead(tails).await
    }

    /// Those of the tails that the store has not reached.
    pub(crate) async fn ahead(&self, tails: Vec<Tail>) -> Result<Vec<Tail>, CacheError> {
        let metas = try_join_all(
            tails
                .iter()
                .map(|tail| self.entries.backend.meta(&self.parents[tail.parent], tail.partition)),
        );
        let metas = metas.await?;
        Ok(tails.into_iter().zip(&metas).filter_map(|(tail, meta)| tail.against(meta)).collect())
    }

    /// The prefix of a tail's entity.
    pub(crate) fn parent_of(&self, tail: &Tail) -> &str {
        self.parents[tail.parent].prefix()
    }

    /// The parents that no process has built in this namespace.
    pub(crate) async fn strangers(&self) -> Result<Vec<&str>, CacheError> {
        let mut strangers = Vec::new();
        for keys in &self.parents {
            if self.fact(keys, KNOWN).await?.is_empty() {
                strangers.push(keys.prefix());
            }
        }
        Ok(strangers)
    }

    /// The keyspace of a parent with the partitions that it has; `None` if nobody has built it.
    async fn laid_out(&self, keys: &Keyspace) -> Result<Option<Keyspace>, CacheError> {
        let recorded: Option<Recorded> = self.fact(keys, FACT).await?.parse().ok();
        Ok(recorded.map(|recorded| keys.clone().laid_out(recorded.now)))
    }

    async fn fact(&self, keys: &Keyspace, name: &'static str) -> Result<String, CacheError> {
        let asked = [(name, String::new())];
        let answer = self.entries.backend.register(keys, &asked).await?;
        Ok(answer.into_iter().next().unwrap_or_default())
    }

    /// Tells the worker of this process what is waited for.
    pub(crate) fn nudge_parents(&self, tails: &[Tail]) {
        for tail in tails {
            self.roster.nudge(self.parent_of(tail), tail.partition);
        }
    }
}
