//! Processes over one Redis and one database, and what is left of one that has crashed.

use std::sync::{Arc, Mutex};

use super::*;

use cached_repo::{Cache, Event};

#[tokio::test(start_paused = true)]
async fn processes_see_what_the_others_write() {
    let kit = Kit::seeded(1);
    let (_one, writer) = orders(&kit).await;
    let (_two, reader) = orders(&kit).await;
    let _ = writer.save(&order(1, "new")).await.unwrap();
    assert_eq!(reader.get(1).await.unwrap(), Some(order(1, "new")));
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_apart() {
    let kit = Kit::seeded(1);
    let (red, blue) = (Cache::builder().namespace("red"), Cache::builder().namespace("blue"));
    let red = kit.process_with(red);
    let blue = kit.process_with(blue);
    let one = repository(&red, Strategy::WriteBehind).await;
    let other = Repository::<Order>::builder(blue.cache()).store(blue.store()).table("others");
    let other = other.build().await.unwrap();
    let _ = one.save(&order(1, "red")).await.unwrap();
    let _ = other.save(&order(1, "blue")).await.unwrap();
    assert_eq!(one.get(1).await.unwrap(), Some(order(1, "red")));
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["red"]);
    let others = kit.database().rows_in::<Order>("others").unwrap();
    assert_eq!(others, [order(1, "blue")]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_crashed_does_nothing_any_more_and_says_so() {
    let kit = Kit::seeded(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let builder = Cache::builder().on_event(move |event: &Event| {
        listener.lock().unwrap().push(format!("{event:?}"));
    });
    let dead = kit.process_with(builder);
    let orders = repository(&dead, Strategy::WriteBehind).await;
    let _ = orders.save(&order(1, "old")).await.unwrap();
    kit.settle().await.unwrap();
    // A drain that was about to commit does not, whatever becomes of who holds it.
    let held = dead.at(Point::Before(Step::Drain)).hold();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    held.arrived().await;
    kit.database().refuse::<Order>("no", |_| true);
    dead.crash();
    held.release();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let error = orders.save(&order(2, "new")).await.unwrap_err();
        assert!(error.to_string().contains("has crashed"), "{error}");
        assert!(orders.get(1).await.is_err());
    }
    assert_eq!(states(&kit), ["old"]);
    assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
    assert!(!dead.is_running());
    // What it had acknowledged is drained by others.
    kit.database().accept::<Order>();
    let (_next, _orders) = super::orders(&kit).await;
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_drains_dies_and_another_process_goes_on() {
    let kit = Kit::seeded(1);
    let (one, writer) = orders(&kit).await;
    let (two, _reader) = orders(&kit).await;
    kit.at(Point::After(Step::Drain)).crash();
    kit.at(Point::Before(Step::Acknowledge)).fail();
    let _ = writer.save(&order(1, "new")).await.unwrap();
    kit.settle().await.unwrap();
    assert_eq!((kit.armed(), states(&kit)), (0, vec!["new".to_owned()]));
    assert_ne!(one.is_running(), two.is_running());
    let trace = kit.trace();
    let times = |what: &str| trace.iter().filter(|line| line.contains(what)).count();
    assert_eq!(times("crashes after Drain"), 1);
    assert_eq!(times("fails before Acknowledge"), 1);
    // The second process sees that the database has it already.
    assert_eq!(times("Drain orders 1"), 1, "{trace:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_handles_are_dropped_drains_no_more() {
    let kit = Kit::seeded(1);
    let (process, orders) = orders(&kit).await;
    let held = kit.at(Point::Before(Step::Drain)).hold();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    held.arrived().await;
    drop((process, orders));
    let kept = kit.settle_within(Duration::from_secs(5)).await.unwrap_err().to_string();
    assert!(kept.contains("no running process"), "{kept}");
    drop(held);
    let (_next, _orders) = super::orders(&kit).await;
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_point_may_be_that_of_one_process_or_of_one_entity() {
    #[derive(Clone, Debug, PartialEq, CachedEntity)]
    #[cache(prefix = "tags", strategy = "write_through")]
    struct Tag {
        #[cache(id)]
        id: u32,
    }
    let kit = Kit::seeded(1);
    let (one, two) = (kit.process(), kit.process());
    let orders = repository(&one, Strategy::WriteThrough).await;
    let others = repository(&two, Strategy::WriteThrough).await;
    let tags = Repository::<Tag>::builder(one.cache()).store(one.store()).build().await.unwrap();
    two.at(Point::Before(Step::Write)).fail();
    kit.at(Point::Before(Step::Write)).of::<Tag>().fail();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    assert_eq!(kit.armed(), 2);
    let error = tags.save(&Tag { id: 1 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(kit.armed(), 1);
    let _ = others.save(&order(1, "new")).await.unwrap_err();
    assert_eq!(kit.armed(), 0);
}
