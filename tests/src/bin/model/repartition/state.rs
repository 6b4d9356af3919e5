//! What Redis, the store, the mover and those that it meets remember, and what really happened.

/// The old partition, and the new one.
pub(super) const OLD: usize = 0;
pub(super) const NEW: usize = 1;

/// A copy, or a journaled write, of the one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) value: u8,
    pub(super) generation: u8,
    pub(super) is_dirty: bool,
}

/// What Redis keeps for a partition. Home 0: there is no journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) home: u8,
    pub(super) epoch: u8,
    pub(super) is_sealed: bool,
    /// That of the recovery that may repair it.
    pub(super) ticket: u8,
    /// What is not drained. The n-th write of all has the value and the version n.
    pub(super) journal: Vec<u8>,
    pub(super) acked: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Redis {
    pub(super) partitions: [Partition; 2],
    pub(super) entry: Option<Entry>,
    /// Whether the store-first writer's token is there.
    pub(super) is_intended: bool,
}

/// What the store keeps for a partition. Epoch 0: there is no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) epoch: u8,
    pub(super) settled: u8,
    pub(super) position: u8,
    pub(super) is_closed: bool,
}

/// Which number of partitions counts, according to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    Old,
    Moving,
    New,
}

/// A recovery of one partition, by whoever writes to it, in four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Recovery {
    None,
    /// The ticket is placed at a server; the epoch that was read.
    Ticketed {
        server: u8,
        ticket: u8,
        seen: u8,
    },
    Raised {
        server: u8,
        ticket: u8,
        epoch: u8,
        settled: u8,
        position: u8,
    },
    Repaired {
        epoch: u8,
    },
}

/// A store-first writer that knows the old number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum First {
    Idle,
    Begun { epoch: u8 },
    Committed,
    Over,
}

/// A worker at one of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    Idle,
    Read { partition: usize, epoch: u8, from: u8, to: u8 },
    Committed { partition: usize, epoch: u8, from: u8, to: u8 },
}

/// Where the mover is; it begins anew after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mover {
    Down,
    Sealing,
    Draining,
    /// The old partition was seen drained, in this epoch.
    Drained {
        epoch: u8,
    },
    Opening,
    Finishing,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(super) server: u8,
    pub(super) redis: Redis,
    pub(super) replica: Redis,
    pub(super) rows: [Row; 2],
    pub(super) value: u8,
    pub(super) layout: Layout,
    /// Recoveries by the old writer, the new one, and the mover.
    pub(super) recoveries: [Recovery; 3],
    pub(super) first: First,
    pub(super) worker: Worker,
    pub(super) mover: Mover,
    pub(super) tickets: u8,
    pub(super) writes: u8,
    /// By writers that know the old number and the new one.
    pub(super) behind: [u8; 2],
    pub(super) crashes: u8,
    pub(super) failovers: u8,
    /// What was acknowledged last, since the incident.
    pub(super) newest: Option<u8>,
    /// Mutant: up to where records of the closed partition were looked at.
    pub(super) retired_to: u8,
}

impl State {
    pub(super) fn new() -> Self {
        let mut redis = Redis::default();
        redis.partitions[OLD] = Partition { home: 1, epoch: 1, ..Partition::default() };
        let old = Row { epoch: 1, settled: 1, ..Row::default() };
        Self {
            server: 1,
            replica: redis.clone(),
            redis,
            rows: [old, Row::default()],
            value: 0,
            layout: Layout::Old,
            recoveries: [Recovery::None; 3],
            first: First::Idle,
            worker: Worker::Idle,
            mover: Mover::Down,
            tickets: 0,
            writes: 0,
            behind: [0; 2],
            crashes: 0,
            failovers: 0,
            newest: None,
            retired_to: 0,
        }
    }

    /// From now on Redis has this, and nobody knows what was acknowledged before.
    pub(super) fn suffer(&mut self, redis: Redis) {
        self.redis = redis;
        self.failovers += 1;
        self.newest = None;
    }

    /// What a reader that knows the new number is answered.
    pub(super) fn read(&self) -> u8 {
        let generation = self.redis.partitions[NEW].epoch;
        match self.redis.entry {
            Some(entry) if entry.is_dirty || entry.generation == generation => entry.value,
            _ => self.value,
        }
    }
}
