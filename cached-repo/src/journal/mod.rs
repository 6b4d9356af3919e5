//! The journal of one entity: writes that Redis has accepted and the store does not have yet.
//!
//! Each partition has a stream in Redis and a position in the store. A write is one step in Redis; a
//! drain is one transaction in the store that moves the position with the rows. Whichever of the two is
//! replaced, restarted or restored, the other one notices: see [`recover`].

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use crate::{
    backend::{
        CacheError,
        journal::{Bound, Meta},
    },
    cache::Entries,
    entity::OnFull,
    error::{Error, ErrorKind, Result},
    key::Keyspace,
    layout::Layout,
    store::{Entry, Ledger, Offset, SharedStore, StoreError},
};

mod append;
mod confirm;
mod copying;
mod events;
mod moved;
mod parents;
mod receipt;
mod recover;
mod roster;
mod wait;

pub(crate) use confirm::{DurabilitySettings, Reached};
pub(crate) use copying::{CopyPosition, Copying, Older, TRIES_MAX, busy, exported, fell_back};
pub use events::Event;
pub(crate) use events::Listener;
pub(crate) use moved::{moving, recorded, unreadable};
pub(crate) use parents::{AFTER, KNOWN, Tail, listed};
pub(crate) use receipt::Receipt;
pub(crate) use roster::{Roster, Target};

/// Settings of a journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalSettings {
    /// Of the entity; each partition has its share.
    pub(crate) bound: Bound,
    pub(crate) on_full: OnFull,
    pub(crate) durability: DurabilitySettings,
    /// Records of a drain.
    pub(crate) batch: usize,
    /// Whether of several records of one id in a batch only the last one is written.
    pub(crate) coalesce: bool,
    pub(crate) store_timeout: Duration,
    /// How long a write waits for a store-first write of the same entity.
    pub(crate) patience: Duration,
    /// Whether the repository writes to it. If not, it only drains what others wrote.
    pub(crate) written: bool,
    /// Whether it is that of who changes the number of partitions, and may do what all others may not then.
    pub(crate) moves: bool,
}

/// The journal of one entity.
pub(crate) struct Journal {
    pub(crate) entries: Arc<Entries>,
    pub(crate) store: SharedStore,
    pub(crate) settings: JournalSettings,
    pub(crate) roster: Arc<Roster>,
    partitions: Vec<Partition>,
    /// The entities whose writes the store has before those of this one.
    pub(crate) parents: Vec<Keyspace>,
    /// The server at which earlier partitions were last looked for.
    looked_at: std::sync::Mutex<String>,
}

/// What this process knows of a partition.
#[derive(Debug, Default)]
struct Partition {
    /// The highest version that was seen.
    seen: AtomicU64,
    /// One recovery at a time.
    recovering: Mutex<()>,
    /// Up to where a restored store gets again what Redis knew to be drained; 0 if it does not.
    replaying: AtomicU64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It stands in every receipt.
        write!(f, "Journal({})", self.name())
    }
}

impl Journal {
    pub(crate) fn new(
        entries: Arc<Entries>,
        store: SharedStore,
        settings: JournalSettings,
        roster: Arc<Roster>,
    ) -> Self {
        let layout = entries.keys.layout();
        let partitions = layout.range().map(|_| Partition::default()).collect();
        Self {
            entries,
            store,
            settings,
            roster,
            partitions,
            parents: Vec::new(),
            looked_at: std::sync::Mutex::default(),
        }
    }

    /// The same journal, drained behind those of these entities.
    pub(crate) fn after(self, parents: &[Keyspace]) -> Self {
        Self { parents: parents.to_vec(), ..self }
    }

    pub(crate) fn prefix(&self) -> &str {
        self.entries.schema.prefix()
    }

    /// What the store calls it.
    pub(crate) fn name(&self) -> &str {
        self.entries.keys.ledger_name()
    }

    pub(crate) fn target(&self, partition: u32) -> Target {
        Target { prefix: self.prefix().to_owned(), partition }
    }

    pub(crate) fn partitions(&self) -> std::ops::Range<u32> {
        self.entries.keys.layout().range()
    }

    pub(crate) fn nudge(&self, partition: u32) {
        self.roster.nudge(self.prefix(), partition);
    }

    /// Lets the worker look at what the entity had before the number of its partitions was changed, once
    /// for each server.
    pub(crate) fn nudge_earlier(&self, server: &str) {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if *looked_at != server {
            server.clone_into(&mut looked_at);
            (0..self.partitions().start).for_each(|partition| self.nudge(partition));
        }
    }

    /// The journal of a partition: this one, or one of its own for a partition that the entity had before
    /// their number was changed. `None` for one of a later change.
    pub(crate) fn of(self: Arc<Self>, partition: u32) -> Option<Arc<Self>> {
        let partitions = self.partitions();
        if partitions.contains(&partition) {
            return Some(self);
        }
        let entries = Arc::new(self.entries.laid_out(Layout { first: partition, count: 1 }));
        let (store, roster) = (Arc::clone(&self.store), Arc::clone(&self.roster));
        let earlier = || Self::new(entries, store, self.settings, roster).after(&self.parents);
        (partition < partitions.start).then(earlier).map(Arc::new)
    }

    pub(crate) async fn meta(&self, partition: u32) -> Result<Meta, CacheError> {
        self.entries.backend.meta(&self.entries.keys, partition).await
    }

    /// What the store keeps for a partition.
    pub(crate) async fn offset(&self, partition: u32) -> Result<Option<Offset>, StoreError> {
        let entity = self.name();
        match self.store.ledger(Ledger::Offset { entity, partition }).await? {
            Entry::Offset(offset) => Ok(offset),
            _ => Err(StoreError::systemic("the store did not answer an offset")),
        }
    }

    /// A partition's share of the bound.
    fn bound(&self) -> Bound {
        let partitions = u64::from(self.entries.keys.layout().count);
        let Bound { records, bytes } = self.settings.bound;
        Bound { records: records.div_ceil(partitions), bytes: bytes.div_ceil(partitions) }
    }

    fn partition(&self, partition: u32) -> Result<&Partition> {
        self.known(partition).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("there is no partition {partition}"))
        })
    }

    fn known(&self, partition: u32) -> Option<&Partition> {
        let index = partition.checked_sub(self.entries.keys.layout().first)?;
        self.partitions.get(index as usize)
    }

    /// Whether a restored store begins to get again what Redis knows to be drained. Told once, however
    /// many sessions that takes.
    pub(crate) fn replays(&self, partition: u32, acked: u64, last_id: u64) -> Result<bool> {
        let goal = if acked > last_id { acked } else { 0 };
        let before = self.partition(partition)?.replaying.swap(goal, Ordering::Relaxed);
        Ok(goal != 0 && before != goal)
    }

    fn saw(&self, partition: u32, version: u64) {
        if let Some(known) = self.known(partition) {
            known.seen.fetch_max(version, Ordering::Relaxed);
        }
    }
}
