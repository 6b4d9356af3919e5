//! Settings of what is written behind: the journal's bound, and how it is drained.

use super::{RepositoryBuilder, checks};
use crate::{
    backend::journal::Bound,
    entity::CachedEntity,
    error::Result,
    journal::{JournalSettings, OnFull},
    strategy::Strategy,
};

const BACKLOG_MAX: u64 = 100_000;
const BACKLOG_MAX_BYTES: u64 = 1024 * 1024 * 1024;
const DRAIN_BATCH: usize = 500;

/// What only `write_behind` looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteBehindSettings {
    backlog: Bound,
    on_full: OnFull,
    drain_batch: usize,
    coalesce: bool,
    pub(super) allow_stale_reads: bool,
}

impl Default for WriteBehindSettings {
    fn default() -> Self {
        Self {
            backlog: Bound { records: BACKLOG_MAX, bytes: BACKLOG_MAX_BYTES },
            on_full: OnFull::default(),
            drain_batch: DRAIN_BATCH,
            coalesce: true,
            allow_stale_reads: false,
        }
    }
}

impl<E: CachedEntity> RepositoryBuilder<E> {
    /// How many journaled writes of the entity may wait for the drain under `write_behind`; each
    /// partition has an equal share. At least one per partition. Defaults to 100,000.
    pub fn max_backlog(mut self, writes: u64) -> Self {
        self.behind.backlog.records = writes;
        self
    }

    /// How many bytes these writes may have together. Defaults to 1 GiB.
    pub fn max_backlog_bytes(mut self, bytes: u64) -> Self {
        self.behind.backlog.bytes = bytes;
        self
    }

    /// What a write does when the backlog is that large. Defaults to waiting for 1 s.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.behind.on_full = on_full;
        self
    }

    /// How many journaled writes are drained in one transaction at most, 1 to 10,000. Defaults to 500.
    pub fn drain_batch(mut self, writes: usize) -> Self {
        self.behind.drain_batch = writes;
        self
    }

    /// Whether of several journaled writes of one id only the last is written to the store, when they
    /// are drained together. Without, the store sees every one of them. Defaults to true.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.behind.coalesce = coalesce;
        self
    }

    /// Whether reads under `write_behind` are answered by the store while Redis cannot be reached,
    /// although Redis may hold newer writes. Without, they fail. Defaults to false.
    pub fn allow_stale_reads(mut self, allow: bool) -> Self {
        self.behind.allow_stale_reads = allow;
        self
    }

    pub(super) fn journal_settings(&self, strategy: Strategy) -> Result<JournalSettings> {
        let WriteBehindSettings { backlog, on_full, drain_batch, coalesce, .. } = self.behind;
        checks::journal(backlog, self.partitions, drain_batch)?;
        Ok(JournalSettings {
            bound: backlog,
            on_full,
            batch: drain_batch,
            coalesce,
            store_timeout: self.store_timeout,
            patience: self.store_timeout + self.intent_grace,
            written: strategy == Strategy::WriteBehind,
        })
    }
}
