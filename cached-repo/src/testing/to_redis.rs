//! A process' calls of the kit's Redis.

use std::{sync::Arc, time::Duration};

use super::{
    Step,
    line::{About, Cut, Line, Patience},
};
use crate::{
    backend::{
        Backend, Begin, CacheError, Documents, End, Fill, JournalBackend, Lease, LeaseAsk, Put,
        PutReply, Reply, Seen, Server, SnapshotBackend,
        journal::{
            Acknowledged, Acknowledgement, Append, Appended, Confirmed, JournalRecord, Mark, Meta,
            Repair, Repaired, Retired,
        },
        snapshot::{self, AskChanged, Changed, Report, Survey, Turn, Turned},
    },
    codec::Format,
    entity::Durability,
    key::{Keyspace, Slot, Topology},
    memory::MemoryBackend,
};

/// The kit's Redis, as a process reaches it.
#[derive(Debug)]
pub(super) struct ToRedis {
    pub(super) line: Line,
    pub(super) memory: Arc<MemoryBackend>,
    /// How long an answer is waited for.
    pub(super) timeout: Duration,
}

impl ToRedis {
    fn call<'a, T: Send + 'a>(
        &'a self,
        step: Step,
        keys: Option<&'a Keyspace>,
        what: String,
        go: impl FnOnce(&'a MemoryBackend) -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        let (redis, patience) = (&self.line.shared.redis, Patience::For(self.timeout));
        let about = About { step, entity: keys.map_or("", Keyspace::prefix), what };
        // The backend does what it is asked when it is asked, not when its answer is awaited.
        let go = async move { go(&self.memory).await };
        let cut = |Cut { why, .. }| CacheError::unavailable(why);
        Box::pin(self.line.call(redis, patience, about, go, cut))
    }
}

/// Calls of one step each, and what they are about.
macro_rules! calls {
    ($($step:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty, $what:expr;)*) => {$(
        fn $name<'a>(&'a self, keys: &'a Keyspace $(, $argument: $type)*) -> Reply<'a, $answer> {
            let what = $what;
            let go = move |memory: &'a MemoryBackend| memory.$name(keys $(, $argument)*);
            self.call(Step::$step, Some(keys), what, go)
        }
    )*};
}

impl Backend for ToRedis {
    calls! {
        Read read(format: Format, slots: &'a [Slot]) -> Vec<Seen>, of(slots);
        Lease lease(format: Format, asks: &'a [LeaseAsk<'a>], token: &'a str, hold: Duration)
            -> Vec<Lease>, of(asks.iter().map(|ask| ask.slot));
        Fill fill(fills: &'a [Fill<'a>], token: &'a str)
            -> Vec<bool>, of(fills.iter().map(|fill| fill.slot));
        Begin begin(slots: &'a [Slot], token: &'a str, hold: Duration) -> Begin, of(slots);
        End end(ends: &'a [End<'a>]) -> Vec<bool>, of(ends.iter().map(|end| end.slot));
        Put put(puts: &'a [Put<'a>], asks_server: bool)
            -> PutReply, of(puts.iter().map(|put| put.slot));
        Evict evict(slots: &'a [Slot]) -> Vec<bool>, of(slots);
        Other register(facts: &'a [(&'static str, String)]) -> Vec<String>, String::new();
        Other amend(fact: &'static str, before: &'a str, after: &'a str) -> bool, String::new();
    }

    fn server(&self) -> Reply<'_, Server> {
        self.call(Step::Other, None, String::new(), MemoryBackend::server)
    }

    fn documents(&self) -> Reply<'_, Documents> {
        self.call(Step::Other, None, String::new(), MemoryBackend::documents)
    }

    fn topology(&self) -> Topology {
        self.memory.topology()
    }

    fn commands(&self) -> Vec<&'static str> {
        self.memory.commands()
    }

    // What tests do to a server is not what a process does.

    #[cfg(feature = "conformance")]
    fn plant<'a>(&'a self, key: &'a str, raw: crate::codec::Raw) -> Reply<'a, ()> {
        self.memory.plant(key, raw)
    }

    #[cfg(feature = "conformance")]
    fn plant_meta<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        meta: crate::backend::Meta,
    ) -> Reply<'a, ()> {
        self.memory.plant_meta(keys, partition, meta)
    }

    #[cfg(feature = "conformance")]
    fn incident<'a>(
        &'a self,
        keys: &'a Keyspace,
        incident: crate::backend::Incident,
    ) -> Reply<'a, ()> {
        self.memory.incident(keys, incident)
    }
}

impl JournalBackend for ToRedis {
    calls! {
        Append append(append: Append<'a>) -> Appended, of(append.writes.iter().map(|w| w.slot));
        Other meta(partition: u32) -> Meta, at(partition);
        Other backlog() -> Vec<(String, u32, u64)>, String::new();
        Claim claim(partition: u32, token: &'a str, hold: Duration) -> Option<Meta>, at(partition);
        Other release(partition: u32, token: &'a str) -> (), at(partition);
        Records records(partition: u32, after: u64, count: usize, bytes: usize)
            -> Vec<JournalRecord>, at(partition);
        Acknowledge acknowledge(acknowledgement: Acknowledgement<'a>)
            -> Acknowledged, at(acknowledgement.partition);
        Ticket ticket(partition: u32, ticket: &'a str) -> Meta, at(partition);
        Repair repair(repair: Repair<'a>) -> Repaired, at(repair.partition);
        Other sweep(partition: u32, after: u64, last_id: u64) -> Option<u64>, at(partition);
        Other retire(partition: u32, journal: &'a str, epoch: u64) -> Retired, at(partition);
        Confirm confirm(marks: &'a [Mark<'a>], durability: Durability, longest: Duration)
            -> Confirmed, String::new();
        Other seal(partition: u32, epoch: u64, may_be_left: bool) -> Option<u64>, at(partition);
    }
}

impl SnapshotBackend for ToRedis {
    calls! {
        Other turn(partition: u32, turn: Turn<'a>) -> Turned, at(partition);
        Other take_move(token: &'a str, hold: Duration) -> bool, String::new();
        Other end_move(token: &'a str) -> (), String::new();
        Records changed(ask: AskChanged<'a>) -> Option<Changed>, at(ask.partition);
        Acknowledge copied(report: Report<'a>) -> u64, at(report.partition);
        Other let_go(partition: u32, token: &'a str) -> (), at(partition);
        Other mark(marks: &'a [snapshot::Mark<'a>]) -> (), of(marks.iter().map(|mark| mark.slot));
        Put keep(puts: &'a [Put<'a>], token: &'a str)
            -> PutReply, of(puts.iter().map(|put| put.slot));
        Other free(partition: u32, entries: &'a [String], token: &'a str)
            -> Option<u64>, at(partition);
        Other scan(cursor: u64, count: usize) -> (u64, Vec<String>), String::new();
        Other survey(token: &'a str, hold: Duration, progress: Option<Survey>)
            -> Option<Survey>, String::new();
    }
}

/// Names entries by their keys.
fn of<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> String {
    slots.into_iter().map(|slot| format!(" {}", slot.entry)).collect()
}

fn at(partition: u32) -> String {
    format!(" partition {partition}")
}
