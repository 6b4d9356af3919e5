//! What a process of a test did, a line each.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use cached_repo::{Counts, Event, Outcome, Result, Saved};
use serde::{Deserialize, Serialize};

use super::Burden;

/// What stands in the log in place of an error, where a write went to the database.
pub const STORED: &str = "it was written through";
/// The event that a process which is told to end logs last.
pub const ENDED: &str = "Ended";

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Line {
    /// The repository is built.
    Ready,
    /// A write that was acknowledged. Without a name it is a delete.
    Acknowledged {
        /// Of what.
        id: i64,
        /// The value.
        name: Option<String>,
        /// As the receipt says.
        version: u64,
    },
    /// A write that failed.
    Failed {
        /// Of what.
        id: i64,
        /// The value.
        name: Option<String>,
        /// Whether it may have been journaled all the same.
        unknown: bool,
        /// Why.
        error: String,
    },
    /// An operation of a client is about to begin. Clients of several processes append to one log, so
    /// that it has the order of all of them.
    Began {
        /// Who. It has one operation at a time.
        client: u64,
        /// Of what.
        id: i64,
        /// What it does.
        operation: Operation,
    },
    /// The operation of this client has ended.
    Ended {
        /// Whose.
        client: u64,
        /// How.
        answer: Answer,
    },
    /// What the process costs.
    Burden(Burden),
    /// Something happened to a journal.
    Event {
        /// Which event.
        name: String,
        /// All of it.
        text: String,
    },
    /// What the repository did so far.
    Counts {
        /// Records that were applied.
        drained: u64,
        /// Records that were left out.
        coalesced: u64,
        /// Drains that lost against another one.
        conflicts: u64,
        /// Drains that failed.
        failures: u64,
    },
}

/// What a client does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// Reads.
    Get,
    /// Saves this name.
    Save(String),
    /// Deletes.
    Delete,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It was acknowledged.
    Done,
    /// This name was read.
    Found(Option<String>),
    /// It did not take place.
    NotDone,
}

impl Line {
    /// What became of a write. One that was written through has no version to order it by: it counts as
    /// one of which nobody knows.
    pub fn written(id: i64, name: Option<String>, outcome: Result<Saved>) -> Self {
        match outcome.map(|saved| saved.version()) {
            Ok(Some(version)) => Self::Acknowledged { id, name, version },
            Ok(None) => Self::Failed { id, name, unknown: true, error: STORED.to_owned() },
            Err(error) => {
                let unknown = error.outcome() != Outcome::NotApplied;
                Self::Failed { id, name, unknown, error: error.to_string() }
            }
        }
    }

    /// How a process ended that was told to: with so many writes that it did not drain.
    pub fn ended(left: u64) -> Self {
        Self::Event { name: ENDED.to_owned(), text: left.to_string() }
    }

    /// What a repository did.
    pub fn counts(counts: &Counts) -> Self {
        Self::Counts {
            drained: counts.drained,
            coalesced: counts.coalesced,
            conflicts: counts.drain_conflicts,
            failures: counts.drain_failures,
        }
    }

    /// What happened to a journal.
    pub fn event(event: &Event) -> Self {
        let text = format!("{event:?}");
        let name = text.split(' ').next().unwrap_or_default().to_owned();
        Self::Event { name, text }
    }
}

/// Where a process writes what it did, one line at a time.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<fs::File>>);

impl Log {
    /// Opens it.
    pub fn new(path: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(path);
        Self(Arc::new(Mutex::new(file.unwrap())))
    }

    /// Appends a line. When this returns, a kill of the process cannot lose it.
    pub fn write(&self, line: &Line) {
        let text = format!("{}\n", serde_json::to_string(line).unwrap());
        self.0.lock().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The lines of a log; its process may be writing another one.
    pub fn read(path: &Path) -> Vec<Line> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
