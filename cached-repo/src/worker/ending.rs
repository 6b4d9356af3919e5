//! How a worker's session at a partition ended, and what follows from it.

use super::after::Horizon;
use crate::{
    backend::CacheError,
    error::{Error, ErrorKind},
    store::{Class, StoreError},
};

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// There was nothing.
    Idle,
    /// There was nothing to drain; records are retained.
    Retaining,
    /// Nothing is left.
    Drained,
    /// Another worker is at it.
    Taken,
    /// There is more.
    More,
    /// The store is to have the parents' writes before.
    Waiting,
    /// A record refers to a row that is not there: it may come.
    Missing,
    Failed(Trouble),
}

/// What a session leaves to the next one at its partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Up to where it drains behind its parents.
    pub(super) horizon: Option<Horizon>,
    pub(super) tries: Tries,
}

/// How often the batch behind a position was tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    /// The epoch and the position.
    pub(super) place: (u64, u64),
    pub(super) count: usize,
}

impl Tries {
    /// Which try the next one is.
    pub(super) fn next_at(self, place: (u64, u64)) -> usize {
        if self.place == place { self.count + 1 } else { 1 }
    }
}

/// Why a session failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may work in a moment.
    Passing(String),
    /// It works when a person has mended it.
    Lasting(String),
}

impl Trouble {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Passing(reason) | Self::Lasting(reason) => reason,
        }
    }
}

impl From<CacheError> for Trouble {
    fn from(error: CacheError) -> Self {
        match error.is_retryable() {
            true => Self::Passing(error.to_string()),
            false => Self::Lasting(error.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error.class() {
            Class::Transient | Class::Unknown | Class::Fenced => Self::Passing(error.to_string()),
            _ => Self::Lasting(error.to_string()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Configuration | ErrorKind::Store | ErrorKind::Fenced | ErrorKind::Cache => {
                Self::Lasting(error.to_string())
            }
            _ => Self::Passing(error.to_string()),
        }
    }
}
