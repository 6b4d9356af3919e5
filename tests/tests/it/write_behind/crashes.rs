//! Workers that die, are slow, or do not know what became of their commit.

use std::time::Duration;

use cached_repo::store::StoreError;
use tests::Point;

use super::scene::{Scene, patient};
use crate::stage::{On, Over, name, todo};

/// Lets a claim of a worker that is gone end.
async fn end_claim(scene: &Scene) {
    match scene.over {
        Over::InProcess => tokio::time::sleep(Duration::from_secs(6)).await,
        Over::Redis | Over::RedisJson => {
            let mut raw = scene.raw().await;
            let claim = scene.own_key("worker");
            let _: u64 = redis::cmd("DEL").arg(claim).query_async(&mut raw).await.unwrap();
        }
    }
}

/// Runs a body over both backends; in this process time is paused.
async fn over_each(body: impl AsyncFn(Scene)) {
    for over in [Over::InProcess, Over::Redis] {
        if over == Over::InProcess {
            tokio::time::pause();
        } else {
            tokio::time::resume();
        }
        body(Scene::new(On::Memory, over).await).await;
    }
}

#[tokio::test]
async fn c2_of_two_workers_at_one_partition_one_commits_and_the_other_looks_again() {
    over_each(async |scene| {
        let (slow, other) = (scene.worker().await, scene.worker().await);
        // Whichever takes the partition first is held for longer than its claim lasts.
        let held = scene.gate.hold(Point::BeforeApply, "1");
        let saved = slow.repo.save(&todo("1", "a")).await.unwrap();
        held.arrived().await;
        end_claim(&scene).await;
        saved.persisted().await.unwrap();
        assert_eq!(scene.gate.batches(), 1);
        held.release();
        let next = slow.repo.save(&todo("1", "b")).await.unwrap();
        next.persisted().await.unwrap();
        while slow.repo.counts().drain_conflicts + other.repo.counts().drain_conflicts == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(scene.written("1"), ["a", "b"]);
        assert_eq!(scene.offset().await.applied, 2);
    })
    .await;
}

#[tokio::test]
async fn p8_the_acknowledgement_of_a_worker_that_died_is_repeated() {
    over_each(async |scene| {
        let writer = scene.writer().await;
        let dying = scene.worker().await;
        let held = scene.gate.hold(Point::AfterApply, "1");
        let saved = writer.repo.save(&todo("1", "a")).await.unwrap();
        held.arrived().await;
        // Committed, and nobody was told.
        drop(dying);
        assert!(!writer.repo.evict("1").await.unwrap(), "the entry is dirty still");
        end_claim(&scene).await;
        let worker = scene.worker().await;
        saved.persisted().await.unwrap();
        assert_eq!((scene.gate.batches(), scene.offset().await.applied), (1, 1));
        assert_eq!(worker.repo.counts().drained, 0);
        writer.repo.evict("1").await.unwrap();
        let loads = scene.gate.loads();
        assert_eq!(name(writer.repo.get("1").await.unwrap()), "a");
        assert_eq!(scene.gate.loads(), loads + 1, "the entry is not dirty any more");
        // Also for store-first writers.
        let stored = scene.under(cached_repo::Strategy::CacheAside).await;
        stored.repo.save(&todo("1", "b")).await.unwrap();
        assert_eq!(name(writer.repo.get("1").await.unwrap()), "b");
    })
    .await;
}

#[tokio::test]
async fn p1_p6_a_worker_that_dies_before_its_commit_leaves_everything_to_the_next() {
    over_each(async |scene| {
        let writer = scene.writer().await;
        let dying = scene.worker().await;
        let held = scene.gate.hold(Point::BeforeApply, "1");
        let saved = writer.repo.save(&todo("1", "a")).await.unwrap();
        held.arrived().await;
        drop(dying);
        assert_eq!(scene.offset().await.last_id, 0);
        end_claim(&scene).await;
        let _worker = scene.worker().await;
        saved.persisted().await.unwrap();
        assert_eq!(scene.written("1"), ["a"]);
    })
    .await;
}

over_both!(c21_an_entry_that_was_written_anew_meanwhile_stays_dirty, |scene| {
    let worker = scene.worker().await;
    let first = scene.gate.hold(Point::AfterApply, "1");
    let second = scene.gate.hold(Point::AfterApply, "1");
    let one = worker.repo.save(&todo("1", "one")).await.unwrap();
    first.arrived().await;
    let two = worker.repo.save(&todo("1", "two")).await.unwrap();
    first.release();
    one.persisted().await.unwrap();
    second.arrived().await;
    assert!(!worker.repo.evict("1").await.unwrap(), "the second write is not acknowledged");
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "two");
    second.release();
    two.persisted().await.unwrap();
    assert!(worker.repo.evict("1").await.unwrap());
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "two");
});

over_both!(c11_commits_of_which_nobody_knows_are_neither_doubled_nor_lost, |scene| {
    let worker = scene.process(patient(), |b| b.coalesce(false).batch(2)).await;
    let unknown = || StoreError::unknown("the answer was lost");
    let mut order = Vec::new();
    for round in 0..8 {
        let point = if round % 2 == 0 { Point::AfterApply } else { Point::BeforeApply };
        scene.gate.fail(point, "1", unknown());
        let saved = worker.repo.save(&todo("1", &round.to_string())).await.unwrap();
        order.push(round.to_string());
        saved.persisted().await.unwrap();
        assert_eq!(name(worker.repo.get("1").await.unwrap()), round.to_string());
    }
    assert_eq!(scene.written("1"), order);
    assert_eq!((scene.offset().await.applied, worker.repo.counts().drain_conflicts), (8, 8));
});
