//! Redis falls back or forgets, and databases are set back, between a child's look at its parents and its drain.

use std::time::Duration;

use cached_repo::{ErrorKind, Incident, Repository, Strategy, store};
use tests::{Held, Point};
use tokio::time::timeout;

use super::{
    super::scene::patient,
    family::{Family, Member, Order, customer, order},
};
use crate::stage::{On, Over};

const HANG: Duration = Duration::from_secs(120);

/// A process whose order 1 waits for its customer, which the database is about to be given.
async fn a_child_waits(family: &Family) -> (Member, Held) {
    let member = family.member(patient()).await;
    member.open().await;
    let held = family.parents.hold(Point::BeforeApply, "1");
    member.save(1).await;
    held.arrived().await;
    member.has_waited().await;
    (member, held)
}

#[tokio::test(start_paused = true)]
async fn parents_that_redis_falls_back_with_are_waited_for_in_their_new_journal() {
    let family = Family::in_process().await;
    let (member, held) = a_child_waits(&family).await;
    family.scene.host.suffer(Incident::Replicate).await.unwrap();
    member.save(2).await;
    family.scene.host.suffer(Incident::FailOver).await.unwrap();
    // Of all partitions, so that all are recovered.
    let more: Vec<_> = (3..40).map(customer).collect();
    let again = family.parents.hold(Point::BeforeApply, "1");
    member.customers.save_many(&more).await.unwrap();
    held.release();
    again.arrived().await;
    for id in 3..40 {
        member.orders.save(&order(id)).await.unwrap();
    }
    member.has_waited().await;
    again.release();
    timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
    family.check_order(1..2);
    family.check_order(3..40);
    assert_eq!(member.dead(), 0);
}

/// As if they were at another node of a cluster, and that one was replaced.
#[tokio::test]
async fn parents_that_are_recovered_alone_are_waited_for_in_their_new_journal() {
    let family = Family::new(On::Memory, Over::Redis).await;
    let (member, held) = a_child_waits(&family).await;
    let mut raw = family.scene.raw().await;
    for partition in 0..3 {
        let meta = format!("{}:customers:@meta:{partition}", family.scene.namespace);
        let mut replaced = redis::cmd("HSET");
        replaced.arg(meta).arg("home").arg("elsewhere");
        replaced.query_async::<()>(&mut raw).await.unwrap();
    }
    let again = family.parents.hold(Point::BeforeApply, "1");
    // Of all partitions, so that all are recovered.
    let more: Vec<_> = (3..40).map(customer).collect();
    member.customers.save_many(&more).await.unwrap();
    held.release();
    again.arrived().await;
    member.has_waited().await;
    assert!(family.places(order(1).id).is_empty());
    again.release();
    timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
    family.check_order(1..2);
    assert_eq!(member.dead(), 0);
}

#[tokio::test(start_paused = true)]
async fn parents_that_redis_forgets_are_not_waited_for_and_later_ones_are() {
    let family = Family::in_process().await;
    let (member, held) = a_child_waits(&family).await;
    family.scene.host.suffer(Incident::Wipe).await.unwrap();
    held.release();
    let held = family.parents.hold(Point::BeforeApply, "2");
    member.customers.save(&customer(2)).await.unwrap();
    held.arrived().await;
    member.orders.save(&order(2)).await.unwrap();
    member.has_waited().await;
    assert!(family.places(order(2).id).is_empty());
    held.release();
    timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
    family.check_order(2..3);
    assert!(family.places(order(1).id).is_empty(), "it is lost, as its customer is");
}

/// The database has forgotten customers that it had, and gets them again in a while.
#[tokio::test]
async fn a_child_whose_parent_a_restored_database_gets_again_is_not_buried() {
    let family = Family::new(On::Sqlite, Over::InProcess).await;
    let member = family.member(patient()).await;
    member.open().await;
    let backup = family.scene.back_up("backup.db").await;
    member.customers.save(&customer(1)).await.unwrap();
    member.customers.flush().await.unwrap();
    family.scene.gate.replace(store::connect(&backup).await.unwrap());
    member.orders.save(&order(1)).await.unwrap();
    timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
    family.check_order(1..2);
    assert_eq!((member.dead(), family.places(1).len()), (0, 2));
}

/// What cannot go on before parents are drained says so, instead of waiting for ever.
#[tokio::test(start_paused = true)]
async fn moves_that_wait_for_parents_end_and_say_so() {
    let family = Family::in_process().await;
    let member = family.member(patient().no_worker()).await;
    member.save(1).await;
    let [_, orders, _] = family.tables();
    let store = family.scene.gate.clone() as store::SharedStore;
    let builder = || {
        let builder = Repository::<Order>::builder(&member.cache).store(&store);
        builder.table(orders.clone())
    };
    let error = builder().partitions(2).repartition(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dirty, "{error}");
    assert!(error.to_string().contains("before of customers"), "{error}");
    let kept = builder().strategy(Strategy::RedisOnly).build().await.unwrap();
    let error = timeout(HANG, kept.import()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("before of customers"), "{error}");
    assert!(error.is_retryable(), "{error}");
}
