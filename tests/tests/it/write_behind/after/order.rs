//! Parents before children: with and without it, whatever fails or dies in between.

use std::time::Duration;

use cached_repo::{
    Event,
    failpoint::{self, Failure},
    store::StoreError,
};
use tests::Point;
use tokio::time::{sleep, timeout};

use super::{
    super::scene::patient,
    family::{Customer, Family, ORDERS, customer, order},
};
use crate::stage::{On, Over};

const HANG: Duration = Duration::from_secs(120);
/// Those that refuse a row whose parent is not there.
const WITH_FOREIGN_KEYS: [On; 3] = [On::Sqlite, On::Postgres, On::MySql];

#[tokio::test]
async fn without_after_a_child_meets_the_foreign_key_while_its_parent_is_in_the_journal() {
    for on in WITH_FOREIGN_KEYS {
        let family = Family::new(on, Over::Redis).await;
        let member = family.unordered(patient()).await;
        member.open().await;
        family.parents.down();
        member.save(1).await;
        member.events.until(|event| matches!(event, Event::DeadLettered { .. })).await;
        family.parents.up();
        member.customers.flush().await.unwrap();
        assert_eq!((member.dead(), family.places(1).len()), (1, 1), "{on:?}");
    }
}

#[tokio::test]
async fn with_after_it_waits_for_its_parent_in_every_store() {
    for on in [On::Memory, On::Sqlite, On::Postgres, On::MySql, On::Mongo, On::MongoStandalone] {
        for over in [Over::InProcess, Over::Redis] {
            let family = Family::new(on, over).await;
            let member = family.member(patient()).await;
            member.open().await;
            let batches = family.scene.gate.batches();
            family.parents.down();
            member.save(1).await;
            // More often than a child that meets a foreign key is tried.
            for _ in 0..8 {
                member.has_waited().await;
            }
            assert_eq!(family.scene.gate.batches(), batches, "{on:?} {over:?}");
            family.parents.up();
            member.orders.flush().await.unwrap();
            family.check_order(1..2);
            assert_eq!(member.dead(), 0, "{on:?} {over:?}");
        }
    }
}

#[tokio::test]
async fn under_load_with_two_workers_and_a_slow_parent_no_child_is_refused() {
    const EACH: i64 = 100;
    for on in WITH_FOREIGN_KEYS {
        let family = Family::new(on, Over::Redis).await;
        family.parents.slow(Duration::from_millis(3));
        let workers = [family.member(patient()).await, family.member(patient()).await];
        let writer = family.member(patient().no_worker()).await;
        let write = async |first: i64| {
            for id in first..first + EACH {
                writer.save(id).await;
            }
        };
        tokio::join!(write(0), write(EACH), write(2 * EACH));
        timeout(HANG, writer.orders.flush()).await.unwrap().unwrap();
        family.check_order(0..3 * EACH);
        let waits: u64 = workers.iter().map(|worker| worker.orders.counts().drain_waits).sum();
        assert!(waits > 0, "{on:?}: there was nothing to wait for");
        assert_eq!(workers.iter().map(|worker| worker.dead()).sum::<usize>(), 0, "{on:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_journaled_of_parents_later_is_not_waited_for() {
    let family = Family::in_process().await;
    let member = family.member(patient()).await;
    let first = family.parents.hold(Point::BeforeApply, "1");
    member.customers.save(&customer(1)).await.unwrap();
    first.arrived().await;
    let saved = member.orders.save(&order(1)).await.unwrap();
    member.has_waited().await;
    // Of all partitions, so that one of them has what comes next behind what is waited for.
    let later = family.parents.hold(Point::BeforeApply, "2");
    let more: Vec<_> = (2..40).map(customer).collect();
    member.customers.save_many(&more).await.unwrap();
    first.release();
    later.arrived().await;
    timeout(HANG, saved.persisted()).await.unwrap().unwrap();
    assert!(member.cache.backlog().await.unwrap() > 0, "parents are journaled still");
    later.release();
    member.customers.flush().await.unwrap();
    family.check_order(1..2);
}

/// Where a child sets its horizon behind its look at the parents, it is drained with what was journaled in
/// between, which its parent may not be.
#[tokio::test(start_paused = true)]
async fn a_child_that_is_journaled_while_parents_are_looked_at_waits_for_its_own() {
    let family = Family::in_process().await;
    let writer = family.member(patient().no_worker()).await;
    let opener = family.member(patient()).await;
    opener.open().await;
    drop(opener);
    writer.orders.save_many(&[1, 2, 3, 4].map(order)).await.unwrap();
    let entity = format!("{}:orders", family.scene.namespace);
    let look = Duration::from_secs(1);
    failpoint::arm(failpoint::Point::ParentsSeen, &entity, Failure::Delay(look), 2);
    let worker = family.member(patient()).await;
    while failpoint::left(failpoint::Point::ParentsSeen, &entity) > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    family.parents.down();
    for id in 10..20 {
        writer.save(id).await;
    }
    // Until those are drained that were there before.
    sleep(2 * look).await;
    worker.has_waited().await;
    family.parents.up();
    timeout(HANG, worker.orders.flush()).await.unwrap().unwrap();
    family.check_order(10..20);
}

#[tokio::test(start_paused = true)]
async fn children_that_wait_take_no_place_from_parents() {
    let family = Family::in_process().await;
    let writer = family.member(patient().no_worker()).await;
    let [customers, ..] = family.tables();
    for id in 0..40 {
        writer.save(id).await;
    }
    // Through the same store, which has fewer places than orders have partitions with it.
    for _ in 0..6 {
        family.scene.gate.fail(
            Point::BeforeApply,
            None,
            StoreError::transient("deadlock detected"),
        );
    }
    let cache = family.scene.cache(patient()).await;
    let store = family.scene.gate.clone() as cached_repo::store::SharedStore;
    let builder = cached_repo::Repository::<Customer>::builder(&cache).store(&store);
    let _customers = builder.table(customers).build().await.unwrap();
    let worker = family.orders_at(&cache).await;
    timeout(HANG, worker.flush()).await.unwrap().unwrap();
    family.check_order(0..40);
}

over_both_families!(deletes_of_children_come_before_that_of_their_parent, |family| {
    let member = family.member(patient()).await;
    member.open().await;
    member.save(1).await;
    member.orders.flush().await.unwrap();
    // Nothing is drained until all is journaled.
    family.scene.gate.down();
    for id in 2..10 {
        member.customers.save(&customer(id)).await.unwrap();
    }
    member.orders.delete(order(1).id).await.unwrap();
    member.customers.delete(1).await.unwrap();
    family.scene.gate.up();
    member.customers.flush().await.unwrap();
    let (parent, child) = (family.places(1), family.places(1 + ORDERS));
    assert!(parent.last() > child.last(), "{parent:?} {child:?}");
    assert_eq!(member.dead(), 0);
});

over_both_families!(workers_that_die_in_between_leave_the_order_as_it_is, |family| {
    let namespace = family.scene.namespace.clone();
    let (customers, orders) = (format!("{namespace}:customers"), format!("{namespace}:orders"));
    let worker = family.member(patient()).await;
    let writer = family.member(patient().no_worker()).await;
    let mut next = 0;
    for (entity, point) in [
        (&customers, failpoint::Point::RowsWritten),
        (&customers, failpoint::Point::Committed),
        (&customers, failpoint::Point::Acknowledged),
        (&orders, failpoint::Point::ParentsSeen),
        (&orders, failpoint::Point::Committed),
    ] {
        for failure in [Failure::Error, Failure::Panic] {
            failpoint::arm(point, entity, failure, 1);
            for id in next..next + 5 {
                writer.save(id).await;
            }
            next += 5;
            timeout(HANG, writer.orders.flush()).await.unwrap().unwrap();
            assert_eq!(failpoint::left(point, entity), 0, "{point:?} was not met");
        }
    }
    family.check_order(0..next);
    assert_eq!(worker.dead(), 0);
});
