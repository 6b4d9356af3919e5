//! `settle` waits for everything that was acknowledged, and says what keeps it.

use super::*;

use cached_repo::{Cache, CacheStep, Error};

const SLOW: Duration = Duration::from_secs(1);
/// Shorter than `settle` waits by itself.
const LONGEST: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn settle_waits_until_the_database_has_everything() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    // The journals are there, so that saves do not wait for the database.
    for id in 0..40 {
        let _ = orders.save(&order(id, "old")).await.unwrap();
    }
    kit.settle().await.unwrap();
    kit.database().slow(SLOW);
    for id in 0..40 {
        let _ = orders.save(&order(id, "new")).await.unwrap();
    }
    let _ = orders.delete(7).await.unwrap();
    assert_eq!(states(&kit), ["old"; 40]);
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"; 39]);
}

#[tokio::test]
async fn settle_waits_in_real_time_as_well() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    let held = kit.at(Point::Before(Step::Drain)).hold();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    held.arrived().await;
    let settling = tokio::spawn({
        let kit = kit.clone();
        async move { kit.settle().await }
    });
    assert!(!settling.is_finished());
    held.release();
    settling.await.unwrap().unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn settle_is_at_once_where_nothing_was_written() {
    let kit = Kit::seeded(1);
    kit.settle().await.unwrap();
    let (_process, _orders) = orders(&kit).await;
    kit.settle().await.unwrap();
}

/// Settles where that cannot be, and checks that it says why.
async fn kept(kit: &Kit, why: &str) -> Error {
    let kept = kit.settle_within(LONGEST).await.unwrap_err();
    assert!(kept.to_string().contains(why), "{kept}\nshould say: {why}");
    kept
}

#[tokio::test(start_paused = true)]
async fn settle_says_that_the_database_is_down() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    let _ = orders.save(&order(1, "old")).await.unwrap();
    kit.settle().await.unwrap();
    kit.database().down();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    let error = kept(&kit, "1 not drained of orders, partition ").await;
    assert_eq!(error.kind(), ErrorKind::Dirty);
    kept(&kit, "taken the server down").await;
    assert_eq!(states(&kit), ["old"]);
    kit.database().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn settle_says_why_a_partition_is_paused() {
    let kit = Kit::seeded(1);
    let (process, orders) = orders(&kit).await;
    kit.database().broken("relation \"orders\" does not exist");
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kept(&kit, "relation \"orders\" does not exist").await;
    let health = process.cache().health().await;
    assert!(format!("{health:?}").contains("does not exist"), "{health:?}");
    kit.database().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn settle_names_dead_letters_when_the_rest_is_drained() {
    let kit = Kit::seeded(1);
    let (process, orders) = orders(&kit).await;
    kit.database().refuse::<Order>("no such state", |order| order.state == "wrong");
    for id in 0..9 {
        let state = if id == 3 { "wrong" } else { "right" };
        let _ = orders.save(&order(id, state)).await.unwrap();
    }
    let dead = kept(&kit, "orders \"3\": no such state").await;
    assert_eq!(dead.kind(), ErrorKind::DeadLettered);
    assert_eq!(states(&kit), ["right"; 8]);
    // The letter is written after all, and nothing is left.
    kit.database().accept::<Order>();
    let letters = process.cache().dead_letters();
    let waiting = letters.list("orders").await.unwrap();
    letters.replay(&waiting[0]).await.unwrap();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit).len(), 9);
}

#[tokio::test(start_paused = true)]
async fn settle_says_that_nobody_drains() {
    let kit = Kit::seeded(1);
    let settings = || Cache::builder().namespace("app");
    let alone = kit.process_with(settings().no_worker());
    let orders = repository(&alone, Strategy::WriteBehind).await;
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kept(&kit, "1 not drained of app:orders, partition").await;
    kept(&kit, "no running process that has a repository of it drains").await;
    // Of the same name, and another entity.
    let (_process, _orders) = super::orders(&kit).await;
    kept(&kit, "no running process that has a repository of it drains").await;
    let draining = kit.process_with(settings());
    let _orders = repository(&draining, Strategy::WriteBehind).await;
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn settle_names_a_call_that_is_held() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    let held = kit.at(Point::After(Step::Load)).hold();
    let reading = tokio::spawn(async move { orders.get(5).await });
    kept(&kit, "a call of process 1 is under way or held: Load orders 5").await;
    held.release();
    assert_eq!(reading.await.unwrap().unwrap(), None);
    kit.settle().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn settle_waits_for_copies_that_may_be_older_than_the_database() {
    let kit = Kit::seeded(1);
    let (writer, reader) = (kit.process(), kit.process());
    let writer = repository(&writer, Strategy::CacheAside).await;
    let reader = repository(&reader, Strategy::CacheAside).await;
    let _ = writer.save(&order(1, "old")).await.unwrap();
    assert_eq!(reader.get(1).await.unwrap(), Some(order(1, "old")));
    kit.redis().down();
    let saved = writer.save(&order(1, "new")).await.unwrap();
    assert_eq!(saved.cache(), CacheStep::Pending);
    kept(&kit, "1 entries of orders may be older than the database").await;
    kit.redis().up();
    kit.settle().await.unwrap();
    assert_eq!(reader.get(1).await.unwrap(), Some(order(1, "new")));
}

#[tokio::test(start_paused = true)]
async fn settle_says_that_redis_is_down() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kit.redis().down();
    kept(&kit, "looking at orders").await;
    kit.redis().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}
