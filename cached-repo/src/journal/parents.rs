//! The order between entities: what was journaled of the parents of an entity, and is to be in the store
//! before what was journaled of the entity itself.

use futures_util::future::try_join_all;

use super::{Journal, Target, moved::recorded};
use crate::{
    backend::{CacheError, journal::Meta},
    error::Result,
    key::{Keyspace, Topology},
    layout::{FACT, Recorded},
    store::{Entry, Ledger, StoreError},
};

/// What the registry of an entity calls its parents.
pub(crate) const AFTER: &str = "after";
/// What every entity has in its registry that a process ever built.
pub(crate) const KNOWN: &str = "protocol";

/// These entities, as the registry has them: in whatever order they were named.
pub(crate) fn listed(parents: &[Keyspace]) -> String {
    let mut names: Vec<_> = parents.iter().map(Keyspace::prefix).collect();
    names.sort_unstable();
    names.join(",")
}

/// Up to where one partition of a parent was journaled when somebody looked.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// The parent's. It is kept beside the journal that looked, which may be replaced meanwhile.
    keys: Keyspace,
    pub(crate) partition: u32,
    journal: String,
    epoch: u64,
    version: u64,
}

impl Tail {
    /// Nobody knows yet how far it goes.
    fn unknown(keys: &Keyspace, partition: u32) -> Self {
        Self { keys: keys.clone(), partition, journal: String::new(), epoch: 0, version: 0 }
    }

    /// The prefix of its entity.
    pub(crate) fn prefix(&self) -> &str {
        self.keys.prefix()
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
    pub(crate) async fn tails(&self) -> Result<Vec<Tail>> {
        let (entries, parents) = (&self.entries, &self.parents);
        let mut tails = Vec::new();
        if entries.backend.topology() == Topology::Standalone {
            // One key has the partitions of all entities, as they are, whatever their number.
            let backlog = entries.backend.backlog(&entries.keys).await;
            for (prefix, partition, _) in backlog.map_err(CacheError::into_error)? {
                let parent = parents.iter().find(|keys| keys.prefix() == prefix);
                tails.extend(parent.map(|keys| Tail::unknown(keys, partition)));
            }
        } else {
            for parent in parents {
                let Some(keys) = self.laid_out(parent).await? else { continue };
                let backlog =
                    entries.backend.backlog(&keys).await.map_err(CacheError::into_error)?;
                tails.extend(
                    backlog.iter().map(|(_, partition, _)| Tail::unknown(parent, *partition)),
                );
            }
        }
        self.ahead(tails).await.map_err(CacheError::into_error)
    }

    /// Those of the tails that the store has not reached.
    pub(crate) async fn ahead(&self, tails: Vec<Tail>) -> Result<Vec<Tail>, CacheError> {
        let backend = &self.entries.backend;
        let metas = tails.iter().map(|tail| backend.meta(&tail.keys, tail.partition));
        let metas = try_join_all(metas).await?;
        Ok(tails.into_iter().zip(&metas).filter_map(|(tail, meta)| tail.against(meta)).collect())
    }

    /// The parents that no process has built in this namespace.
    pub(crate) async fn strangers(&self) -> Result<Vec<&str>, CacheError> {
        let mut strangers = Vec::new();
        for keys in &self.parents {
            // Redis may have forgotten what this process knows.
            let is_here = self.roster.journal(keys.prefix()).is_some();
            if !is_here && self.fact(keys, KNOWN).await?.is_empty() {
                strangers.push(keys.prefix());
            }
        }
        Ok(strangers)
    }

    /// What another process of this entity has said of `after`, if that is something else.
    pub(crate) async fn contradiction(&self) -> Result<Option<String>, CacheError> {
        let keys = &self.entries.keys;
        let (own, recorded) = (listed(&self.parents), self.fact(keys, AFTER).await?);
        // Where Redis has forgotten all that was recorded, nobody contradicts.
        if recorded == own || self.fact(keys, KNOWN).await?.is_empty() {
            return Ok(None);
        }
        let said = |names: String| if names.is_empty() { "nobody".to_owned() } else { names };
        Ok(Some(format!(
            "`{}` is drained after {} here, and after {} by another process, as that one's `after` says: \
             say the same everywhere, or the order holds only for what the one drains that names the parent",
            self.prefix(),
            said(own),
            said(recorded)
        )))
    }

    /// Partitions of parents whose store was restored to before what Redis knows it to have: rows of these
    /// may come back.
    pub(crate) async fn replaying_parents(&self) -> Result<Vec<Target>> {
        let mut replaying = Vec::new();
        for parent in &self.parents {
            let Some(keys) = self.laid_out(parent).await? else { continue };
            for partition in keys.layout().range() {
                let meta = self.entries.backend.meta(&keys, partition).await;
                let acked = meta.map_err(CacheError::into_error)?.acked;
                let find = Ledger::Offset { entity: keys.ledger_name(), partition };
                let found = self.store.ledger(find).await.map_err(StoreError::into_error)?;
                let Entry::Offset(found) = found else { continue };
                if found.map_or(0, |offset| offset.last_id) < acked {
                    let prefix = keys.prefix().to_owned();
                    self.roster.nudge(&prefix, partition);
                    replaying.push(Target { prefix, partition });
                }
            }
        }
        Ok(replaying)
    }

    /// The keyspace of a parent with the partitions that it has; `None` if nothing was ever journaled of it.
    async fn laid_out(&self, keys: &Keyspace) -> Result<Option<Keyspace>> {
        let fact = self.fact(keys, FACT).await.map_err(CacheError::into_error)?;
        let recorded = match fact.parse() {
            Ok(recorded) => Some(recorded),
            // Redis may have forgotten it. The store was told with the first journal.
            Err(()) => {
                recorded(&self.store, keys.ledger_name()).await?.map(|(recorded, _)| recorded)
            }
        };
        Ok(recorded.map(|Recorded { now, .. }| keys.clone().laid_out(now)))
    }

    async fn fact(&self, keys: &Keyspace, name: &'static str) -> Result<String, CacheError> {
        let asked = [(name, String::new())];
        let answer = self.entries.backend.register(keys, &asked).await?;
        Ok(answer.into_iter().next().unwrap_or_default())
    }

    /// Tells the worker of this process what is waited for.
    pub(crate) fn nudge_parents(&self, tails: &[Tail]) {
        for tail in tails {
            self.roster.nudge(tail.prefix(), tail.partition);
        }
    }
}
