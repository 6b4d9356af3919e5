//! What a repository did, counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a repository did since it was built. Each figure only grows.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Counts`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Reads that an entry answered.
    hits,
    /// Reads that an entry answered with "no such row".
    negative_hits,
    /// Reads for which there was no usable entry.
    misses,
    /// Entries that could not be decoded; each is a miss too.
    undecodable,
    /// Entries of another schema or an earlier generation; each is a miss too.
    outdated,
    /// Queries that loaded rows from the store.
    store_loads,
    /// Rows that these queries found.
    rows_loaded,
    /// Transactions that wrote rows to the store.
    store_writes,
    /// Rows that these transactions wrote or deleted.
    rows_written,
    /// Entries that were filled from rows, or from there being none.
    fills,
    /// Fills that were given up because somebody wrote meanwhile.
    fills_refused,
    /// Entries that were put by writes.
    puts,
    /// Cache steps of reads and writes that failed because Redis did not do them.
    cache_failures,
    /// Writes whose invalidation had to be left for later.
    invalidations_owed,
    /// Invalidations that were given up because too many were owed: the entry lives out its time.
    invalidations_lost,
    /// Writes that were journaled by this repository.
    journaled,
    /// Journaled writes that this process' worker applied to the store.
    drained,
    /// Journaled writes that it left out because a later one of the batch had the same id.
    coalesced,
    /// Journaled writes that the store refused; they are dead letters.
    dead_lettered,
    /// Transactions in which it drained.
    drain_batches,
    /// Drains that were given up because another worker was ahead.
    drain_conflicts,
    /// Drains that were put off because the store did not have yet what comes before, as `after` says.
    drain_waits,
    /// Drains that failed and are tried again.
    drain_failures,
    /// Drains that ended in a panic and are tried again.
    drain_panics,
    /// Recoveries of a journal that this process made.
    recoveries,
    /// Journals that were found lost, in whole or in part.
    journals_lost,
    /// Drains that found records missing which the store does not have.
    journal_gaps,
    /// Entities under `redis_only` that this process copied to the store.
    copied,
    /// Entities under `redis_only` whose deletion or expiry it copied.
    copied_deletes,
    /// Copies that the store refused.
    copies_refused,
    /// Transactions in which it copied.
    copy_batches,
    /// Copying that was given up because another process was ahead.
    copy_conflicts,
    /// Copying that failed, or panicked, and is tried again.
    copy_failures,
}

/// One figure.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        if n > 0 {
            self.0.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}
