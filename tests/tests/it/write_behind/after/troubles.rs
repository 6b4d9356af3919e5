//! Parents that are paused, dead letters, or of other partitions: what children do, and what is told.

use std::time::Duration;

use cached_repo::{Durable, Event, Health, Strategy, store::StoreError};
use tests::Point;
use tokio::time::{sleep, timeout};

use super::{
    super::scene::patient,
    family::{Customer, Family, Note, customer, order},
};
use crate::stage::{On, Over, unique_names};

const HANG: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn while_a_parent_is_paused_its_children_wait_and_say_so_and_others_go_on() {
    let family = Family::in_process().await;
    let member = family.member(patient()).await;
    for _ in 0..4 {
        family.parents.fail(Point::BeforeApply, None, StoreError::systemic("no such column"));
    }
    member.customers.save(&customer(1)).await.unwrap();
    let saved = member.orders.save(&order(1)).await.unwrap();
    member.events.until(|event| matches!(event, Event::Paused { .. })).await;
    sleep(Duration::from_secs(2)).await;
    let Health::Degraded(why) = member.cache.health().await else { panic!("it is not told") };
    let told = why.iter().find(|why| why.contains("of orders")).unwrap();
    assert!(told.contains("customers") && told.contains("no such column"), "{told}");
    let note = member.notes.save(&Note { id: 1 }).await.unwrap();
    timeout(Duration::from_secs(1), note.persisted()).await.unwrap().unwrap();
    assert!(family.places(order(1).id).is_empty(), "the order waits");
    // It catches up by itself.
    timeout(HANG, saved.persisted()).await.unwrap().unwrap();
    family.check_order(1..2);
    member.events.until(|event| matches!(event, Event::Resumed { .. })).await;
    while member.cache.health().await != Health::Ok {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(member.orders.counts().drain_failures, 0, "waiting is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_short_is_no_news() {
    let family = Family::in_process().await;
    let member = family.member(patient()).await;
    let held = family.parents.hold(Point::BeforeApply, "1");
    member.save(1).await;
    held.arrived().await;
    member.has_waited().await;
    assert_eq!(member.cache.health().await, Health::Ok);
    held.release();
    member.orders.flush().await.unwrap();
    assert_eq!(member.cache.health().await, Health::Ok);
}

#[tokio::test]
async fn a_parent_that_became_a_dead_letter_is_not_waited_for_and_its_child_becomes_one() {
    for on in [On::Sqlite, On::Postgres, On::MySql] {
        let family = Family::new(on, Over::Redis).await;
        let member = family.member(patient()).await;
        // Of which there may be one row.
        let [customers, ..] = family.tables();
        family.scene.sql(&unique_names(on, &customers, Some("bad"))).await;
        let bad = |id| Customer { id, name: "bad".to_owned() };
        member.customers.save(&bad(0)).await.unwrap().persisted().await.unwrap();
        member.customers.save(&bad(1)).await.unwrap();
        member.orders.save(&order(1)).await.unwrap();
        member.save(2).await;
        timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
        let letters = member.cache.dead_letters();
        let (parents, children) =
            (letters.list("customers").await.unwrap(), letters.list("orders").await.unwrap());
        assert_eq!((parents.len(), children.len()), (1, 1), "{on:?}");
        family.check_order(2..3);
    }
}

#[tokio::test]
async fn parents_whose_partitions_are_changed_are_waited_for_all_the_time() {
    for over in [Over::InProcess, Over::Redis] {
        let family = Family::new(On::Sqlite, over).await;
        let old = family.member(patient()).await;
        old.open().await;
        for id in 0..10 {
            old.save(id).await;
        }
        family.customers_at(&old.cache).partitions(5).repartition(HANG).await.unwrap();
        old.orders.save(&order(3)).await.unwrap();
        let cache = family.scene.cache(patient()).await;
        let new = family.customers_at(&cache).partitions(5).build().await.unwrap();
        let first: Vec<_> = (-40..0).map(customer).collect();
        new.save_many(&first).await.unwrap();
        new.flush().await.unwrap();
        family.parents.down();
        for id in 10..20 {
            new.save(&customer(id)).await.unwrap();
            old.orders.save(&order(id)).await.unwrap();
        }
        old.has_waited().await;
        family.parents.up();
        timeout(HANG, old.orders.flush()).await.unwrap().unwrap();
        family.check_order(0..20);
        assert_eq!(old.dead(), 0);
    }
}

/// What is stored first is there already, and what is swapped waits for what was journaled before.
#[tokio::test]
async fn a_parent_under_another_strategy_is_waited_for_only_where_it_was_journaled() {
    for over in [Over::InProcess, Over::Redis] {
        let family = Family::new(On::Sqlite, over).await;
        let member = family.member(patient()).await;
        member.open().await;
        let stored = family.customers_at(&member.cache).strategy(Strategy::WriteThrough);
        let stored = stored.build().await.unwrap();
        assert_eq!(stored.save(&customer(1)).await.unwrap().durable(), Durable::Stored);
        family.parents.down();
        let saved = member.orders.save(&order(1)).await.unwrap();
        timeout(HANG, saved.persisted()).await.unwrap().unwrap();
        member.save(2).await;
        member.has_waited().await;
        family.parents.up();
        timeout(HANG, member.orders.flush()).await.unwrap().unwrap();
        family.check_order(1..3);
    }
}
