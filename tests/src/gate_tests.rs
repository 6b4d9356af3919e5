//! Tests of the gate itself, over a store that only counts.

use std::{sync::atomic::AtomicUsize, time::Duration};

use cached_repo::store::Class;
use tokio::time::{Instant, timeout};

use super::*;

const SCHEMA: Schema = Schema::new("gate", "gate", 1, &[]);

/// How many batches were really applied.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Store for Counting {
    fn load<'a>(
        &'a self,
        _: &'a Schema,
        _: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn check(&self, _: &Schema, _: &Change) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply<'a>(
        &'a self,
        _: &'a Schema,
        _: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ledger<'a>(&'a self, _: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        Box::pin(async { Ok(Entry::Done) })
    }

    fn describe<'a>(&'a self, _: &'a Schema) -> BoxFuture<'a, Result<Description, StoreError>> {
        Box::pin(async { Ok(Description::default()) })
    }
}

fn gated() -> (Arc<Gated>, Arc<Counting>) {
    let counting = Arc::new(Counting::default());
    (Gated::new(counting.clone()), counting)
}

async fn apply(gate: Arc<Gated>) -> Result<usize, Class> {
    let batch = Batch::new(&[], Instant::now());
    gate.apply(&SCHEMA, batch).await.map(|applied| applied.len()).map_err(|e| e.class())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_until_it_is_released() {
    let (gate, counting) = gated();
    let held = gate.hold(Point::BeforeApply, None);
    let call = tokio::spawn(apply(gate.clone()));
    held.arrived().await;
    assert!(held.has_arrived() && !call.is_finished());
    assert_eq!((counting.0.load(Ordering::SeqCst), gate.batches()), (0, 0));
    held.release();
    assert_eq!(call.await.unwrap(), Ok(0));
    assert_eq!((counting.0.load(Ordering::SeqCst), gate.batches()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_call_never_completes_although_it_took_effect() {
    let (gate, counting) = gated();
    let held = gate.hold(Point::AfterApply, None);
    let call = tokio::spawn(apply(gate.clone()));
    held.arrived().await;
    held.abandon();
    assert!(timeout(Duration::from_secs(3600), call).await.is_err());
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn errors_come_before_or_after_the_effect() {
    let (gate, counting) = gated();
    gate.fail(Point::BeforeApply, None, StoreError::transient("no"));
    gate.fail(Point::AfterApply, None, StoreError::unknown("perhaps"));
    assert_eq!(apply(gate.clone()).await, Err(Class::Transient));
    assert_eq!(counting.0.load(Ordering::SeqCst), 0);
    assert_eq!(apply(gate.clone()).await, Err(Class::Unknown));
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
    assert_eq!(apply(gate.clone()).await, Ok(0));
}

#[tokio::test]
async fn a_store_that_is_down_fails_every_call_until_it_is_up() {
    let (gate, counting) = gated();
    gate.down();
    assert_eq!(apply(gate.clone()).await, Err(Class::Transient));
    assert!(gate.describe(&SCHEMA).await.is_err());
    assert!(gate.load(&SCHEMA, Query::Ids(&[])).await.is_err());
    gate.up();
    assert_eq!(apply(gate.clone()).await, Ok(0));
    assert_eq!((counting.0.load(Ordering::SeqCst), gate.loads()), (1, 1));
}

#[tokio::test]
async fn a_dropped_gate_holds_nobody() {
    let (gate, _) = gated();
    drop(gate.hold(Point::BeforeApply, None));
    assert_eq!(apply(gate).await, Ok(0));
}

#[tokio::test]
async fn a_gate_for_an_id_lets_other_ids_pass() {
    let (gate, _) = gated();
    gate.fail(Point::AfterLoad, "42", StoreError::transient("caught"));
    let is_caught =
        async |point, id: &str| gate.pass(point, &[id.to_owned(), "7".to_owned()]).await.is_err();
    assert!(!is_caught(Point::AfterLoad, "41").await);
    assert!(!is_caught(Point::BeforeLoad, "42").await);
    assert!(is_caught(Point::AfterLoad, "42").await);
    assert!(!is_caught(Point::AfterLoad, "42").await, "a gate catches one call");
}

#[tokio::test(start_paused = true)]
async fn an_operation_of_the_ledger_is_held_by_its_name() {
    let (gate, _) = gated();
    let held = gate.hold(Point::AfterLedger, "settle");
    gate.fail(Point::BeforeLedger, "recover", StoreError::transient("no"));
    assert_eq!(gate.ledger(Ledger::Identity).await.ok(), Some(Entry::Done));
    let (entity, partition) = ("e", 0);
    let recover =
        Ledger::Recover { entity, partition, journal: "", home: "", epoch_min: 0, seen: 0 };
    assert!(gate.ledger(recover).await.is_err());
    assert!(gate.ledger(recover).await.is_ok());
    let settle = gate.ledger(Ledger::Settle { entity, partition, epoch: 1 });
    assert!(timeout(Duration::from_secs(1), settle).await.is_err());
    assert!(held.has_arrived());
}
