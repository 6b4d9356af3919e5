//! The journals of one cache, and what its worker, its writers and whoever asks for its health tell
//! each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, watch};

use super::{Copying, Journal, events::Listener};

/// One partition of one journal, as the worker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    /// The entity's prefix.
    pub(crate) prefix: String,
    pub(crate) partition: u32,
}

/// The journals of a cache.
#[derive(Debug)]
pub(crate) struct Roster {
    journals: Mutex<Vec<Arc<Journal>>>,
    /// What is copied every so often.
    copyings: Mutex<Vec<Arc<Copying>>>,
    copyings_grew: Notify,
    /// Partitions that were written to, or are waited for.
    nudged: Mutex<BTreeSet<Target>>,
    nudges: Notify,
    stopped: watch::Sender<bool>,
    /// Whether a worker runs in this process.
    pub(crate) working: AtomicBool,
    /// The worker that was to drain here has ended before the journals did.
    abandoned: AtomicBool,
    /// Why nothing may be journaled now, if so.
    suspended: Mutex<Option<String>>,
    /// What is wrong with partitions.
    troubles: Mutex<BTreeMap<Target, String>>,
    /// What is wrong with copying an entity, by its prefix.
    copy_troubles: Mutex<BTreeMap<String, String>>,
    /// What the server says that is worth a warning.
    warnings: Mutex<Vec<String>>,
    pub(crate) listener: Listener,
}

impl Roster {
    pub(crate) fn new(listener: Listener) -> Arc<Self> {
        Arc::new(Self {
            journals: Mutex::default(),
            copyings: Mutex::default(),
            copyings_grew: Notify::new(),
            nudged: Mutex::default(),
            nudges: Notify::new(),
            stopped: watch::Sender::new(false),
            working: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            suspended: Mutex::default(),
            troubles: Mutex::default(),
            copy_troubles: Mutex::default(),
            warnings: Mutex::default(),
            listener,
        })
    }

    /// Adds a journal. Of several repositories of one entity the first one that writes to it is the one
    /// whose settings the worker follows.
    pub(crate) fn enlist(&self, journal: &Arc<Journal>) {
        let mut journals = lock(&self.journals);
        match journals.iter_mut().find(|known| known.prefix() == journal.prefix()) {
            Some(known) if journal.settings.written && !known.settings.written => {
                *known = Arc::clone(journal);
            }
            Some(_) => {}
            None => journals.push(Arc::clone(journal)),
        }
    }

    pub(crate) fn journals(&self) -> Vec<Arc<Journal>> {
        lock(&self.journals).clone()
    }

    pub(crate) fn journal(&self, prefix: &str) -> Option<Arc<Journal>> {
        lock(&self.journals).iter().find(|journal| journal.prefix() == prefix).cloned()
    }

    /// Adds what is to be copied every so often. Of several repositories of one entity the first one's
    /// interval counts.
    pub(crate) fn enlist_copying(&self, copying: &Arc<Copying>) {
        let mut copyings = lock(&self.copyings);
        if copyings.iter().all(|known| known.prefix() != copying.prefix()) {
            copyings.push(Arc::clone(copying));
            self.copyings_grew.notify_one();
        }
    }

    pub(crate) fn copyings(&self) -> Vec<Arc<Copying>> {
        lock(&self.copyings).clone()
    }

    /// Waits until there are more.
    pub(crate) async fn copyings_grew(&self) {
        self.copyings_grew.notified().await;
    }

    /// Tells the worker that there is something to drain.
    pub(crate) fn nudge(&self, prefix: &str, partition: u32) {
        let target = Target { prefix: prefix.to_owned(), partition };
        if lock(&self.nudged).insert(target) {
            self.nudges.notify_one();
        }
    }

    /// Waits for nudges.
    pub(crate) async fn nudged(&self) -> BTreeSet<Target> {
        loop {
            let nudged = std::mem::take(&mut *lock(&self.nudged));
            if !nudged.is_empty() {
                return nudged;
            }
            self.nudges.notified().await;
        }
    }

    /// Ends the worker.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// A worker begins.
    pub(crate) fn employ(&self) {
        self.working.store(true, Ordering::Relaxed);
        self.abandoned.store(false, Ordering::Relaxed);
    }

    /// The worker is gone, and nobody drains here any more.
    pub(crate) fn abandon(&self) {
        self.working.store(false, Ordering::Relaxed);
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Lets go of the journals, which know this roster.
    pub(crate) fn clear(&self) {
        lock(&self.journals).clear();
        lock(&self.copyings).clear();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    pub(crate) async fn stopped(&self) {
        // The sender is a field of what this method borrows.
        drop(self.stopped.subscribe().wait_for(|stopped| *stopped).await);
    }

    /// Why nothing may be journaled now, if so.
    pub(crate) fn suspension(&self) -> Option<String> {
        lock(&self.suspended).clone()
    }

    pub(crate) fn suspend(&self, reason: Option<String>) {
        *lock(&self.suspended) = reason;
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    pub(crate) fn warn(&self, warnings: Vec<String>) {
        *lock(&self.warnings) = warnings;
    }

    /// Remembers what is wrong with a partition; tells whether that is news.
    pub(crate) fn trouble(&self, target: &Target, reason: Option<String>) -> bool {
        let mut troubles = lock(&self.troubles);
        match reason {
            Some(reason) => troubles.insert(target.clone(), reason.clone()) != Some(reason),
            None => troubles.remove(target).is_some(),
        }
    }

    /// What is wrong with a partition, as far as this process knows.
    pub(crate) fn trouble_of(&self, target: &Target) -> Option<String> {
        lock(&self.troubles).get(target).cloned()
    }

    pub(crate) fn troubles(&self) -> Vec<String> {
        let tell = |(target, reason): (&Target, &String)| {
            format!("draining partition {} of {}: {reason}", target.partition, target.prefix)
        };
        let copying = |(prefix, reason): (&String, &String)| format!("copying {prefix}: {reason}");
        let mut troubles: Vec<_> = lock(&self.troubles).iter().map(tell).collect();
        troubles.extend(lock(&self.copy_troubles).iter().map(copying));
        troubles
    }

    /// Remembers what is wrong with copying an entity; tells whether that is news.
    pub(crate) fn copy_trouble(&self, prefix: &str, reason: Option<String>) -> bool {
        let mut troubles = lock(&self.copy_troubles);
        match reason {
            Some(reason) => troubles.insert(prefix.to_owned(), reason.clone()) != Some(reason),
            None => troubles.remove(prefix).is_some(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section of this file leaves its collection valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
