//! The drain: what the store is given, and what crashes and errors at each of its points leave behind.

use std::time::Duration;

use cached_repo::{Event, Health, Incident, store::StoreError};
use tests::Point;

use super::scene::{Scene, patient};
use crate::stage::{On, Over, name, todo};

over_both!(c4_of_many_writes_of_an_id_in_a_batch_the_last_is_written, |scene| {
    let writer = scene.writer().await;
    for round in 0..10 {
        writer.repo.save(&todo("1", &round.to_string())).await.unwrap();
    }
    writer.repo.save(&todo("2", "other")).await.unwrap();
    let worker = scene.worker().await;
    worker.repo.flush().await.unwrap();
    assert_eq!((scene.gate.batches(), scene.gate.rows()), (1, 2));
    assert_eq!((scene.row("1").await, scene.row("2").await), ("9".into(), "other".into()));
    let counts = worker.repo.counts();
    assert_eq!((counts.drained, counts.coalesced, counts.drain_batches), (2, 9, 1));
    let offset = scene.offset().await;
    assert_eq!((offset.applied, offset.coalesced), (2, 9));
});

over_both!(c15_without_coalescing_the_store_sees_every_write_in_order, |scene| {
    let writer = scene.writer().await;
    let mut order = Vec::new();
    for round in 0..10 {
        writer.repo.save(&todo("1", &round.to_string())).await.unwrap();
        order.push(round.to_string());
        writer.repo.save(&todo("2", "other")).await.unwrap();
        if round % 3 == 0 {
            writer.repo.delete("1").await.unwrap();
            order.push("none".to_owned());
        }
    }
    let worker = scene.process(patient(), |b| b.coalesce(false).batch(4)).await;
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.written("1"), order);
    assert_eq!(scene.gate.rows(), order.len() + 10);
    assert_eq!((scene.row("1").await, worker.repo.counts().coalesced), ("none".into(), 0));
});

over_both!(c5_puts_and_deletes_of_one_id_in_one_batch_end_as_the_last_one_says, |scene| {
    let writer = scene.writer().await;
    for (id, steps) in [("1", "pdp"), ("2", "dp"), ("3", "pd"), ("4", "dpd")] {
        for (index, step) in steps.chars().enumerate() {
            match step {
                'p' => writer.repo.save(&todo(id, &index.to_string())).await.unwrap(),
                _ => writer.repo.delete(id).await.unwrap(),
            };
        }
    }
    let worker = scene.worker().await;
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.gate.batches(), 1);
    for (id, row) in [("1", "2"), ("2", "1"), ("3", "none"), ("4", "none")] {
        assert_eq!(scene.row(id).await, row, "{id}");
        assert_eq!(name(worker.repo.get(id).await.unwrap()), row, "{id}");
    }
});

over_both!(batches_are_as_large_as_they_may_be, |scene| {
    let writer = scene.writer().await;
    let all: Vec<_> = (0..10).map(|id| todo(&id.to_string(), "a")).collect();
    writer.repo.save_many(&all).await.unwrap();
    let worker = scene.process(patient(), |b| b.batch(3)).await;
    worker.repo.flush().await.unwrap();
    let sizes: Vec<_> = scene.gate.written().iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
});

#[tokio::test]
async fn every_store_gets_what_was_journaled() {
    for on in [On::Memory, On::Sqlite, On::Postgres, On::MySql, On::Mongo, On::MongoStandalone] {
        for over in [Over::InProcess, Over::Redis] {
            let scene = Scene::new(on, over).await;
            let writer = scene.writer().await;
            for id in 0..30 {
                writer.repo.save(&todo(&id.to_string(), "first")).await.unwrap();
                writer.repo.save(&todo(&id.to_string(), "last")).await.unwrap();
            }
            writer.repo.delete("7").await.unwrap();
            let worker = scene.process(patient(), |b| b.batch(8)).await;
            worker.repo.flush().await.unwrap();
            for id in 0..30 {
                let expected = if id == 7 { "none" } else { "last" };
                assert_eq!(scene.row(&id.to_string()).await, expected, "{on:?} {over:?} {id}");
            }
            let offset = scene.offset().await;
            assert_eq!(offset.applied + offset.coalesced, 61, "{on:?} {over:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_pass_are_waited_out() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    for _ in 0..3 {
        scene.gate.fail(Point::BeforeApply, None, StoreError::transient("deadlock detected"));
    }
    let held = scene.gate.hold(Point::BeforeApply, None);
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    held.arrived().await;
    assert_eq!(worker.repo.counts().drain_failures, 3);
    let health = worker.cache.health().await;
    assert!(matches!(&health, Health::Degraded(why) if why[0].contains("deadlock")), "{health:?}");
    held.release();
    saved.persisted().await.unwrap();
    while worker.cache.health().await != Health::Ok {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(worker.events.all(), [], "nobody has to do anything");
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_manage_in_one_batch_it_is_given_in_parts() {
    let scene = Scene::in_process().await;
    let writer = scene.writer().await;
    let all: Vec<_> = (0..100).map(|id| todo(&id.to_string(), "a")).collect();
    writer.repo.save_many(&all).await.unwrap();
    scene.gate.manage(10);
    let worker = scene.process(patient(), |b| b.batch(64)).await;
    worker.repo.flush().await.unwrap();
    let sizes: Vec<_> = scene.gate.written().iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| (1..=10).contains(size)), "{sizes:?}");
    assert!(sizes.contains(&8), "halved three times: {sizes:?}");
    // And in whole ones again when it does.
    scene.gate.manage(usize::MAX);
    while !scene.gate.written().iter().any(|batch| batch.len() == 64) {
        writer.repo.save_many(&all).await.unwrap();
        worker.repo.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_no_other_one_waiting() {
    let (hangs, works) = (Scene::in_process().await, Scene::in_process().await);
    let worker = hangs.process(patient(), |b| b.partitions(16)).await;
    let other = works.builder::<Other>(&worker.cache).build().await.unwrap();
    let held: Vec<_> = (0..16).map(|_| hangs.gate.hold(Point::BeforeApply, None)).collect();
    for id in 0..200 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap();
    }
    held[0].arrived().await;
    let saved = other.save(&Other { id: 1, name: "a".to_owned() }).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), saved.persisted()).await.unwrap().unwrap();
    assert!(worker.repo.counts().drained == 0, "the other one hangs still");
    drop(held);
    worker.repo.flush().await.unwrap();
}

/// Another entity of the same process, in another store.
#[derive(Clone, Debug, cached_repo::CachedEntity)]
#[cache(prefix = "others", strategy = "write_behind")]
struct Other {
    #[cache(id)]
    id: i64,
    name: String,
}

#[tokio::test(start_paused = true)]
async fn c9_what_a_person_must_mend_pauses_the_drain_and_it_resumes_by_itself() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    for _ in 0..5 {
        scene.gate.fail(Point::BeforeApply, None, StoreError::systemic("no such column"));
    }
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    worker.events.until(|e| matches!(e, Event::Paused { .. })).await;
    let health = worker.cache.health().await;
    assert!(matches!(&health, Health::Degraded(why) if why[0].contains("column")), "{health:?}");
    saved.persisted().await.unwrap();
    worker.events.until(|e| matches!(e, Event::Resumed { .. })).await;
    assert_eq!(worker.events.count(|e| matches!(e, Event::Paused { .. })), 1, "once is enough");
    assert_eq!(worker.cache.health().await, Health::Ok);
    assert_eq!(worker.repo.counts().dead_lettered, 0);
    assert!(worker.cache.dead_letters().list("todos").await.unwrap().is_empty());
}

#[tokio::test]
async fn c9_a_column_that_is_missing_buries_nothing() {
    let scene = Scene::new(On::Postgres, Over::InProcess).await;
    let worker = scene.worker().await;
    let pool = sqlx::PgPool::connect(&tests::servers::postgres_url()).await.unwrap();
    let rename = async |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {} RENAME COLUMN {from} TO {to}", scene.table);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    };
    rename("rank", "gone").await;
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    let paused = worker.events.until(|e| matches!(e, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("rank"), "{paused:?}");
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "a");
    rename("gone", "rank").await;
    saved.persisted().await.unwrap();
    worker.events.until(|e| matches!(e, Event::Resumed { .. })).await;
    assert_eq!(scene.row("1").await, "a");
    assert_eq!(scene.offset().await.dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn c23_a_panic_while_draining_is_contained_counted_and_tried_again() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    for point in [Point::BeforeApply, Point::AfterApply] {
        scene.gate.panic(point, None);
        let saved = worker.repo.save(&todo("1", &format!("{point:?}"))).await.unwrap();
        saved.persisted().await.unwrap();
        assert_eq!(scene.row("1").await, format!("{point:?}"));
    }
    assert_eq!(worker.repo.counts().drain_panics, 2);
    assert_eq!(worker.events.count(|e| matches!(e, Event::Panicked { .. })), 2);
    assert_eq!(scene.offset().await.applied, 2, "what was committed is not committed again");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_stops_nothing() {
    let scene = Scene::in_process().await;
    let cache = patient().on_event(|_| panic!("the test's callback panics"));
    let cache = scene.cache(cache).await;
    let repo = scene.builder::<crate::stage::Todo>(&cache).build().await.unwrap();
    repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    scene.gate.fail(Point::BeforeApply, None, StoreError::systemic("no such column"));
    repo.save(&todo("1", "b")).await.unwrap().persisted().await.unwrap();
    scene.host.suffer(Incident::Restart).await.unwrap();
    scene.gate.panic(Point::BeforeApply, None);
    repo.save(&todo("1", "c")).await.unwrap().persisted().await.unwrap();
    assert_eq!(scene.row("1").await, "c");
}

/// One after the other, each to its end, however long the others are.
#[tokio::test(start_paused = true)]
async fn c16_a_partition_that_fails_keeps_no_other_one_waiting() {
    let scene = Scene::in_process().await;
    let worker = scene.process(patient(), |b| b.partitions(16)).await;
    let held: Vec<_> = (0..3).map(|i| scene.gate.hold(Point::BeforeApply, HELD[i])).collect();
    for id in HELD {
        worker.repo.save(&todo(id, "a")).await.unwrap();
    }
    for held in &held {
        held.arrived().await;
    }
    let free: Vec<_> = (100..160).map(|id| id.to_string()).collect();
    let mut persisted = 0;
    for id in &free {
        let saved = worker.repo.save(&todo(id, "a")).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(1), saved.persisted());
        persisted += usize::from(waiting.await.is_ok());
    }
    assert!(persisted > free.len() / 2, "{persisted} of {} were drained", free.len());
    drop(held);
    worker.repo.flush().await.unwrap();
}

/// Of three partitions of sixteen.
const HELD: [&str; 3] = ["1", "2", "3"];
