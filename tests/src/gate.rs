//! A store whose calls a test holds, abandons or fails at named points, without any sleep.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cached_repo::{
    Change, Schema,
    store::{
        Applied, Batch, Description, Entry, Ledger, Query, Row, SharedStore, Store, StoreError,
    },
    testing::gates::{self, Gates},
};
use futures_util::future::BoxFuture;

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
    gates: Gates<Visit, Failure>,
    seen: Mutex<Seen>,
    is_down: AtomicBool,
    rows_max: AtomicUsize,
    /// How long every call waits at each point.
    delay: Mutex<Duration>,
}

/// A call at a point, and the ids that it concerns.
struct Visit {
    point: Point,
    ids: Vec<String>,
}

/// How a call fails.
#[derive(Debug)]
enum Failure {
    Error(StoreError),
    Panic,
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
            gates: Gates::default(),
            seen: Mutex::default(),
            is_down: AtomicBool::new(false),
            rows_max: AtomicUsize::new(usize::MAX),
            delay: Mutex::default(),
        })
    }

    /// Holds the next call that comes by this point; with an id, the next one that concerns it.
    /// Each gate catches one call, earlier gates first.
    pub fn hold<'a>(&self, point: Point, id: impl Into<Option<&'a str>>) -> Held {
        Held(self.gates.hold(catches(point, id.into())))
    }

    /// Fails the next call that comes by this point: an error at [`Point::AfterApply`] is one after
    /// the effect.
    pub fn fail<'a>(&self, point: Point, id: impl Into<Option<&'a str>>, error: StoreError) {
        self.gates.fail(catches(point, id.into()), Failure::Error(error));
    }

    /// Panics in the next call that comes by this point.
    pub fn panic<'a>(&self, point: Point, id: impl Into<Option<&'a str>>) {
        self.gates.fail(catches(point, id.into()), Failure::Panic);
    }

    /// Puts another store behind the gates, such as an older copy of the one that was there.
    pub fn replace(&self, inner: SharedStore) {
        *lock(&self.inner) = inner;
    }

    /// Everything that was to happen, and has not, does not.
    pub fn calm(&self) {
        self.gates.clear();
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
        match self.gates.pass(&Visit { point, ids: ids.to_vec() }).await {
            Ok(()) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Panic) => panic!("the test lets the store panic"),
        }
    }
}

/// The calls that come by a point; with an id, those that concern it.
fn catches(point: Point, id: Option<&str>) -> impl Fn(&Visit) -> bool + Send + use<> {
    let id = id.map(str::to_owned);
    move |visit| visit.point == point && id.as_ref().is_none_or(|id| visit.ids.contains(id))
}

/// A gate, and the call that it holds. Dropping it releases the call.
#[derive(Debug)]
pub struct Held(gates::Held<Failure>);

impl Held {
    /// Waits until a call is held.
    pub async fn arrived(&self) {
        self.0.arrived().await;
    }

    /// Whether a call is, or was, held.
    pub fn has_arrived(&self) -> bool {
        self.0.has_arrived()
    }

    /// Lets the call go on. Before it arrives: it will not be held.
    pub fn release(self) {
        self.0.release();
    }

    /// Never lets the call go on, as if its process had crashed here.
    pub fn abandon(self) {
        self.0.abandon();
    }

    /// Lets the call fail here.
    pub fn fail(self, error: StoreError) {
        self.0.fail(Failure::Error(error));
    }
}

impl Store for Gated {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
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
