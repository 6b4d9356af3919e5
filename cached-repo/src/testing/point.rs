//! The named points of the protocols at which a test catches a process.

use std::fmt;

/// A call that a process makes: to Redis, or to the database. Each is one atomic step there.
///
/// Every effect that a process has on others is one of these calls, so that a process that dies in
/// front of one and behind one has died everywhere that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// A read looks for entries in Redis.
    Read,
    /// A read that missed asks Redis for the right to fill the entry.
    Lease,
    /// The database is asked for rows.
    Load,
    /// A row that was loaded becomes an entry.
    Fill,
    /// A store-first write (`cache_aside`, `read_through`, `write_through`) is announced to Redis, which
    /// removes the entry.
    Begin,
    /// The database commits a store-first write, or the replay of a dead letter.
    Write,
    /// A store-first write is over: Redis takes the announcement back, and the new entry.
    End,
    /// Redis takes a write under `write_behind`: the entry and the journal's record of it.
    Append,
    /// Redis is asked whether what it took is durable (`fsync`, `replicated(n)`).
    Confirm,
    /// Redis takes a write under `redis_only`.
    Put,
    /// Redis forgets a copy.
    Evict,
    /// A worker takes a partition of a journal.
    Claim,
    /// A worker reads the journal, or what is to be copied under `redis_only`.
    Records,
    /// The database commits a batch of a journal, or of copies, and its position.
    Drain,
    /// A worker tells Redis what the database has.
    Acknowledge,
    /// First step of the recovery of a journal: a ticket is placed in Redis.
    Ticket,
    /// Second step: the database raises the journal's epoch.
    Raise,
    /// Third step: the Redis that answers becomes the journal's home.
    Repair,
    /// Last step: the database settles the epoch.
    Conclude,
    /// Everything else: settings, positions, looking whether there is something to do.
    Other,
}

impl Step {
    /// Every step that there is.
    pub const ALL: &'static [Step] = &[
        Self::Read,
        Self::Lease,
        Self::Load,
        Self::Fill,
        Self::Begin,
        Self::Write,
        Self::End,
        Self::Append,
        Self::Confirm,
        Self::Put,
        Self::Evict,
        Self::Claim,
        Self::Records,
        Self::Drain,
        Self::Acknowledge,
        Self::Ticket,
        Self::Raise,
        Self::Repair,
        Self::Conclude,
        Self::Other,
    ];
}

/// Where a process is caught: in front of a step or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The call is about to be made, and has done nothing yet.
    Before(Step),
    /// The call has done what it does, and the process does not know it yet.
    After(Step),
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(step) => write!(f, "before {step:?}"),
            Self::After(step) => write!(f, "after {step:?}"),
        }
    }
}
