//! What a journal asks of Redis: the second half of the private trait that `redis/` and `memory/`
//! implement alike.
//!
//! A partition's journal is a stream whose ids are versions, and a hash (meta) that says where it
//! belongs, how far it has been drained, and how much is in it. PROTOCOL: W, D, R.

use std::{borrow::Cow, time::Duration};

use super::{CacheError, Content, Reply, Standing};
use crate::{
    codec::Body,
    entity::Durability,
    key::{Keyspace, Slot},
};

mod recovery;
pub(crate) use recovery::{News, Repair, Repaired, Retired};

/// So many records are looked at by one step that keeps the server busy.
pub(crate) const STEP_RECORDS: usize = 64;

pub(crate) trait JournalBackend {
    /// Appends writes to a partition's journal and writes their entries, dirty and without a time to
    /// live, or changes nothing.
    fn append<'a>(&'a self, keys: &'a Keyspace, append: Append<'a>) -> Reply<'a, Appended>;

    /// What is known of a partition, and whether its journal belongs to the server that answers.
    fn meta<'a>(&'a self, keys: &'a Keyspace, partition: u32) -> Reply<'a, Meta>;

    /// The partitions with records that are not drained, of all entities of the keyspace's namespace:
    /// entity (prefix), partition, version of the oldest such record.
    fn backlog<'a>(&'a self, keys: &'a Keyspace) -> Reply<'a, Vec<(String, u32, u64)>>;

    /// Takes or renews the right to drain a partition, for `hold`, unless another worker has it
    /// (`None`). It only saves work: the store decides who drains.
    fn claim<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Option<Meta>>;

    /// Gives the right to drain back.
    fn release<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()>;

    /// The records with versions above `after`, in order: at most `count`, and no more once they have
    /// `bytes` of data together.
    fn records<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Reply<'a, Vec<JournalRecord>>;

    /// Says that the store has committed everything up to a version: cleans entries and trims what
    /// has been retained for long enough. Saying it twice, or late, does no harm. Does nothing where
    /// the partition has no home.
    fn acknowledge<'a>(
        &'a self,
        keys: &'a Keyspace,
        acknowledgement: Acknowledgement<'a>,
    ) -> Reply<'a, Acknowledged>;

    /// First step of a recovery: marks the partition with a ticket of the server that answers.
    fn ticket<'a>(&'a self, keys: &'a Keyspace, partition: u32, ticket: &'a str)
    -> Reply<'a, Meta>;

    /// Third step of a recovery, behind the store's: makes the server that answers the journal's home,
    /// if the ticket is still there.
    fn repair<'a>(&'a self, keys: &'a Keyspace, repair: Repair<'a>) -> Reply<'a, Repaired>;

    /// Behind a repair: removes entries that are dirty although the store has them, of some records above
    /// `after` and up to `last_id`. Answers the last one that was looked at, `None` at the end.
    fn sweep<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        last_id: u64,
    ) -> Reply<'a, Option<u64>>;

    /// Of a partition that was given up in this epoch, which nobody recovers: removes what is known of it,
    /// its oldest records, and the entries that these left dirty in an earlier epoch. What is dirty in a
    /// later one was written to another partition since. At the end the place in the backlog is gone as
    /// well, and copies are outdated. Each step begins anew with what the server has, which may be another
    /// one. Refuses another journal, and one that was recovered in this epoch or a later one.
    fn retire<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        journal: &'a str,
        epoch: u64,
    ) -> Reply<'a, Retired>;

    /// Asks whether what was written to these partitions is as durable as this, and waits for it for
    /// `longest` at most.
    fn confirm<'a>(
        &'a self,
        keys: &'a Keyspace,
        marks: &'a [Mark<'a>],
        durability: Durability,
        longest: Duration,
    ) -> Reply<'a, Confirmed>;

    /// Refuses appends from now on, if the partition is in this epoch, at home, and all its records
    /// are drained, unless some may be left. Answers the position, or `None`.
    fn seal<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        epoch: u64,
        may_be_left: bool,
    ) -> Reply<'a, Option<u64>>;
}

/// Writes to append to one partition, in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append<'a> {
    pub(crate) partition: u32,
    /// Tells this append from every other one, so that it can be tried again.
    pub(crate) op_id: &'a str,
    /// `Some` if it was tried before: the highest version that was known then. If the journal has
    /// records of this op id above it, they are the answer. From then on the first attempt, which may
    /// still be on its way, is refused.
    pub(crate) tried_above: Option<u64>,
    pub(crate) bound: Bound,
    /// The fingerprint of the schema.
    pub(crate) schema: &'a str,
    pub(crate) writes: &'a [Write<'a>],
}

/// How much may be in a partition's journal that is not drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// One journaled write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) slot: &'a Slot,
    /// Dirty or tombstone, without a time to live.
    pub(crate) content: Content<'a>,
    pub(crate) deletes: bool,
    /// The record's data; `None` if the entry's text body says the same.
    pub(crate) data: Option<&'a str>,
}

impl Write<'_> {
    /// The record's data, which the entry's body may say as well: the rest of a JSON object.
    pub(crate) fn data_or_body(&self) -> Result<Cow<'_, str>, CacheError> {
        match (self.data, self.content.body) {
            (Some(data), _) => Ok(Cow::Borrowed(data)),
            (None, Body::Text(text)) => {
                Ok(Cow::Owned(format!("{{{}", text.strip_prefix(',').unwrap_or(text))))
            }
            (None, _) => Err(CacheError::answered("a journaled write has no data")),
        }
    }
}

/// The answer to an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is journaled. One version per write.
    Written { versions: Vec<u64>, epoch: u64, journal: String },
    /// The journal does not belong to this server, or is sealed: recover it first.
    Fenced,
    /// A store-first write of one of these ids is under way; its deadline is so far away.
    Intended { wait: Duration },
    /// This write (by index) is of an entity that `redis_only` keeps.
    Kept(usize),
    /// The journal's bound is reached.
    Full,
    /// A later attempt of this append was made: nobody waits for this one.
    Overtaken,
}

/// Where writes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark<'a> {
    /// They were appended to this journal, in this epoch.
    Journal { partition: u32, journal: &'a str, epoch: u64 },
    /// This server took them, beside all journals.
    Server { partition: u32, server: &'a str },
}

/// How durable writes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// The server that took them has them on its disk, and so many replicas have them. What was not asked
    /// for is not told.
    Here { fsynced: bool, replicas: u32 },
    /// The journal was recovered since, or another server answers: nobody knows.
    Elsewhere,
}

/// What is known of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The server that answers: `run_id` and replication id.
    pub(crate) server: String,
    /// The server that the journal belongs to; empty if there is no journal.
    pub(crate) home: String,
    /// The journal's identity.
    pub(crate) journal: String,
    pub(crate) epoch: u64,
    /// The version of the last write.
    pub(crate) clock: u64,
    /// The last position that the store is known to have committed.
    pub(crate) acked: u64,
    /// Records up to here are gone.
    pub(crate) trimmed_to: u64,
    /// Records and bytes of data that were appended, ever.
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Of these, the acknowledged ones.
    pub(crate) acked_count: u64,
    pub(crate) acked_bytes: u64,
    pub(crate) sealed: bool,
    /// What the last recovery found. Whoever settles its epoch tells of it.
    pub(crate) news: News,
    pub(crate) standing: Standing,
    /// The epoch of the store's position of copies when `redis_only` took the partition over.
    pub(crate) copies_epoch: u64,
}

impl Meta {
    /// Whether the journal belongs to the server that answered.
    pub(crate) fn is_at_home(&self) -> bool {
        self.home == self.server
    }

    /// Whether there is a journal at all.
    pub(crate) fn exists(&self) -> bool {
        !self.home.is_empty()
    }

    /// How many records are not drained.
    pub(crate) fn backlog(&self) -> u64 {
        self.count.saturating_sub(self.acked_count)
    }
}

/// A record as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalRecord {
    pub(crate) version: u64,
    /// The key of the entry that was written with it.
    pub(crate) entry: String,
    /// `p` puts, `d` deletes; newer releases may have others.
    pub(crate) op: String,
    /// Columns by name, JSON text.
    pub(crate) data: Vec<u8>,
    /// The fingerprint of the schema that wrote it.
    pub(crate) schema: String,
}

/// What the store has committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgement<'a> {
    pub(crate) partition: u32,
    /// The epoch in which the batch was committed. In another one, versions may be those of other writes.
    pub(crate) epoch: u64,
    /// Where the batch began. If Redis does not know that this was committed, what lies before must be
    /// acknowledged first.
    pub(crate) from: u64,
    pub(crate) last_id: u64,
    pub(crate) settled: &'a [Settled<'a>],
    /// How long records are kept after their acknowledgement, for a store that is restored to an older
    /// state, and how many bytes of them at most.
    pub(crate) retention: Duration,
    pub(crate) retained_bytes: u64,
    /// The worker's right: renewed, and given back in the same step if nothing is left to drain.
    pub(crate) token: &'a str,
    pub(crate) hold: Duration,
}

/// An entry whose write is settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled<'a> {
    /// Its key.
    pub(crate) entry: &'a str,
    /// Its last version in the batch. An entry with a later one stays as it is, one with an earlier
    /// one is removed.
    pub(crate) version: u64,
    pub(crate) fate: Fate,
}

/// What becomes of a settled entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is a copy of the row now, or of its absence, and lives so long.
    Clean { ttl: Duration },
    /// It is removed: the store has something else, or nobody knows.
    Drop,
}

/// The answer to an [`Acknowledgement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// So many records are left to drain.
    Done { left: u64 },
    /// Redis came back in another state than the batch was read in. Nothing was changed.
    Elsewhere,
}
