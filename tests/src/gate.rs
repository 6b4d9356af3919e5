//! A store whose calls a test holds, abandons or fails at named points, without any sleep.

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cached_repo::{
    Change, Record, Schema,
    store::{Applied, Batch, Description, Entry, Ledger, Query, SharedStore, Store, StoreError},
};
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

/// Where a call can be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The rows were asked for, and not looked up yet.
    BeforeLoad,
    /// The rows were looked up, and the caller does not have them yet.
    AfterLoad,
    /// The batch was handed over, and nothing is written yet.
    BeforeApply,
    /// The batch is committed, and the caller does not know it yet.
    AfterApply,
    /// The ledger was asked, and did nothing yet. In place of an id stands the operation's name in
    /// lower case, such as `recover`.
    BeforeLedger,
    /// The ledger did what it was asked, and the caller does not know it yet.
    AfterLedger,
}

/// A store behind gates. Without any it does what the store inside does.
pub struct Gated {
    inner: Mutex<SharedStore>,
    traps: Mutex<Vec<Trap>>,
    seen: Mutex<Seen>,
    is_down: AtomicBool,
    rows_max: AtomicUsize,
    /// How long every call waits at each point.
    delay: Mutex<Duration>,
}

struct Trap {
    point: Point,
    id: Option<String>,
    action: Action,
}

enum Action {
    Fail(StoreError),
    Panic,
    Hold { arrived: watch::Sender<bool>, verdict: oneshot::Receiver<Verdict> },
}

#[derive(Debug)]
enum Verdict {
    Release,
    Abandon,
    Fail(StoreError),
}

#[derive(Default)]
struct Seen {
    loads: Vec<Vec<String>>,
    batches: Vec<Vec<Change>>,
    drained: usize,
}

impl Gated {
    /// Puts gates around a store. The `Arc` coerces to a [`SharedStore`].
    pub fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(inner),
            traps: Mutex::default(),
            seen: Mutex::default(),
            is_down: AtomicBool::new(false),
            rows_max: AtomicUsize::new(usize::MAX),
            delay: Mutex::default(),
        })
    }

    /// Holds the next call that comes by this point; with an id, the next one that concerns it.
    /// Each gate catches one call, earlier gates first.
    pub fn hold<'a>(&self, point: Point, id: impl Into<Option<&'a str>>) -> Held {
        let (arrived, has_arrived) = watch::channel(false);
        let (verdict, receiver) = oneshot::channel();
        self.trap(point, id.into(), Action::Hold { arrived, verdict: receiver });
        Held { arrived: has_arrived, verdict }
    }

    /// Fails the next call that comes by this point: an error at [`Point::AfterApply`] is one after
    /// the effect.
    pub fn fail<'a>(&self, point: Point, id: impl Into<Option<&'a str>>, error: StoreError) {
        self.trap(point, id.into(), Action::Fail(error));
    }

    /// Panics in the next call that comes by this point.
    pub fn panic<'a>(&self, point: Point, id: impl Into<Option<&'a str>>) {
        self.trap(point, id.into(), Action::Panic);
    }

    /// Puts another store behind the gates, such as an older copy of the one that was there.
    pub fn replace(&self, inner: SharedStore) {
        *lock(&self.inner) = inner;
    }

    /// Everything that was to happen, and has not, does not.
    pub fn calm(&self) {
        lock(&self.traps).clear();
        self.slow(Duration::ZERO);
        self.up();
    }

    /// From now on every call waits for so long before its effect, and as long behind it.
    pub fn slow(&self, delay: Duration) {
        *lock(&self.delay) = delay;
    }

    /// From now on every call fails before its effect, as if nobody could be reached.
    pub fn down(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    /// Ends [`down`](Self::down).
    pub fn up(&self) {
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// From now on batches of more rows run out of time.
    pub fn manage(&self, rows_max: usize) {
        self.rows_max.store(rows_max, Ordering::SeqCst);
    }

    /// How many loads were asked for, failed ones included.
    pub fn loads(&self) -> usize {
        lock(&self.seen).loads.len()
    }

    /// How many loads asked for this id.
    pub fn loads_of(&self, id: &str) -> usize {
        lock(&self.seen).loads.iter().filter(|ids| ids.iter().any(|i| i == id)).count()
    }

    /// How many batches took effect.
    pub fn batches(&self) -> usize {
        lock(&self.seen).batches.len()
    }

    /// How many of them came from a journal.
    pub fn drained(&self) -> usize {
        lock(&self.seen).drained
    }

    /// How many rows were written or deleted by them.
    pub fn rows(&self) -> usize {
        lock(&self.seen).batches.iter().map(Vec::len).sum()
    }

    /// The batches that took effect.
    pub fn written(&self) -> Vec<Vec<Change>> {
        lock(&self.seen).batches.clone()
    }

    fn inner(&self) -> SharedStore {
        Arc::clone(&lock(&self.inner))
    }

    fn trap(&self, point: Point, id: Option<&str>, action: Action) {
        lock(&self.traps).push(Trap { point, id: id.map(str::to_owned), action });
    }

    fn reach(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::transient("the test took the store down")),
            false => Ok(()),
        }
    }

    async fn pass(&self, point: Point, ids: &[String]) -> Result<(), StoreError> {
        let delay = *lock(&self.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Some(action) = self.take(point, ids) else { return Ok(()) };
        let (arrived, verdict) = match action {
            Action::Fail(error) => return Err(error),
            Action::Panic => panic!("the test lets the store panic"),
            Action::Hold { arrived, verdict } => (arrived, verdict),
        };
        arrived.send_replace(true);
        match verdict.await {
            // A gate that was dropped holds nobody: a test that failed is to end.
            Ok(Verdict::Release) | Err(_) => Ok(()),
            Ok(Verdict::Abandon) => pending().await,
            Ok(Verdict::Fail(error)) => Err(error),
        }
    }

    fn take(&self, point: Point, ids: &[String]) -> Option<Action> {
        let mut traps = lock(&self.traps);
        let catches =
            |t: &Trap| t.point == point && t.id.as_ref().is_none_or(|id| ids.contains(id));
        let index = traps.iter().position(catches)?;
        Some(traps.remove(index).action)
    }
}

/// A gate, and the call that it holds. Dropping it releases the call.
#[derive(Debug)]
pub struct Held {
    arrived: watch::Receiver<bool>,
    verdict: oneshot::Sender<Verdict>,
}

impl Held {
    /// Waits until a call is held.
    pub async fn arrived(&self) {
        let _ = self.arrived.clone().wait_for(|arrived| *arrived).await;
    }

    /// Whether a call is, or was, held.
    pub fn has_arrived(&self) -> bool {
        *self.arrived.borrow()
    }

    /// Lets the call go on. Before it arrives: it will not be held.
    pub fn release(self) {
        let _ = self.verdict.send(Verdict::Release);
    }

    /// Never lets the call go on, as if its process had crashed here.
    pub fn abandon(self) {
        let _ = self.verdict.send(Verdict::Abandon);
    }

    /// Lets the call fail here.
    pub fn fail(self, error: StoreError) {
        let _ = self.verdict.send(Verdict::Fail(error));
    }
}

impl Store for Gated {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Record<'static>>, StoreError>> {
        Box::pin(async move {
            let ids: Vec<String> = match query {
                Query::Ids(ids) => ids.iter().map(|id| id.text().to_owned()).collect(),
                _ => Vec::new(),
            };
            lock(&self.seen).loads.push(ids.clone());
            self.pass(Point::BeforeLoad, &ids).await?;
            self.reach()?;
            let rows = self.inner().load(schema, query).await?;
            self.pass(Point::AfterLoad, &ids).await?;
            Ok(rows)
        })
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        self.inner().check(schema, change)
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        Box::pin(async move {
            let ids: Vec<String> = batch.changes.iter().map(|c| c.id().text().to_owned()).collect();
            self.pass(Point::BeforeApply, &ids).await?;
            self.reach()?;
            if ids.len() > self.rows_max.load(Ordering::SeqCst) {
                return Err(StoreError::transient("the batch ran out of time"));
            }
            let applied = self.inner().apply(schema, batch).await?;
            lock(&self.seen).batches.push(batch.changes.to_vec());
            lock(&self.seen).drained += usize::from(batch.journaled.is_some());
            self.pass(Point::AfterApply, &ids).await?;
            Ok(applied)
        })
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        Box::pin(async move {
            let name = [name(&operation)];
            self.pass(Point::BeforeLedger, &name).await?;
            self.reach()?;
            let entry = self.inner().ledger(operation).await?;
            self.pass(Point::AfterLedger, &name).await?;
            Ok(entry)
        })
    }

    fn describe<'a>(
        &'a self,
        schema: &'a Schema,
    ) -> BoxFuture<'a, Result<Description, StoreError>> {
        Box::pin(async move {
            self.reach()?;
            self.inner().describe(schema).await
        })
    }
}

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gated({:?})", self.inner())
    }
}

fn name(operation: &Ledger<'_>) -> String {
    let name = match operation {
        Ledger::Install { .. } => "install",
        Ledger::Identity => "identity",
        Ledger::Offset { .. } => "offset",
        Ledger::Recover { .. } => "recover",
        Ledger::Settle { .. } => "settle",
        Ledger::Seal { .. } => "seal",
        Ledger::Letters { .. } => "letters",
        Ledger::Letter(_) => "letter",
        Ledger::Edit { .. } => "edit",
        Ledger::Discard(_) => "discard",
        _ => "unknown",
    };
    name.to_owned()
}

/// What is behind these locks is valid whenever they are free, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
