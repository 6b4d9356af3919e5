//! A process of a kit: its handles to Redis and to the database, and its death.

use std::{
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::{At, Point, shared::Shared};
use crate::{
    handle::{Cache, Duties},
    store::SharedStore,
};

/// A process: what a program has that runs once, beside others, over one Redis and one database.
///
/// Give [`cache`](Self::cache) and [`store`](Self::store) to the code that is tested, as a `main` would
/// give it the connections. The process runs until it crashes, or until the last handle of its cache and
/// its repositories is dropped.
pub struct Process {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
    pub(super) cache: Cache,
    pub(super) store: SharedStore,
}

impl Process {
    /// The process' connection to the kit's Redis.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The process' connection to the kit's database.
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The next time that this process comes by a point.
    pub fn at(&self, point: Point) -> At {
        At::new(Arc::clone(&self.shared), point, Some(self.life.number))
    }

    /// Ends the process here and now, without a word. Nothing that it was about to do happens, and it
    /// tells its [`on_event`](crate::CacheBuilder::on_event) nothing any more. Calls that the test still
    /// waits for, and later ones, fail within moments, with an outcome that is unknown where a real
    /// process would have taken the answer with it.
    pub fn crash(&self) {
        self.life.end();
    }

    /// Whether it has not crashed.
    pub fn is_running(&self) -> bool {
        !self.life.is_over()
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Life { number, .. } = *self.life;
        f.debug_struct("Process").field("number", &number).finish_non_exhaustive()
    }
}

/// Whether a process lives, and what it has.
#[derive(Debug)]
pub(super) struct Life {
    /// The first one is 1.
    pub(super) number: u32,
    is_over: AtomicBool,
    /// Unlike a `watch` it tells those who wait in their order.
    over: Notify,
    duties: OnceLock<Weak<Duties>>,
}

impl Life {
    pub(super) fn new(number: u32) -> Arc<Self> {
        let (is_over, over) = (AtomicBool::new(false), Notify::new());
        Arc::new(Self { number, is_over, over, duties: OnceLock::new() })
    }

    /// Says what the process has to do.
    pub(super) fn begin(&self, duties: &Arc<Duties>) {
        self.duties.get_or_init(|| Arc::downgrade(duties));
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.over.notify_waiters();
        if let Some(duties) = self.duties.get().and_then(Weak::upgrade) {
            duties.roster.stop();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Waits until it is over.
    pub(super) async fn ended(&self) {
        // Whoever asks for it before looking is told.
        let over = self.over.notified();
        if !self.is_over() {
            over.await;
        }
    }

    /// What it has to do, while it runs.
    pub(super) fn duties(&self) -> Option<Arc<Duties>> {
        let duties = self.duties.get()?.upgrade()?;
        (!self.is_over() && !duties.roster.is_stopped()).then_some(duties)
    }
}
