//! Settings of what is written behind: the journal's bound, and how it is drained.

use std::time::Duration;

use super::{RepositoryBuilder, checks};
use crate::{
    backend::journal::Bound,
    entity::{CachedEntity, Durability, OnFull, Settings},
    error::Result,
    journal::{DurabilitySettings, JournalSettings},
    strategy::Strategy,
};

const BACKLOG_MAX: u64 = 100_000;
const BACKLOG_MAX_BYTES: u64 = 1024 * 1024 * 1024;
const BATCH: usize = 500;
const DURABILITY_TIMEOUT: Duration = Duration::from_secs(5);

/// What only `write_behind` looks at, and what no attribute says.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteBehindSettings {
    backlog_max_bytes: u64,
    durability_timeout: Duration,
    fsync_is_asserted: bool,
    pub(super) allow_stale_reads: bool,
}

impl Default for WriteBehindSettings {
    fn default() -> Self {
        Self {
            backlog_max_bytes: BACKLOG_MAX_BYTES,
            durability_timeout: DURABILITY_TIMEOUT,
            fsync_is_asserted: false,
            allow_stale_reads: false,
        }
    }
}

impl<E: CachedEntity> RepositoryBuilder<E> {
    /// How many journaled writes of the entity may wait for the drain under `write_behind`; each
    /// partition has an equal share, rounded up. At least one per partition. Defaults to the attribute, and without one
    /// to 100,000.
    pub fn max_backlog(mut self, writes: u64) -> Self {
        self.settings.max_backlog = Some(writes);
        self
    }

    /// How many bytes these writes may have together. Defaults to 1 GiB.
    pub fn max_backlog_bytes(mut self, bytes: u64) -> Self {
        self.behind.backlog_max_bytes = bytes;
        self
    }

    /// What a write does when the backlog is that large. Defaults to the attribute, and
    /// without one to waiting for 1 s.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.settings.on_full = Some(on_full);
        self
    }

    /// When a write under `write_behind` or `redis_only` is acknowledged: once Redis has it in memory, on
    /// its disk, or on so many replicas. Defaults to the attribute, and without one to memory.
    ///
    /// Writes that wait at the same time are waited for together. A write that is not as durable in time
    /// is an error with the kind [`DurabilityNotMet`](crate::ErrorKind::DurabilityNotMet); it is in Redis
    /// all the same, journaled and drained under `write_behind`.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = Some(durability);
        self
    }

    /// How long a write waits to be that durable, 1 ms to 1 min. Defaults to 5 s.
    pub fn durability_timeout(mut self, timeout: Duration) -> Self {
        self.behind.durability_timeout = timeout;
        self
    }

    /// Takes your word for it that Redis syncs with every write (`appendfsync always`), where it is older
    /// than 7.2 and this user may not ask (`CONFIG GET`). Defaults to asking.
    pub fn fsync_asserted(mut self) -> Self {
        self.behind.fsync_is_asserted = true;
        self
    }

    /// How many journaled writes are drained in one transaction at most, 1 to 10,000. Defaults to the
    /// attribute, and without one to 500.
    pub fn batch(mut self, writes: usize) -> Self {
        self.settings.batch = Some(writes);
        self
    }

    /// Whether of several journaled writes of one id only the last is written to the store, when they
    /// are drained together. Without, the store sees every one of them. Defaults to the attribute, and
    /// without one to true.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.settings.coalesce = Some(coalesce);
        self
    }

    /// Whether reads under `write_behind` are answered by the store while Redis cannot be reached,
    /// although Redis may hold newer writes. Without, they fail. Defaults to false.
    pub fn allow_stale_reads(mut self, allow: bool) -> Self {
        self.behind.allow_stale_reads = allow;
        self
    }

    pub(super) fn journal_settings(
        &self,
        strategy: Strategy,
        partitions: u32,
    ) -> Result<JournalSettings> {
        let Settings { max_backlog, on_full, batch, coalesce, durability, .. } = self.settings;
        let durability = DurabilitySettings {
            level: durability.unwrap_or_default(),
            longest: self.behind.durability_timeout,
            is_asserted: self.behind.fsync_is_asserted,
        };
        checks::durability(durability)?;
        let bound = Bound {
            records: max_backlog.unwrap_or(BACKLOG_MAX),
            bytes: self.behind.backlog_max_bytes,
        };
        let batch = batch.unwrap_or(BATCH);
        checks::journal(bound, partitions, batch)?;
        Ok(JournalSettings {
            bound,
            on_full: on_full.unwrap_or_default(),
            durability,
            batch,
            coalesce: coalesce.unwrap_or(true),
            store_timeout: self.store_timeout,
            patience: self.store_timeout + self.intent_grace,
            written: strategy == Strategy::WriteBehind,
            moves: false,
        })
    }
}
