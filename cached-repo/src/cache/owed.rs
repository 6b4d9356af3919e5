//! Invalidations that Redis could not take yet: bounded, retried until they are done.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::entries::Entries;
use crate::{change::EntityId, clock::Random, key::Slot, retry::Backoff};

/// So many keys are remembered; further ones keep their entry until its time to live is over.
const OWED_MAX: usize = 10_000;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The keys whose entries may be older than the store, with the token of the write that knows.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    keys: Mutex<BTreeMap<String, (Slot, String)>>,
    /// How many there are, so that the usual read (none) takes no lock.
    len: AtomicUsize,
    /// Whether a task is at work.
    working: AtomicBool,
}

/// The task that is at work. When it ends, or its runtime does, another one may start.
struct Working(Weak<Entries>);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(entries) = self.0.upgrade() {
            entries.owed.working.store(false, Ordering::Release);
        }
    }
}

impl Owed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Slot, String)>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers keys; tells how many did not fit.
    fn add(&self, slots: Vec<Slot>, token: &str) -> usize {
        let mut keys = self.lock();
        let mut lost = 0;
        for slot in slots {
            if keys.len() < OWED_MAX || keys.contains_key(&slot.entry) {
                keys.insert(slot.entry.clone(), (slot, token.to_owned()));
            } else {
                lost += 1;
            }
        }
        self.len.store(keys.len(), Ordering::Release);
        lost
    }

    /// Ends the work of the one task, unless somebody owes again by now.
    fn rest(&self) -> bool {
        self.working.store(false, Ordering::Release);
        self.len.load(Ordering::Acquire) == 0 || self.working.swap(true, Ordering::AcqRel)
    }

    fn all(&self) -> Vec<(Slot, String)> {
        self.lock().values().cloned().collect()
    }

    /// Forgets what was done, unless another write owes the same key by now; tells whether all is.
    fn settle(&self, done: &[(Slot, String)]) -> bool {
        let mut keys = self.lock();
        for (slot, token) in done {
            if keys.get(&slot.entry).is_some_and(|(_, owner)| owner == token) {
                keys.remove(&slot.entry);
            }
        }
        self.len.store(keys.len(), Ordering::Release);
        keys.is_empty()
    }
}

impl Entries {
    /// How many invalidations are left for later.
    #[cfg(feature = "testing")]
    pub(crate) fn owes(&self) -> usize {
        self.owed.len.load(Ordering::Acquire)
    }

    /// Those of the ids whose entries must not be believed.
    pub(crate) fn owed(&self, ids: &[EntityId]) -> HashSet<EntityId> {
        if self.owed.len.load(Ordering::Acquire) == 0 {
            return HashSet::new();
        }
        let keys = self.owed.lock();
        let is_owed = |id: &&EntityId| keys.contains_key(&self.keys.slot(id).entry);
        ids.iter().filter(is_owed).cloned().collect()
    }

    /// Leaves the invalidation of these slots for later. Until it is done, this process reads them
    /// from the store; other processes may read the old entry as long as it lives.
    pub(crate) fn owe(self: &Arc<Self>, slots: Vec<Slot>, token: &str) {
        self.counters.invalidations_owed.add(slots.len());
        let lost = self.owed.add(slots, token);
        if lost > 0 {
            self.counters.invalidations_lost.add(lost);
            tracing::error!(lost, "too many invalidations are owed: entries live out their time");
        }
        if !self.owed.working.swap(true, Ordering::AcqRel) {
            // The task must not keep a repository alive that nobody holds any more.
            let working = Working(Arc::downgrade(self));
            tokio::spawn(settle_all(working, self.random.clone()));
        }
    }
}

async fn settle_all(mut working: Working, random: Random) {
    let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
    loop {
        tokio::time::sleep(backoff.wait(&random)).await;
        let Some(entries) = working.0.upgrade() else { return };
        let owed = entries.owed.all();
        let settled = entries.invalidate(&owed).await.is_ok() && entries.owed.settle(&owed);
        if settled && entries.owed.rest() {
            working.0 = Weak::new();
            return;
        }
    }
}
