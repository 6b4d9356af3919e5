//! What the cache asks of Redis: the private trait that `redis/` and `memory/` implement alike.
//!
//! Every call takes N items of one partition (reads: of any) and answers N results, and is one
//! atomic step per partition. One conformance suite runs over both implementations.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    codec::{Body, Format, Raw, State},
    error::{Error, ErrorKind},
    key::{Keyspace, Slot, Topology},
};

#[cfg(feature = "conformance")]
pub(crate) mod conformance;
pub(crate) mod journal;
mod only;
pub(crate) mod snapshot;

pub(crate) use journal::JournalBackend;
pub(crate) use only::{Put, PutReply};
pub(crate) use snapshot::{Side, SnapshotBackend, Standing};

pub(crate) type Reply<'a, T> = BoxFuture<'a, Result<T, CacheError>>;

/// A server, or this process playing one.
pub(crate) trait Backend:
    JournalBackend + SnapshotBackend + fmt::Debug + Send + Sync + 'static
{
    /// Reads entries, each with the generation of its partition. One round trip per server.
    fn read<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        slots: &'a [Slot],
    ) -> Reply<'a, Vec<Seen>>;

    /// Asks for the right to fill entries. `hold` bounds how long a dead filler is waited for.
    fn lease<'a>(
        &'a self,
        keys: &'a Keyspace,
        format: Format,
        asks: &'a [LeaseAsk<'a>],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Vec<Lease>>;

    /// Fills entries whose lease is still the token's; tells for each whether it was.
    fn fill<'a>(
        &'a self,
        keys: &'a Keyspace,
        fills: &'a [Fill<'a>],
        token: &'a str,
    ) -> Reply<'a, Vec<bool>>;

    /// Announces a store-first write: places the token and removes entries and leases, or changes
    /// nothing. The token lives for `hold`, which must exceed the last moment of the write.
    fn begin<'a>(
        &'a self,
        keys: &'a Keyspace,
        slots: &'a [Slot],
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Begin>;

    /// Ends a store-first write: removes the token, puts the new entry where that is safe and removes
    /// the entry where it is not. Tells for each whether it was put.
    fn end<'a>(&'a self, keys: &'a Keyspace, ends: &'a [End<'a>]) -> Reply<'a, Vec<bool>>;

    /// Writes entries that are the only copy, in order. Says which server did it, if that is asked.
    fn put<'a>(
        &'a self,
        keys: &'a Keyspace,
        puts: &'a [Put<'a>],
        asks_server: bool,
    ) -> Reply<'a, PutReply>;

    /// Removes copies; tells for each whether it was one. Entries that are the only copy stay.
    fn evict<'a>(&'a self, keys: &'a Keyspace, slots: &'a [Slot]) -> Reply<'a, Vec<bool>>;

    /// Records facts that every process must agree on where they are not recorded yet, and answers
    /// what is recorded. `""` only asks, and is the answer where nothing is recorded.
    fn register<'a>(
        &'a self,
        keys: &'a Keyspace,
        facts: &'a [(&'static str, String)],
    ) -> Reply<'a, Vec<String>>;

    /// Replaces a recorded fact (`""`: there is none). Tells whether the new one is recorded now, or
    /// another one than was expected.
    fn amend<'a>(
        &'a self,
        keys: &'a Keyspace,
        fact: &'static str,
        before: &'a str,
        after: &'a str,
    ) -> Reply<'a, bool>;

    /// Facts about the server.
    fn server(&self) -> Reply<'_, Server>;

    /// Whether entries can be documents.
    fn documents(&self) -> Reply<'_, Documents>;

    fn topology(&self) -> Topology;

    /// What a user of the server must be allowed to send; nothing where there are no users.
    fn commands(&self) -> Vec<&'static str>;

    /// Puts bytes where an entry should be, as another program could.
    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: Raw) -> Reply<'a, ()>;

    /// Sets a field of a partition's meta hash, or its generation, as the journal will.
    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(&'a self, keys: &'a Keyspace, partition: u32, meta: Meta) -> Reply<'a, ()>;

    /// Lets something happen to the server that no client asks for.
    #[cfg(feature = "conformance")]
    fn incident<'a>(&'a self, keys: &'a Keyspace, incident: Incident) -> Reply<'a, ()>;
}

/// What a read saw under an entry's key.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) raw: Option<Raw>,
    pub(crate) generation: u64,
}

/// A reader's wish to fill an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseAsk<'a> {
    pub(crate) slot: &'a Slot,
    /// The reader saw an entry that it cannot use; a new one may replace it.
    pub(crate) replace: bool,
}

/// The answer to a [`LeaseAsk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// The reader may fill, in this generation.
    Granted { generation: u64 },
    /// Another reader is filling.
    Held,
    /// A writer is writing: read the store, fill nothing.
    Blocked,
    /// There is an entry by now, in the asked format or pinned.
    Present,
}

/// An entry to fill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) generation: u64,
    /// `None` gives the lease back and only asks whether it still was the reader's.
    pub(crate) content: Option<Content<'a>>,
}

/// What to write under an entry's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) state: State,
    pub(crate) stamp: &'a str,
    pub(crate) body: &'a Body,
    pub(crate) ttl: Option<Duration>,
}

/// The answer to an announced write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The tokens are placed.
    Begun { epoch: u64, generation: u64 },
    /// The partition's journal belongs to another server: it must be recovered first.
    Fenced,
    /// This slot (by index) holds a journaled write that is not in the store.
    Dirty(usize),
    /// This slot (by index) holds the only copy of an entity under `redis_only`.
    Kept(usize),
}

/// The end of a store-first write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) token: &'a str,
    /// What [`Begin::Begun`] said.
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    /// What to put; `None` only removes.
    pub(crate) content: Option<Content<'a>>,
}

/// Facts about a server that decide whether a repository may be built on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) eviction_policy: String,
    /// Whether the server writes its data to a disk: append-only file, snapshots.
    pub(crate) aof: bool,
    /// Whether the server makes snapshots by itself.
    pub(crate) snapshots: bool,
    /// What the server says of its last attempt to persist, if it failed.
    pub(crate) persistence_error: Option<String>,
    /// When it syncs its append-only file.
    pub(crate) syncs: Syncs,
    /// Whether it has replicas, and takes writes that none of them may get.
    pub(crate) writes_alone: bool,
}

/// Whether a server has the commands for documents: `JSON.GET` and `JSON.SET`.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// It has.
    Held,
    /// It has, and this client's user may not use them.
    Refused,
    /// It has not.
    Lacking,
}

/// When a server syncs what it writes to its disk.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// It tells when, to a client that waits for it.
    Told,
    /// With every write.
    Always,
    /// Now and then, or never.
    Seldom,
    /// Nobody may ask.
    #[default]
    Unknown,
}

/// What the journal will keep for a partition.
#[cfg(feature = "conformance")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meta {
    Home(&'static str),
    Epoch(u64),
    Generation(u64),
    /// And the server at which it was placed.
    Ticket(&'static str, &'static str),
}

/// What happens to a server.
#[cfg(any(feature = "conformance", feature = "testing"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// All keys are gone: `FLUSHALL`. A server that others share loses the entity's keys only.
    Wipe,
    /// Another process has the same data. In this process only.
    Restart,
    /// The data is copied to a replica. In this process only.
    Replicate,
    /// The replica takes over, with the data that was last copied. In this process only.
    FailOver,
    /// Memory is used up. On a real server only, and for all that share it.
    NoMemory,
    /// There is memory again.
    Memory,
}

/// Why the cache could not do what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct CacheError {
    kind: CacheErrorKind,
    message: String,
}

// The in-process backend never fails.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CacheErrorKind {
    /// The command was never sent.
    Unsent,
    /// No answer: whether the command ran is unknown.
    Unavailable,
    /// The server's own error: the command did not run.
    Answered,
    /// The same, until a person has made room for writes or something else has.
    Full,
    /// The same, but the server will be able to do it soon, or another one is.
    Later,
}

#[cfg_attr(not(feature = "redis"), allow(dead_code))]
impl CacheError {
    pub(crate) fn unsent(message: impl Into<String>) -> Self {
        Self { kind: CacheErrorKind::Unsent, message: message.into() }
    }

    pub(crate) fn full(message: impl Into<String>) -> Self {
        Self { kind: CacheErrorKind::Full, message: message.into() }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: CacheErrorKind::Unavailable, message: message.into() }
    }

    pub(crate) fn answered(message: impl Into<String>) -> Self {
        Self { kind: CacheErrorKind::Answered, message: message.into() }
    }

    pub(crate) fn later(message: impl Into<String>) -> Self {
        Self { kind: CacheErrorKind::Later, message: message.into() }
    }

    pub(crate) fn into_error(self) -> Error {
        let kind = match self.kind {
            CacheErrorKind::Unsent | CacheErrorKind::Unavailable | CacheErrorKind::Later => {
                ErrorKind::CacheUnavailable
            }
            CacheErrorKind::Answered => ErrorKind::Cache,
            CacheErrorKind::Full => return Error::new(ErrorKind::Cache, self.message).retryable(),
        };
        Error::new(kind, self.message)
    }

    /// Whether the command may have run although there was no answer.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.kind == CacheErrorKind::Unavailable
    }

    /// Whether the same command may succeed soon without anybody changing anything.
    pub(crate) fn is_retryable(&self) -> bool {
        !matches!(self.kind, CacheErrorKind::Answered | CacheErrorKind::Full)
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
