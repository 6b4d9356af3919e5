//! What may happen to the kit's Redis and to its database.

use std::sync::{Arc, Mutex};

use super::*;

use cached_repo::{Cache, Durability, Event, Outcome};
use tokio::time::Instant;

/// A process that tells what it is told.
async fn listening(kit: &Kit) -> (Process, Repository<Order>, Arc<Mutex<Vec<Event>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let builder = Cache::builder().on_event(move |event: &Event| {
        listener.lock().unwrap().push(event.clone());
    });
    let process = kit.process_with(builder);
    let orders = repository(&process, Strategy::WriteBehind).await;
    (process, orders, told)
}

#[tokio::test(start_paused = true)]
async fn with_redis_down_reads_are_served_by_the_database_and_writes_behind_fail() {
    let kit = Kit::seeded(1);
    let (process, behind) = orders(&kit).await;
    let _ = behind.save(&order(1, "old")).await.unwrap();
    kit.settle().await.unwrap();
    let aside = repository(&kit.process(), Strategy::CacheAside).await;
    kit.redis().down();
    assert_eq!(aside.get(1).await.unwrap(), Some(order(1, "old")));
    assert!(behind.save(&order(1, "new")).await.is_err());
    kit.redis().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["old"]);
    assert!(process.is_running());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_redis_loses_is_no_second_write() {
    let kit = Kit::seeded(1);
    let (_process, orders) = orders(&kit).await;
    kit.at(Point::After(Step::Append)).fail();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kit.settle().await.unwrap();
    assert_eq!((kit.armed(), states(&kit)), (0, vec!["new".to_owned()]));
    assert_eq!(orders.counts().drained, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_database_loses_leaves_the_outcome_unknown() {
    let kit = Kit::seeded(1);
    let through = repository(&kit.process(), Strategy::WriteThrough).await;
    kit.at(Point::Before(Step::Write)).fail();
    let error = through.save(&order(1, "new")).await.unwrap_err();
    assert_eq!((error.outcome(), states(&kit).len()), (Outcome::NotApplied, 0));
    kit.at(Point::After(Step::Write)).fail();
    let error = through.save(&order(1, "new")).await.unwrap_err();
    assert_eq!((error.outcome(), states(&kit).len()), (Outcome::Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_answers_late_has_done_what_it_was_asked() {
    let kit = Kit::seeded(1);
    let cache = Cache::builder().timeout(Duration::from_millis(100));
    let process = kit.process_with(cache);
    let orders = Repository::<Order>::builder(process.cache()).strategy(Strategy::RedisOnly);
    let orders = orders.durability(Durability::Memory).build().await.unwrap();
    kit.redis().slow(Duration::from_millis(40));
    let began = Instant::now();
    let _ = orders.save(&order(1, "in time")).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(40));
    kit.redis().slow(Duration::from_millis(101));
    let error = orders.save(&order(1, "too late")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    kit.redis().slow(Duration::ZERO);
    assert_eq!(orders.get(1).await.unwrap(), Some(order(1, "too late")));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_slower_than_a_deadline_writes_nothing() {
    let kit = Kit::seeded(1);
    let through = repository(&kit.process(), Strategy::WriteThrough).await;
    kit.database().slow(Duration::from_secs(60));
    let error = through.save(&order(1, "late")).await.unwrap_err();
    assert_eq!((error.outcome(), states(&kit).len()), (Outcome::NotApplied, 0));
    kit.database().slow(Duration::ZERO);
    let _ = through.save(&order(1, "new")).await.unwrap();
    assert_eq!(states(&kit), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn what_redis_has_outlives_its_restart() {
    let kit = Kit::seeded(1);
    let (_process, orders, told) = listening(&kit).await;
    let _ = orders.save(&order(1, "old")).await.unwrap();
    kit.settle().await.unwrap();
    kit.database().down();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kit.redis().restart();
    kit.database().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["new"]);
    let told = told.lock().unwrap();
    assert!(matches!(told[..], [Event::Recovered { left: 1, .. }]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_failover_loses_is_told() {
    for replicated in [false, true] {
        let kit = Kit::seeded(1);
        let (_process, orders, told) = listening(&kit).await;
        let _ = orders.save(&order(1, "old")).await.unwrap();
        kit.settle().await.unwrap();
        kit.redis().replicate();
        kit.database().down();
        let _ = orders.save(&order(1, "new")).await.unwrap();
        if replicated {
            kit.redis().replicate();
        }
        kit.redis().fail_over();
        kit.database().up();
        kit.settle().await.unwrap();
        let expected = if replicated { "new" } else { "old" };
        assert_eq!(states(&kit), [expected]);
        assert_eq!(orders.get(1).await.unwrap(), Some(order(1, expected)));
        let told = told.lock().unwrap();
        assert!(matches!(told[0], Event::Recovered { .. }), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_flush_of_redis_loses_is_told() {
    let kit = Kit::seeded(1);
    let (_process, orders, told) = listening(&kit).await;
    let _ = orders.save(&order(1, "old")).await.unwrap();
    kit.settle().await.unwrap();
    kit.database().down();
    let _ = orders.save(&order(1, "new")).await.unwrap();
    kit.redis().flush_all();
    kit.database().up();
    kit.settle().await.unwrap();
    assert_eq!(states(&kit), ["old"]);
    let told = told.lock().unwrap();
    assert!(matches!(told[..], [Event::JournalLost { .. }]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_overtaken_by_a_write_leaves_no_old_copy() {
    let kit = Kit::seeded(1);
    let (slow, quick) = (kit.process(), kit.process());
    let reader = repository(&slow, Strategy::ReadThrough).await;
    let writer = repository(&quick, Strategy::ReadThrough).await;
    kit.database().insert(&order(1, "old")).unwrap();
    let held = slow.at(Point::After(Step::Load)).hold();
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { reader.get(1).await.unwrap() }
    });
    held.arrived().await;
    let _ = writer.save(&order(1, "new")).await.unwrap();
    held.release();
    assert_eq!(reading.await.unwrap(), Some(order(1, "old")), "it began before the write");
    assert_eq!(reader.get(1).await.unwrap(), Some(order(1, "new")));
}

#[tokio::test(start_paused = true)]
async fn a_held_call_may_fail_or_take_its_process_with_it() {
    let kit = Kit::seeded(1);
    let process = kit.process();
    let through = repository(&process, Strategy::WriteThrough).await;
    for crash in [false, true] {
        let held = process.at(Point::Before(Step::Write)).hold();
        let saving = tokio::spawn({
            let through = through.clone();
            async move { through.save(&order(1, "new")).await }
        });
        held.arrived().await;
        assert!(held.has_arrived());
        match crash {
            false => held.fail(),
            true => held.crash(),
        }
        assert!(saving.await.unwrap().is_err());
        assert_eq!((process.is_running(), states(&kit).len()), (!crash, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_database_refuses_may_depend_on_its_rows() {
    let kit = Kit::seeded(1);
    let through = repository(&kit.process(), Strategy::WriteThrough).await;
    let database = kit.database();
    kit.database().refuse::<Order>("there is one already", move |new| {
        let rows = database.rows::<Order>().unwrap();
        rows.iter().any(|row| row.state == new.state && row.id != new.id)
    });
    let _ = through.save(&order(1, "one")).await.unwrap();
    let _ = through.save(&order(1, "one")).await.unwrap();
    let error = through.save(&order(2, "one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("there is one already"), "{error}");
    kit.database().accept::<Order>();
    let _ = through.save(&order(2, "one")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_another_program_writes_is_read_when_the_copy_is_over() {
    let kit = Kit::seeded(1);
    let aside = repository(&kit.process(), Strategy::CacheAside).await;
    assert_eq!(aside.get(1).await.unwrap(), None);
    kit.database().insert(&order(1, "theirs")).unwrap();
    assert_eq!(aside.get(1).await.unwrap(), None, "that there is none is remembered");
    // An hour in no time.
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert_eq!(aside.get(1).await.unwrap(), Some(order(1, "theirs")));
}
