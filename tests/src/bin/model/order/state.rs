//! What Redis, the store and the workers hold, and what a step changes.

use std::collections::BTreeSet;

pub(super) const PARENT: usize = 0;
pub(super) const CHILD: usize = 1;

/// A write: which one it is of its entity, and how many of the parents were acknowledged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    name: u8,
    version: u8,
    behind: u8,
}

/// A partition in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) epoch: u8,
    pub(super) clock: u8,
    pub(super) acked: u8,
    records: Vec<Record>,
}

/// Records that a worker read, from which position and in which epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Read {
    epoch: u8,
    from: u8,
    records: Vec<Record>,
}

/// Up to where a child may be drained, and the epoch and version of the parent's tail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Horizon {
    pub(super) version: u8,
    pub(super) epoch: u8,
    pub(super) tail: Option<(u8, u8)>,
}

/// A worker at the child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Child {
    Idle(Option<Horizon>),
    Claimed {
        version: u8,
        epoch: u8,
        tail: Option<(u8, u8)>,
    },
    /// With the epoch in which the session is.
    Waiting(Horizon, u8),
    Free(Horizon, u8),
    Read(Read),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(super) redis: [Partition; 2],
    pub(super) replica: [Partition; 2],
    /// The store: its positions, its epochs, and the names of what it has.
    positions: [u8; 2],
    epochs: [u8; 2],
    stored: [BTreeSet<u8>; 2],
    /// Parents that Redis lost.
    lost: BTreeSet<u8>,
    pub(super) written: [u8; 2],
    pub(super) parents_read: Option<Read>,
    pub(super) workers: [Child; 2],
    pub(super) crashes: u8,
    pub(super) failovers: u8,
    pub(super) is_out_of_order: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            redis: Default::default(),
            replica: Default::default(),
            positions: [0; 2],
            epochs: [0; 2],
            stored: Default::default(),
            lost: BTreeSet::new(),
            written: [0; 2],
            parents_read: None,
            workers: [Child::Idle(None), Child::Idle(None)],
            crashes: 0,
            failovers: 0,
            is_out_of_order: false,
        }
    }
}

impl Partition {
    /// Its epoch and its last version, if something is not drained.
    pub(super) fn tail(&self) -> Option<(u8, u8)> {
        (self.acked < self.clock).then_some((self.epoch, self.clock))
    }
}

impl State {
    /// Refused where the journal is to be recovered first.
    pub(super) fn write(&mut self, of: usize) -> Option<()> {
        if self.redis[of].epoch != self.failovers {
            return None;
        }
        let (name, behind) = (self.written[of], self.written[PARENT]);
        self.written[of] += 1;
        let partition = &mut self.redis[of];
        partition.clock += 1;
        let version = partition.clock;
        partition.records.push(Record { name, version, behind });
        Some(())
    }

    /// The epoch goes up in the store, and then the clock does not fall behind its position.
    pub(super) fn recover(&mut self, of: usize) -> Option<()> {
        let (partition, position) = (&mut self.redis[of], self.positions[of]);
        if partition.epoch == self.failovers {
            return None;
        }
        (partition.epoch, self.epochs[of]) = (self.failovers, self.failovers);
        partition.clock = partition.clock.max(position);
        partition.acked = position;
        Some(())
    }

    /// Reads behind the store's position, for a transaction in this epoch.
    pub(super) fn read(&self, of: usize, epoch: u8, until: u8) -> Option<Read> {
        let (partition, from) = (&self.redis[of], self.positions[of]);
        let is_next = |r: &&Record| r.version > from && r.version <= until;
        let records: Vec<_> = partition.records.iter().filter(is_next).copied().collect();
        (!records.is_empty()).then_some(Read { epoch, from, records })
    }

    /// One transaction, if the store is where the records were read from.
    pub(super) fn commit(&mut self, of: usize, read: &Read) {
        if self.epochs[of] != read.epoch || self.positions[of] != read.from {
            return;
        }
        for record in &read.records {
            let mut before = 0..record.behind;
            let is_there = |name| self.stored[PARENT].contains(&name) || self.lost.contains(&name);
            self.is_out_of_order |= of == CHILD && !before.all(is_there);
            self.stored[of].insert(record.name);
            self.positions[of] = record.version;
        }
    }

    pub(super) fn acknowledge(&mut self, of: usize) -> Option<()> {
        let partition = &mut self.redis[of];
        if partition.epoch != self.epochs[of] {
            return None;
        }
        partition.acked = partition.acked.max(self.positions[of]);
        Some(())
    }

    /// The replica takes over. Its journals are to be recovered, each by itself.
    pub(super) fn fail_over(&mut self) {
        let kept: BTreeSet<u8> = self.replica[PARENT].records.iter().map(|r| r.name).collect();
        let names = 0..self.written[PARENT];
        self.lost = names.filter(|name| !kept.contains(name)).collect();
        self.redis = self.replica.clone();
        self.failovers += 1;
    }
}
