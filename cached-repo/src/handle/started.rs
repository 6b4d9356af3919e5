//! Whether a background task of a cache lives: a runtime that ends takes its tasks with it, and the next
//! repository that is built starts them again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::journal::Roster;

/// Set while the task lives.
#[derive(Debug, Default)]
pub(super) struct Started(Arc<AtomicBool>);

impl Started {
    /// What the task is to hold, if there is none.
    pub(super) fn start(&self) -> Option<Running> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| Running(Arc::clone(&self.0)))
    }
}

/// A task that lives. Dropped with it.
#[derive(Debug)]
pub(super) struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A worker that lives. When its runtime ends before the cache does, receipts and barriers are told.
#[derive(Debug)]
pub(super) struct Working {
    roster: Arc<Roster>,
    _running: Running,
}

impl Working {
    pub(super) fn new(roster: &Arc<Roster>, running: Running) -> Self {
        roster.employ();
        Self { roster: Arc::clone(roster), _running: running }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.roster.is_stopped() {
            self.roster.abandon();
        }
    }
}
