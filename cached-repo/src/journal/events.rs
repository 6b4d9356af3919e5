//! What happened to a journal or a copy that a person should know: counted, logged, told to a callback.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

/// Something that happened to the journal of one partition of an entity, or to its copying to the store.
///
/// `entity` is the entity's name with its namespace (`app:todos`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The journal goes on after a restart or a failover of Redis, or after the store was restored to an
    /// older state. What Redis itself lost (what was not synced or replicated yet) is lost.
    Recovered {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// The epoch from now on.
        epoch: u64,
        /// How many writes are left to drain.
        left: u64,
    },
    /// The journal was gone, or a state of it came back that had been given up. Writes that were
    /// acknowledged and not drained are lost.
    JournalLost {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// The store has every write up to this version.
        last_id: u64,
        /// How many records were found that had been given up. They were thrown away.
        discarded: u64,
    },
    /// The store was restored to a state that is older than what the journal has retained. Draining
    /// stopped; [`Cache::skip_gap`](crate::Cache::skip_gap) goes on without what is missing.
    JournalGap {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// The store has every write up to this version.
        from: u64,
        /// The journal has every write from after this version.
        to: u64,
    },
    /// The store refused a journaled write for good. It waits as a dead letter.
    DeadLettered {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// The write's version, which names the dead letter.
        version: u64,
        /// What the store said.
        error: String,
    },
    /// Draining fails in a way that passes only when somebody mends it. It is tried again and again.
    Paused {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Draining works again.
    Resumed {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
    },
    /// The store refused the copy of an entity that `redis_only` keeps. It is copied again when it
    /// changes, or at the next [`snapshot_now`](crate::Repository::snapshot_now).
    CopyRefused {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
        /// The id's text.
        id: String,
        /// What the store said.
        error: String,
    },
    /// Copying to the store fails in a way that passes only when somebody mends it. It is tried again and
    /// again.
    CopyingPaused {
        /// Whose.
        entity: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Copying works again.
    CopyingResumed {
        /// Whose.
        entity: String,
    },
    /// Something panicked while copying. It is tried again.
    CopyingPanicked {
        /// Whose.
        entity: String,
    },
    /// Something panicked while draining. It is tried again.
    Panicked {
        /// Whose.
        entity: String,
        /// Which partition.
        partition: u32,
    },
}

/// Who is told.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<Callback>>);

type Callback = dyn Fn(&Event) + Send + Sync;

impl Listener {
    pub(crate) fn new(callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// The same one, who is told nothing any more once it is over.
    #[cfg(feature = "testing")]
    pub(crate) fn until(self, is_over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let Some(callback) = self.0 else { return self };
        Self::new(move |event| {
            if !is_over() {
                callback(event);
            }
        })
    }

    /// Logs an event and tells the callback.
    pub(crate) fn tell(&self, event: &Event) {
        match event {
            Event::Resumed { .. } | Event::Recovered { .. } => {
                tracing::warn!(?event, "write-behind");
            }
            Event::CopyingResumed { .. } => tracing::warn!(?event, "snapshot"),
            Event::CopyRefused { .. }
            | Event::CopyingPaused { .. }
            | Event::CopyingPanicked { .. } => {
                tracing::error!(?event, "snapshot");
            }
            _ => tracing::error!(?event, "write-behind"),
        }
        let Some(callback) = &self.0 else { return };
        // What is told of is done already, and goes on.
        let called = panic::catch_unwind(AssertUnwindSafe(|| callback(event)));
        if called.is_err() {
            tracing::error!(?event, "the callback of `on_event` panicked");
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(set)" } else { "Listener(none)" })
    }
}
