//! What Redis, the store and the workers remember, and what really happened.

pub(super) const IDS: usize = 2;
pub(super) const WORKERS: usize = 2;
/// The value of a row that is not there; writes have greater numbers.
pub(super) const ABSENT: u8 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) value: u8,
    pub(super) version: u8,
    pub(super) is_dirty: bool,
}

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) version: u8,
    pub(super) id: usize,
    pub(super) value: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Redis {
    pub(super) entries: [Option<Entry>; IDS],
    pub(super) journal: Vec<Record>,
    pub(super) clock: u8,
}

/// The row of the journal's partition in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct PositionRow {
    pub(super) epoch: u8,
    pub(super) position: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    Down,
    Idle { epoch: u8, position: u8 },
    Read { epoch: u8, position: u8, batch: Vec<Record> },
    Acknowledged { epoch: u8, position: u8, batch: Vec<Record> },
    Committed { epoch: u8, position: u8, batch: Vec<Record> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(super) redis: Redis,
    pub(super) replica: Redis,
    pub(super) now: u8,
    /// By id: the value and, where rows are versioned, the version.
    pub(super) rows: [(u8, u8); IDS],
    pub(super) row: PositionRow,
    pub(super) workers: [Worker; WORKERS],
    /// Versions that some member of the consumer group has.
    pub(super) claimed: Vec<u8>,
    pub(super) is_fenced: bool,
    /// What recovery learnt from the store, between its two steps.
    pub(super) recovered_position: Option<u8>,
    pub(super) writes: u8,
    pub(super) crashes: u8,
    pub(super) has_failed_over: bool,
    /// By id: the value and the version acknowledged last.
    pub(super) newest: [(u8, u8); IDS],
    /// By id: the value acknowledged last after the failover.
    pub(super) newest_since_failover: [Option<u8>; IDS],
    /// By id: the newest version that the store ever applied.
    pub(super) applied: [u8; IDS],
    pub(super) has_reordered: bool,
    pub(super) has_missed_own_write: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            redis: Redis::default(),
            replica: Redis::default(),
            now: 1,
            rows: [(ABSENT, 0); IDS],
            row: PositionRow::default(),
            workers: [Worker::Down, Worker::Down],
            claimed: Vec::new(),
            is_fenced: false,
            recovered_position: None,
            writes: 0,
            crashes: 0,
            has_failed_over: false,
            newest: [(ABSENT, 0); IDS],
            newest_since_failover: [None; IDS],
            applied: [0; IDS],
            has_reordered: false,
            has_missed_own_write: false,
        }
    }

    /// Everything written is drained, and nobody is in the middle of something.
    pub(super) fn is_quiet(&self) -> bool {
        let is_calm = |worker: &Worker| matches!(worker, Worker::Down | Worker::Idle { .. });
        self.redis.journal.is_empty() && self.workers.iter().all(is_calm)
    }

    pub(super) fn has_newest_rows(&self) -> bool {
        (0..IDS).all(|id| self.rows[id].0 == self.newest[id].0)
    }

    pub(super) fn has_rows_since_failover(&self) -> bool {
        let is_there =
            |id: usize| self.newest_since_failover[id].is_none_or(|value| self.rows[id].0 == value);
        (0..IDS).all(is_there)
    }

    pub(super) fn has_entries_like_rows(&self) -> bool {
        let is_like =
            |id: usize| self.redis.entries[id].is_none_or(|entry| entry.value == self.rows[id].0);
        (0..IDS).all(is_like)
    }
}

impl Worker {
    pub(super) fn batch(&self) -> &[Record] {
        match self {
            Self::Down | Self::Idle { .. } => &[],
            Self::Read { batch, .. }
            | Self::Acknowledged { batch, .. }
            | Self::Committed { batch, .. } => batch,
        }
    }
}
