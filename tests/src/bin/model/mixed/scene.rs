//! Who plays in a configuration, and which faults may happen.

#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) id: usize,
    pub(super) deletes: bool,
}

impl Operation {
    pub(super) const PUT: Self = Self { id: 0, deletes: false };
    pub(super) const DELETE: Self = Self { id: 0, deletes: true };
    pub(super) const PUT_OTHER: Self = Self { id: 1, deletes: false };
    pub(super) const DELETE_OTHER: Self = Self { id: 1, deletes: true };
}

/// What a store-first writer does with the entry after its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Invalidate,
    Put,
}

#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) store_first: Vec<(Flavour, Vec<Operation>)>,
    pub(super) write_behind: Vec<Vec<Operation>>,
    /// By reader: the ids that it reads.
    pub(super) readers: Vec<Vec<usize>>,
    pub(super) workers: usize,
    pub(super) recoverers: usize,
    /// Recoveries that begin; it bounds the search, not the protocol.
    pub(super) tickets_max: u8,
    pub(super) batch_max: usize,
    /// How often somebody tries to seal the partition.
    pub(super) seals_max: u8,
    /// Crashes of any client.
    pub(super) crashes: u8,
    /// Clean entries may be evicted.
    pub(super) evicts: bool,
    /// Failovers to a replica, which is any earlier state, at most so many.
    pub(super) failovers: usize,
    /// Everything in a server may be deleted.
    pub(super) flushes: bool,
    /// Failovers and flushes together, at most so many.
    pub(super) losses: u8,
    /// The old master can still be reached after a failover.
    pub(super) is_split: bool,
    /// At the beginning there is no offset row, and nothing in Redis.
    pub(super) is_cold: bool,
}
