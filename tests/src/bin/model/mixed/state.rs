//! What the servers, the store and the clients remember, and what really happened.

use super::{IDS_MAX, WRITES_MAX, Write, scene::Scene};

/// A set of small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Set(u8);

impl Set {
    pub(super) fn insert(&mut self, n: usize) {
        self.0 |= 1 << n;
    }

    pub(super) fn remove(&mut self, n: usize) {
        self.0 &= !(1 << n);
    }

    pub(super) fn contains(self, n: usize) -> bool {
        self.0 & (1 << n) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..=WRITES_MAX).filter(move |n| self.contains(*n))
    }
}

impl FromIterator<Write> for Set {
    fn from_iter<I: IntoIterator<Item = Write>>(writes: I) -> Self {
        let mut set = Self::default();
        writes.into_iter().for_each(|write| set.insert(write.into()));
        set
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) write: Write,
    /// Its version in the journal, if it came from there.
    pub(super) version: u8,
    pub(super) is_dirty: bool,
    /// The acknowledgement drops it instead of cleaning it.
    pub(super) is_flagged: bool,
}

/// What a server holds for one id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Slot {
    pub(super) entry: Option<Entry>,
    /// The store-first writers that hold a token.
    pub(super) tokens: Set,
    pub(super) has_overlap: bool,
    pub(super) lease: Option<u8>,
}

impl Slot {
    pub(super) fn drop_if(&mut self, is_dropped: impl Fn(Entry) -> bool) {
        self.entry = self.entry.filter(|entry| !is_dropped(*entry));
    }
}

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) version: u8,
    pub(super) write: Write,
}

/// A server of Redis: the slots, the journal, and the partition's meta hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Server {
    pub(super) slots: [Slot; IDS_MAX],
    pub(super) journal: Vec<Record>,
    pub(super) clock: u8,
    pub(super) acknowledged: u8,
    /// The server that the meta hash was made for.
    pub(super) home: Option<usize>,
    pub(super) generation: u8,
    /// 0 where no recovery ever was.
    pub(super) epoch: u8,
    pub(super) ticket: Option<u8>,
    /// Write-behind must open the partition again first.
    pub(super) is_sealed: bool,
}

/// The partition's row in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct OffsetRow {
    pub(super) exists: bool,
    pub(super) epoch: u8,
    /// The epoch of the last complete recovery.
    pub(super) settled: u8,
    pub(super) last_id: u8,
    pub(super) home: Option<usize>,
    /// No journal exists that is not drained.
    pub(super) is_sealed: bool,
}

impl OffsetRow {
    pub(super) fn is_settled(&self) -> bool {
        self.settled == self.epoch
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) enum StorePhase {
    #[default]
    Idle,
    Begun,
    Committed,
    /// The client is dead, and its statement may still commit.
    Sent,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct StoreWriter {
    pub(super) phase: StorePhase,
    pub(super) written: usize,
    pub(super) generation: u8,
    pub(super) epoch: u8,
    pub(super) is_invoked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    Idle,
    Read { batch: Vec<Record>, last_id: u8, epoch: u8 },
    Committed { batch: Vec<Record>, last_id: u8, epoch: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    Idle,
    Loading { lease: Option<u8>, generation: u8, seen: Set },
    Filling { lease: u8, generation: u8, value: Write },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Recovery {
    Idle,
    /// The ticket is in Redis; where the server was the home already, its epoch was this.
    /// A client that was just looking for the master may have been led here.
    Ticketed {
        server: usize,
        ticket: u8,
        epoch_at_home: Option<u8>,
        is_discovered: bool,
    },
    /// The store has a new epoch.
    Bumped {
        server: usize,
        ticket: u8,
        last_id: u8,
        epoch: u8,
        settled: u8,
    },
    /// Redis has it too.
    Repaired {
        epoch: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(super) servers: Vec<Server>,
    /// The master.
    pub(super) current: usize,
    /// An earlier state of a master: what a replica has.
    pub(super) replica: Option<Server>,
    pub(super) row: OffsetRow,
    pub(super) store_writers: Vec<StoreWriter>,
    /// By write-behind writer: how many of its writes are done.
    pub(super) journal_writers: Vec<usize>,
    pub(super) readers: Vec<Reader>,
    /// By reader: how many of its reads are done.
    pub(super) reads: Vec<usize>,
    pub(super) workers: Vec<Worker>,
    pub(super) recoveries: Vec<Recovery>,
    pub(super) tickets: u8,
    /// Somebody sealed Redis in this epoch, and the store comes next.
    pub(super) sealing: Option<u8>,
    pub(super) seals: u8,
    pub(super) crashes: u8,
    pub(super) losses: u8,
    /// The writes that the store took, in its order.
    pub(super) applied: Vec<Write>,
    pub(super) acknowledged: Set,
    /// Those that an incident lost, and that were reported.
    pub(super) excused: Set,
    /// By write: what was acknowledged before it was invoked, of its id.
    pub(super) before: [Set; WRITES_MAX + 1],
    /// The epoch of the last recovery that took all its steps, whatever the row says.
    pub(super) completed: u8,
    /// What was acknowledged before that.
    pub(super) before_completed: Set,
    pub(super) is_disordered: bool,
    pub(super) is_resurrected: bool,
    pub(super) has_read_stale: bool,
}

impl State {
    pub(super) fn new(scene: &Scene) -> Self {
        let (epoch, home) = if scene.is_cold { (0, None) } else { (1, Some(0)) };
        let mut servers = vec![Server::default(); scene.failovers + 1];
        servers[0] = Server { home, generation: epoch, epoch, ..Server::default() };
        Self {
            servers,
            current: 0,
            replica: None,
            row: OffsetRow {
                exists: !scene.is_cold,
                epoch,
                settled: epoch,
                home,
                ..OffsetRow::default()
            },
            store_writers: vec![StoreWriter::default(); scene.store_first.len()],
            journal_writers: vec![0; scene.write_behind.len()],
            readers: vec![Reader::Idle; scene.readers.len()],
            reads: vec![0; scene.readers.len()],
            workers: vec![Worker::Idle; scene.workers],
            recoveries: vec![Recovery::Idle; scene.recoverers],
            tickets: 0,
            sealing: None,
            seals: 0,
            crashes: 0,
            losses: 0,
            applied: Vec::new(),
            acknowledged: Set::default(),
            excused: Set::default(),
            before: [Set::default(); WRITES_MAX + 1],
            completed: epoch,
            before_completed: Set::default(),
            is_disordered: false,
            is_resurrected: false,
            has_read_stale: false,
        }
    }

    pub(super) fn is_home(&self, server: usize) -> bool {
        self.servers[server].home == Some(server)
    }

    /// A recovery of another server was complete after this one's.
    pub(super) fn is_superseded(&self, server: usize) -> bool {
        self.servers[server].epoch < self.row.settled
    }

    pub(super) fn slot(&mut self, server: usize, id: usize) -> &mut Slot {
        &mut self.servers[server].slots[id]
    }

    pub(super) fn acknowledge_write(&mut self, write: Write) {
        self.acknowledged.insert(write.into());
    }
}
