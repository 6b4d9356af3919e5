//! What copies of `redis_only` entities to a store ask of Redis: the third part of the private trait that
//! `redis/` and `memory/` implement alike.
//!
//! A partition that is kept has three sorted sets beside it: the ids that changed since they were copied,
//! those whose entries expire, and those that the store refused. A change is marked in the step that
//! makes it.

use std::time::Duration;

use super::{Put, PutReply, Reply};
use crate::key::{Keyspace, Slot};

pub(crate) trait SnapshotBackend {
    /// Turns a partition over to another side, if it is where this is expected.
    fn turn<'a>(&'a self, keys: &'a Keyspace, partition: u32, turn: Turn<'a>) -> Reply<'a, Turned>;

    /// Takes or renews the right to move the entity; false if another process has it. It only saves work:
    /// what a mover may do is decided by the token beside the side.
    fn take_move<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, bool>;

    /// Gives the right to move the entity back.
    fn end_move<'a>(&'a self, keys: &'a Keyspace, token: &'a str) -> Reply<'a, ()>;

    /// Takes or renews the right to copy a partition, and answers what changed, the oldest first. `None`
    /// if another process has the right, which only saves work: the store decides who copies.
    fn changed<'a>(&'a self, keys: &'a Keyspace, ask: AskChanged<'a>)
    -> Reply<'a, Option<Changed>>;

    /// Says what became of changes. One that has another version by now stays as it is. Answers how many
    /// changes are left.
    fn copied<'a>(&'a self, keys: &'a Keyspace, report: Report<'a>) -> Reply<'a, u64>;

    /// Gives the right to copy a partition back.
    fn let_go<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()>;

    /// Marks those of these entries (of one partition) as changed that are kept.
    fn mark<'a>(&'a self, keys: &'a Keyspace, marks: &'a [Mark<'a>]) -> Reply<'a, ()>;

    /// Writes rows as the only copies, while the partition is imported by this move. What is kept already
    /// is newer, and is marked as changed.
    fn keep<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        token: &'a str,
    ) -> Reply<'a, PutReply>;

    /// Removes what `redis_only` has left behind in a partition that the store has by this move. Answers how
    /// many there were; `None` if it is another one's by now.
    fn free<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        entries: &'a [String],
        token: &'a str,
    ) -> Reply<'a, Option<u64>>;

    /// Some of the entity's entries, by their keys, and where to go on; 0 begins and ends. Each entry that
    /// is there from the beginning to the end comes at least once.
    fn scan<'a>(
        &'a self,
        keys: &'a Keyspace,
        cursor: u64,
        count: usize,
    ) -> Reply<'a, (u64, Vec<String>)>;

    /// Takes or renews the right to survey the entity, remembers how far the survey is where that is said,
    /// and answers how far it is. `None` if another process has the right. On another server than the one
    /// that it was begun on, it is to begin again.
    fn survey<'a>(
        &'a self,
        keys: &'a Keyspace,
        token: &'a str,
        hold: Duration,
        progress: Option<Survey>,
    ) -> Reply<'a, Option<Survey>>;
}

/// Who may write to a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    /// All strategies, but for entries that `redis_only` keeps.
    #[default]
    Open,
    /// `redis_only` alone, and its changes are marked.
    Kept,
    /// Nobody: what the store has becomes the only copy.
    Importing,
    /// Nobody: the only copies go to the store.
    Exporting,
    /// Nobody: the store has them, and they go from Redis.
    Leaving,
    /// All strategies but `redis_only`. What it has left behind are copies.
    Stored,
}

impl Side {
    const ALL: [Self; 6] =
        [Self::Open, Self::Kept, Self::Importing, Self::Exporting, Self::Leaving, Self::Stored];

    /// As Redis has it.
    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Kept => "k",
            Self::Importing => "i",
            Self::Exporting => "e",
            Self::Leaving => "l",
            Self::Stored => "s",
        }
    }

    /// Whether the strategies with a store may not write.
    pub(crate) const fn is_redis_only(self) -> bool {
        matches!(self, Self::Kept | Self::Importing | Self::Exporting | Self::Leaving)
    }

    /// Whether `redis_only` may not write.
    pub(crate) const fn is_elsewhere(self) -> bool {
        matches!(self, Self::Importing | Self::Exporting | Self::Leaving | Self::Stored)
    }

    /// Whether the store has everything.
    pub(crate) const fn is_exported(self) -> bool {
        matches!(self, Self::Leaving | Self::Stored)
    }

    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn parse(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.letter() == letter)
    }
}

/// Where a partition is, and the token of whoever turned it there: of a move, or of a survey. No two of
/// them have the same, so that one that was paused sees that others went on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) side: Side,
    /// Empty where nobody ever did.
    pub(crate) turned_by: String,
}

/// A partition is to be turned over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'a> {
    /// Stands beside the side from then on.
    pub(crate) token: &'a str,
    /// The sides that it may be on.
    pub(crate) from: &'a [Side],
    /// Who must have turned it there; `None`: whoever it was.
    pub(crate) behind: Option<&'a str>,
    pub(crate) to: Side,
    /// The epoch of the store's position of copies, where it is to be noted.
    pub(crate) epoch: Option<u64>,
}

/// The answer to a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// It is turned, and was there before.
    From(Standing),
    /// It is there, from where it may not be turned.
    Is(Standing),
}

/// Which changes are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskChanged<'a> {
    pub(crate) partition: u32,
    pub(crate) token: &'a str,
    pub(crate) hold: Duration,
    /// Up to this version; `None`: up to now.
    pub(crate) until: Option<u64>,
    pub(crate) count: usize,
    /// Whether those that the store refused are to be tried again.
    pub(crate) retry: bool,
}

/// Changes that are to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) standing: Standing,
    /// Changes are meant up to this version. More than was asked for, if there were expired entries or
    /// refused ones, which are changes from now on.
    pub(crate) until: u64,
    /// Changes of any version that are left.
    pub(crate) left: u64,
    /// Whether there are more expired entries or refused ones.
    pub(crate) more: bool,
    /// The ids' texts, and versions.
    pub(crate) ids: Vec<(String, u64)>,
}

/// What became of changes of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) partition: u32,
    pub(crate) token: &'a str,
    pub(crate) hold: Duration,
    pub(crate) copies: &'a [(&'a str, u64, Copied)],
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// The store has it.
    Done,
    /// The store refused it: it is not tried again before it changes, or somebody asks.
    Refused,
    /// It refers to a row that is not there yet: it is tried again, behind all others.
    Later,
}

impl Copied {
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Done => 'd',
            Self::Refused => 'r',
            Self::Later => 'l',
        }
    }
}

/// An entry to mark, if it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) id: &'a str,
}

/// How far a survey is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survey {
    /// The cursor of the next scan; 0 at the beginning.
    At(u64),
    Done,
}
