//! Writing to the journal: one atomic step per partition, tried again until it is known what became of
//! it.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Journal, Receipt};
use crate::{
    backend::{
        CacheError, Content,
        journal::{Append, Appended, Write},
    },
    change::{Change, EntityId},
    codec::{Body, State},
    entity::OnFull,
    error::{Error, ErrorKind, Outcome, Result},
    key::Slot,
    record::Record,
    retry::Backoff,
};

/// How long an append is tried again of which nobody knows whether it happened, or to a server that is
/// busy. A restart of Redis takes about as long.
const AMBIGUOUS_PATIENCE: Duration = Duration::from_secs(2);
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(100);
/// How often in a row a journal is recovered for one write. More means that two processes take turns in
/// saying where it belongs.
const RECOVERIES_MAX: usize = 20;

/// A change, encoded.
struct Prepared<'c> {
    id: &'c EntityId,
    slot: Slot,
    stamp: String,
    body: Body,
    deletes: bool,
    data: Option<String>,
}

/// How patient an append still is.
struct Attempts {
    op_id: String,
    backoff: Backoff,
    began: Instant,
    /// When the last attempt was made.
    tried_at: Instant,
    /// The highest version before the first attempt of which nobody knows whether it happened.
    tried_above: Option<u64>,
    /// When it began that nobody knows.
    ambiguous_since: Option<Instant>,
    recoveries: usize,
}

impl Journal {
    /// Journals changes; answers a receipt for each, but for those that are to be written through
    /// because the journal is full. Each partition's changes are one step; if one partition fails, those
    /// of the others may be journaled.
    pub(crate) async fn append(&self, changes: &[Change]) -> Result<Vec<Option<Receipt>>> {
        if let Some(reason) = self.roster.suspension() {
            return Err(Error::configuration(reason));
        }
        let prepared: Vec<_> = changes.iter().map(|c| self.prepare(c)).collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..prepared.len()).collect();
        order.sort_by_key(|&i| prepared[i].slot.partition);
        let groups: Vec<&[usize]> = order
            .chunk_by(|&a, &b| prepared[a].slot.partition == prepared[b].slot.partition)
            .collect();
        let several = groups.len() > 1;
        let appends = groups.iter().map(|group| {
            let writes: Vec<&Prepared<'_>> = group.iter().map(|&i| &prepared[i]).collect();
            async move { self.append_to_one(&writes).await }
        });
        let mut receipts: Vec<Option<Receipt>> = vec![None; prepared.len()];
        let mut failed = None;
        let mut journaled = 0;
        for (group, answer) in groups.iter().zip(futures_util::future::join_all(appends).await) {
            match answer {
                Ok(answer) => {
                    journaled += answer.len();
                    for (&index, receipt) in group.iter().zip(answer) {
                        receipts[index] = Some(receipt);
                    }
                }
                Err(error) if failed.as_ref().is_some_and(is_unknown) => drop(error),
                Err(error) => failed = Some(error),
            }
        }
        self.entries.counters.journaled.add(journaled);
        match failed {
            Some(error) if several && journaled > 0 => Err(error.outcome_is(Outcome::Unknown)),
            Some(error) => Err(error),
            None => Ok(receipts),
        }
    }

    /// Appends the changes of one partition. No receipts: they are to be written through.
    async fn append_to_one(&self, prepared: &[&Prepared<'_>]) -> Result<Vec<Receipt>> {
        let Some(first) = prepared.first() else { return Ok(Vec::new()) };
        let partition = first.slot.partition;
        let seen = self.partition(partition)?.seen.load(Ordering::Relaxed);
        let writes: Vec<Write<'_>> = prepared.iter().map(|p| p.write()).collect();
        let mut attempts = Attempts::new(self);
        loop {
            let append = Append {
                partition,
                op_id: &attempts.op_id,
                tried_above: attempts.tried_above,
                bound: self.bound(),
                schema: self.entries.codec.fingerprint_text(),
                writes: &writes,
            };
            attempts.tried_at = self.entries.clock.now();
            match self.entries.backend.append(&self.entries.keys, append).await {
                Ok(Appended::Written { versions, epoch, journal }) => {
                    let receipt = |version| {
                        self.saw(partition, version);
                        let (prefix, journal) = (self.prefix().to_owned(), journal.clone());
                        Receipt { prefix, partition, journal, epoch, version }
                    };
                    let receipts = versions.into_iter().map(receipt).collect();
                    self.nudge(partition);
                    return Ok(receipts);
                }
                Ok(Appended::Fenced) => {
                    attempts.recoveries += 1;
                    if attempts.recoveries > RECOVERIES_MAX {
                        return Err(attempts.fail(fenced()));
                    }
                    self.recover(partition).await.map_err(|error| attempts.fail(error))?;
                }
                Ok(Appended::Intended { wait }) => {
                    if attempts.began.elapsed() >= self.settings.patience {
                        return Err(attempts.fail(intended().of(first.id)));
                    }
                    attempts.pause(self, wait).await;
                }
                Ok(Appended::Full) => {
                    self.nudge(partition);
                    match self.settings.on_full {
                        OnFull::Block(longest) if attempts.began.elapsed() < longest => {
                            attempts.pause(self, longest).await;
                        }
                        // An earlier attempt may be on its way, and must not come behind the store's.
                        OnFull::WriteThrough if attempts.tried_above.is_none() => {
                            return Ok(Vec::new());
                        }
                        _ => return Err(attempts.fail(self.full(partition))),
                    }
                }
                Ok(Appended::Overtaken) => {
                    let message = "a later attempt of this write was made that nobody knows of";
                    return Err(attempts.fail(Error::new(ErrorKind::Internal, message)));
                }
                Ok(Appended::Kept(index)) => {
                    let id = prepared.get(index).map_or("", |p| p.id.text());
                    return Err(attempts.fail(kept().of(id)));
                }
                Err(error) => attempts.after(self, error, seen).await?,
            }
        }
    }

    fn prepare<'c>(&self, change: &'c Change) -> Result<Prepared<'c>> {
        let id = change.id();
        let codec = &self.entries.codec;
        let slot = self.entries.keys.slot(change.id());
        let stamp = codec.stamp(slot.hash);
        let unwritable =
            |cause| Error::invalid("the value cannot be written").of(change.id()).caused_by(cause);
        let Some(record) = change.record() else {
            let mut ids = Record::absent(self.entries.schema.columns().len());
            for ((index, _), value) in self.entries.schema.id_columns().zip(change.id().values()) {
                ids.set(index, value.clone());
            }
            let data = Some(codec.encode_data(&ids).map_err(unwritable)?);
            return Ok(Prepared {
                id,
                slot,
                stamp,
                body: codec.encode_absence(),
                deletes: true,
                data,
            });
        };
        let body = codec.encode(record).map_err(unwritable)?;
        let data = match &body {
            // The entry says the same.
            Body::Text(_) => None,
            _ => Some(codec.encode_data(record).map_err(unwritable)?),
        };
        Ok(Prepared { id, slot, stamp, body, deletes: false, data })
    }

    fn full(&self, partition: u32) -> Error {
        let records = self.settings.bound.records;
        Error::new(
            ErrorKind::BacklogFull,
            format!(
                "partition {partition} of the journal holds as many writes that are not in the store as \
                 it may (its share of {records}): see whether the store takes writes \
                 (`Cache::health`), or raise `max_backlog`"
            ),
        )
    }
}

impl Attempts {
    fn new(journal: &Journal) -> Self {
        let began = journal.entries.clock.now();
        Self {
            op_id: journal.entries.random.token(),
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            began,
            tried_at: began,
            tried_above: None,
            ambiguous_since: None,
            recoveries: 0,
        }
    }

    async fn pause(&mut self, journal: &Journal, longest: Duration) {
        sleep(self.backoff.wait(&journal.entries.random).min(longest)).await;
    }

    /// After an error of the cache: waits, if there is reason to try again.
    async fn after(&mut self, journal: &Journal, error: CacheError, seen: u64) -> Result<()> {
        if error.is_ambiguous() {
            self.tried_above.get_or_insert(seen);
        } else if !error.is_retryable() {
            return Err(self.fail(error.into_error()));
        }
        let since = *self.ambiguous_since.get_or_insert(self.tried_at);
        if since.elapsed() >= AMBIGUOUS_PATIENCE {
            return Err(self.fail(error.into_error()));
        }
        self.pause(journal, BACKOFF_MAX).await;
        Ok(())
    }

    /// An error, with what is known of the write.
    fn fail(&self, error: Error) -> Error {
        match self.tried_above {
            Some(_) => error.outcome_is(Outcome::Unknown),
            None => error,
        }
    }
}

fn is_unknown(error: &Error) -> bool {
    error.outcome() == Outcome::Unknown
}

impl Prepared<'_> {
    fn write(&self) -> Write<'_> {
        let state = if self.deletes { State::Tombstone } else { State::Dirty };
        Write {
            slot: &self.slot,
            content: Content { state, stamp: &self.stamp, body: &self.body, ttl: None },
            deletes: self.deletes,
            data: self.data.as_deref(),
        }
    }
}

fn fenced() -> Error {
    Error::new(
        ErrorKind::Fenced,
        "the journal was recovered several times and still belongs to another Redis server: see whether \
         processes are connected to different servers",
    )
    .retryable()
}

fn intended() -> Error {
    Error::new(
        ErrorKind::Intended,
        "another process is writing this entity to the store, and does not come to an end: try again",
    )
}

fn kept() -> Error {
    Error::new(
        ErrorKind::Dirty,
        "`redis_only` keeps this entity: to move it to the store, call `Repository::export` on a \
         repository under `redis_only`",
    )
}
