//! The library's own records in a store: identity, offsets of journals, dead letters.

use super::LetterKey;
use crate::schema::Schema;

/// An operation on the library's own records. Each is atomic.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ledger<'a> {
    /// Create the library's tables and the table of this schema where they are missing. Answers
    /// [`Entry::Done`].
    Install {
        /// The entity whose table is wanted.
        schema: &'a Schema,
    },
    /// The identity of this database: drawn when it is first asked for, the same ever after, and
    /// different for every database. Answers [`Entry::Identity`].
    Identity,
    /// What is kept for a partition. Answers [`Entry::Offset`].
    Offset {
        /// The ledger's name of the entity.
        entity: &'a str,
        /// The partition.
        partition: u32,
    },
    /// Raise the epoch of a partition to one more than it and `epoch_min` are, open it, and remember
    /// the server. Makes the row, with this journal, position 0 and nothing settled, if there is none.
    /// Answers [`Entry::Offset`], as it is afterwards.
    ///
    /// MUST change nothing, and answer no offset, if the row's epoch is not `seen`: otherwise two
    /// recoverers raise it one behind the other, and the first one's epoch is outdated when it is used.
    /// MUST leave the journal, the position and `settled` of a row that is there. MUST wait for the
    /// transactions that hold the partition as a [`Fence`](super::Fence) and for those that moved its
    /// position. Otherwise a write of the epoch before commits after the recovery has looked.
    Recover {
        /// The ledger's name of the entity.
        entity: &'a str,
        /// The partition.
        partition: u32,
        /// The identity of the journal, if the row is made.
        journal: &'a str,
        /// The server that is recovered.
        home: &'a str,
        /// The epoch that the server was in.
        epoch_min: u64,
        /// The epoch that the caller read; 0 if there was no row. A row that is gone is made.
        seen: u64,
    },
    /// Remember that the recovery of this epoch is complete. MUST do so only if the partition still is
    /// in it: a recoverer that was paused must not settle what another one began. Answers
    /// [`Entry::Changed`], false also if it was settled before: one caller alone tells of the recovery.
    Settle {
        /// The ledger's name of the entity.
        entity: &'a str,
        /// The partition.
        partition: u32,
        /// The epoch.
        epoch: u64,
    },
    /// Remember that the partition's journal is empty and stays so. MUST do so only if the partition
    /// is in this epoch (settled) and its position is this one. From then on no journaled batch moves
    /// the position until the next recovery. Answers [`Entry::Changed`].
    Seal {
        /// The ledger's name of the entity.
        entity: &'a str,
        /// The partition.
        partition: u32,
        /// The epoch.
        epoch: u64,
        /// The position.
        last_id: u64,
    },
    /// The dead letters of an entity that wait for a decision, by partition and version. Answers
    /// [`Entry::Letters`].
    Letters {
        /// The ledger's name of the entity.
        entity: &'a str,
        /// Begin behind this partition and version.
        after: Option<(u32, u64)>,
        /// At most so many.
        limit: u32,
    },
    /// One dead letter, in whatever state. Answers [`Entry::Letters`] with it, or with none.
    Letter(LetterKey<'a>),
    /// Replace the data of a dead letter that waits, and of no other. Answers [`Entry::Changed`].
    Edit {
        /// Which.
        letter: LetterKey<'a>,
        /// The new data, JSON text.
        data: &'a str,
    },
    /// Give up a dead letter that waits, and no other. Answers [`Entry::Changed`].
    Discard(LetterKey<'a>),
}

/// The answer to a [`Ledger`] operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// It was done.
    Done,
    /// The database's identity.
    Identity(String),
    /// What is kept for the partition, if anything.
    Offset(Option<Offset>),
    /// Whether it was done.
    Changed(bool),
    /// Dead letters.
    Letters(Vec<DeadLetter>),
}

/// What a store keeps for one partition of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// Raised by every recovery; transactions of earlier epochs can no longer commit.
    pub epoch: u64,
    /// The last epoch whose recovery was completed.
    pub settled: u64,
    /// The journal's identity.
    pub journal: String,
    /// The version of the last record whose effect is committed.
    pub last_id: u64,
    /// The server that the last recovery named.
    pub home: String,
    /// Whether the journal is known to be empty, and stays so until the next recovery.
    pub sealed: bool,
    /// How many records were applied, ever.
    pub applied: u64,
    /// How many records were left out because a later one of their batch had the same id, ever.
    pub coalesced: u64,
    /// How many records became dead letters, ever.
    pub dead_lettered: u64,
}

/// A journaled write that the database refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The ledger's name of the entity.
    pub entity: String,
    /// The partition.
    pub partition: u32,
    /// The version of its record.
    pub version: u64,
    /// The id's text; empty if the record cannot be read.
    pub id: String,
    /// Whether it is a delete.
    pub deletes: bool,
    /// The columns as JSON text (of a delete: the id's).
    pub data: String,
    /// The fingerprint of the schema that wrote it.
    pub schema: String,
    /// What the database said.
    pub error: String,
    /// What became of it.
    pub state: LetterState,
}

impl DeadLetter {
    /// A dead letter that waits.
    pub fn new(key: LetterKey<'_>, id: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            entity: key.entity.to_owned(),
            partition: key.partition,
            version: key.version,
            id: id.into(),
            deletes: false,
            data: String::new(),
            schema: String::new(),
            error: error.into(),
            state: LetterState::Waiting,
        }
    }

    /// Which one it is.
    pub fn key(&self) -> LetterKey<'_> {
        LetterKey { entity: &self.entity, partition: self.partition, version: self.version }
    }
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LetterState {
    /// A person is to decide.
    Waiting,
    /// A later write of the same id reached the database.
    Superseded,
    /// It was written after all.
    Replayed,
    /// A person gave it up.
    Discarded,
}

impl LetterState {
    /// As the store spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Superseded => "superseded",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}
