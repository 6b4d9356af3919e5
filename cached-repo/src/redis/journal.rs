//! The journals: each call is one server-side step, but for the reading of records.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    RedisBackend, answers,
    append::append_call,
    call::Call,
    record::{StreamEntry, meta, record},
    scripts::Step,
    unexpected,
};
use crate::{
    backend::{
        CacheError, Reply,
        journal::{
            Acknowledged, Acknowledgement, Append, Appended, Confirmed, Fate, JournalBackend,
            JournalRecord, Mark, Meta, Repair, Repaired, Retired, STEP_RECORDS,
        },
    },
    entity::Durability,
    key::{Keyspace, Topology},
};

/// So many records are asked for first.
const PAGE_FIRST: usize = 4;
/// So many bytes of data are asked for at a time, as far as that can be told.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

impl JournalBackend for RedisBackend {
    fn append<'a>(&'a self, keys: &'a Keyspace, append: Append<'a>) -> Reply<'a, Appended> {
        Box::pin(async move {
            let call = append_call(keys, &append)?;
            let answer: Vec<String> = match self.run(Step::Append, &call).await {
                // It may be in the journal although there is no memory for another one.
                Err(error) if append.tried_above.is_some() && !error.is_ambiguous() => {
                    self.scripts.run_script(&self.connection, Step::Append, &call).await?
                }
                answer => answer?,
            };
            let appended = answers::appended(&answer, append.writes.len());
            appended.ok_or_else(|| unexpected(Step::Append))
        })
    }

    fn meta<'a>(&'a self, keys: &'a Keyspace, partition: u32) -> Reply<'a, Meta> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition));
            let answer: Vec<String> = self.run(Step::Meta, &call).await?;
            meta(answer).ok_or_else(|| unexpected(Step::Meta))
        })
    }

    fn backlog<'a>(&'a self, keys: &'a Keyspace) -> Reply<'a, Vec<(String, u32, u64)>> {
        Box::pin(async move {
            let partitions = match self.topology {
                Topology::Standalone => 0..1,
                Topology::Cluster => keys.layout().range(),
            };
            let ask = async |partition| {
                let mut command = redis::cmd("ZRANGE");
                command.arg(keys.backlog(partition)).arg(0).arg(-1).arg("WITHSCORES");
                self.connection.command::<Vec<(String, f64)>>(&command).await
            };
            let found = try_join_all(partitions.map(ask)).await?;
            let parse = |(member, version): (String, f64)| {
                let (prefix, partition) = Keyspace::parse_member(&member)?;
                Some((prefix.to_owned(), partition, version as u64))
            };
            Ok(found.into_iter().flatten().filter_map(parse).collect())
        })
    }

    fn claim<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        token: &'a str,
        hold: Duration,
    ) -> Reply<'a, Option<Meta>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.claim(partition));
            call.argument(token).argument(hold.as_millis().max(1));
            let answer: Option<Vec<String>> = self.run(Step::Claim, &call).await?;
            let Some(answer) = answer else { return Ok(None) };
            meta(answer).map(Some).ok_or_else(|| unexpected(Step::Claim))
        })
    }

    fn release<'a>(&'a self, keys: &'a Keyspace, partition: u32, token: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.claim(partition)).argument(token);
            self.run::<u64>(Step::Release, &call).await.map(drop)
        })
    }

    fn records<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Reply<'a, Vec<JournalRecord>> {
        Box::pin(async move {
            let (mut records, mut size) = (Vec::<JournalRecord>::new(), 0);
            while records.len() < count {
                let after = records.last().map_or(after, |record| record.version);
                let page = match records.len() {
                    0 => PAGE_FIRST,
                    n => (PAGE_BYTES * n / size.max(1)).max(1),
                };
                let asked = page.min(count - records.len());
                let page = self.page(keys, partition, after, asked).await?;
                let is_last = page.len() < asked;
                for record in page {
                    size += record.data.len();
                    records.push(record);
                    if size >= bytes {
                        return Ok(records);
                    }
                }
                if is_last {
                    break;
                }
            }
            Ok(records)
        })
    }

    fn acknowledge<'a>(
        &'a self,
        keys: &'a Keyspace,
        acknowledgement: Acknowledgement<'a>,
    ) -> Reply<'a, Acknowledged> {
        Box::pin(async move {
            let call = acknowledge_call(keys, &acknowledgement);
            let answer: String = self.run(Step::Acknowledge, &call).await?;
            answers::acknowledged(&answer).ok_or_else(|| unexpected(Step::Acknowledge))
        })
    }

    fn ticket<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        ticket: &'a str,
    ) -> Reply<'a, Meta> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).argument(ticket);
            let answer: Vec<String> = self.run(Step::Ticket, &call).await?;
            meta(answer).ok_or_else(|| unexpected(Step::Ticket))
        })
    }

    fn repair<'a>(&'a self, keys: &'a Keyspace, repair: Repair<'a>) -> Reply<'a, Repaired> {
        Box::pin(async move {
            let Repair { partition, ticket, epoch, settled, journal, last_id, .. } = repair;
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.generation(partition));
            call.key(keys.journal(partition)).key(keys.backlog(partition));
            call.argument(ticket).argument(epoch).argument(settled);
            call.argument(journal).argument(last_id).argument(keys.member(partition));
            call.argument(u8::from(repair.expects_kept)).argument(u8::from(repair.expects_empty));
            let answer: Vec<String> = self.run(Step::Repair, &call).await?;
            answers::repaired(&answer).ok_or_else(|| unexpected(Step::Repair))
        })
    }

    fn sweep<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        after: u64,
        last_id: u64,
    ) -> Reply<'a, Option<u64>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.journal(partition)).argument(after).argument(last_id);
            call.argument(STEP_RECORDS);
            self.version(Step::Sweep, &call).await
        })
    }

    fn retire<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        journal: &'a str,
        epoch: u64,
    ) -> Reply<'a, Retired> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.generation(partition));
            call.key(keys.journal(partition)).key(keys.backlog(partition));
            call.argument(journal).argument(epoch).argument(keys.member(partition));
            call.argument(STEP_RECORDS);
            let answer: String = self.run(Step::Retire, &call).await?;
            answers::retired(&answer).ok_or_else(|| unexpected(Step::Retire))
        })
    }

    fn confirm<'a>(
        &'a self,
        keys: &'a Keyspace,
        marks: &'a [Mark<'a>],
        durability: Durability,
        longest: Duration,
    ) -> Reply<'a, Confirmed> {
        Box::pin(self.durable.confirm(&self.scripts, keys, marks, durability, longest))
    }

    fn seal<'a>(
        &'a self,
        keys: &'a Keyspace,
        partition: u32,
        epoch: u64,
        may_be_left: bool,
    ) -> Reply<'a, Option<u64>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.key(keys.meta(partition)).key(keys.journal(partition)).argument(epoch);
            call.argument(u8::from(may_be_left));
            self.version(Step::Seal, &call).await
        })
    }
}

impl RedisBackend {
    /// Runs a step that answers a version, or nothing.
    async fn version(&self, step: Step, call: &Call) -> Result<Option<u64>, CacheError> {
        let answer: Option<String> = self.run(step, call).await?;
        let version = |text: String| answers::version(&text).ok_or_else(|| unexpected(step));
        answer.map(version).transpose()
    }

    async fn page(
        &self,
        keys: &Keyspace,
        partition: u32,
        after: u64,
        count: usize,
    ) -> Result<Vec<JournalRecord>, CacheError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(keys.journal(partition)).arg(format!("({after}-0")).arg("+");
        let entries: Vec<StreamEntry> =
            self.connection.command(command.arg("COUNT").arg(count)).await?;
        entries.into_iter().map(record).collect()
    }
}

fn acknowledge_call(keys: &Keyspace, acknowledgement: &Acknowledgement<'_>) -> Call {
    let Acknowledgement { partition, epoch, from, last_id, settled, .. } = *acknowledgement;
    let Acknowledgement { retention, retained_bytes, token, hold, .. } = *acknowledgement;
    let mut call = Call::default();
    call.key(keys.meta(partition)).key(keys.journal(partition));
    call.key(keys.backlog(partition)).key(keys.claim(partition));
    call.argument(epoch).argument(from).argument(last_id);
    call.argument(retention.as_millis()).argument(retained_bytes);
    call.argument(token).argument(hold.as_millis().max(1)).argument(keys.member(partition));
    // A record that somebody else added names no entry.
    for settled in settled.iter().filter(|settled| !settled.entry.is_empty()) {
        call.key(settled.entry).argument(settled.version);
        match settled.fate {
            Fate::Clean { ttl } if ttl.is_zero() => call.argument(0),
            Fate::Clean { ttl } => call.argument(ttl.as_millis().max(1)),
            Fate::Drop => call.argument(""),
        };
    }
    call
}
