//! The end of a process: what it drains, what it leaves, and that nothing of it goes on.

use std::{sync::Arc, time::Duration};

use cached_repo::{Cache, Repository, Shutdown, Strategy, store};
use tests::{Gated, Point};

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, Todo, todo};

over_both!(a_shutdown_drains, |scene| {
    let worker = scene.process(patient(), |b| b.batch(3)).await;
    let held = scene.gate.hold(Point::BeforeApply, None);
    for id in 0..10 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap();
    }
    let ending = worker.cache.clone();
    let ending = tokio::spawn(async move { ending.shutdown(Duration::from_secs(60)).await });
    held.arrived().await;
    held.release();
    assert_eq!(ending.await.unwrap().unwrap(), Shutdown::Drained);
    assert_eq!((scene.row("9").await, worker.cache.backlog().await.unwrap()), ("a".into(), 0));
});

/// What others go on writing is theirs to wait for.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_no_later_write() {
    let scene = Scene::in_process().await;
    let (worker, writer) = (scene.worker().await, scene.writer().await);
    let (first, second) =
        (scene.gate.hold(Point::BeforeApply, "1"), scene.gate.hold(Point::BeforeApply, "2"));
    worker.repo.save(&todo("1", "a")).await.unwrap();
    first.arrived().await;
    let ending = worker.cache.clone();
    let ending = tokio::spawn(async move { ending.shutdown(Duration::from_secs(3600)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    writer.repo.save(&todo("2", "a")).await.unwrap();
    first.release();
    second.arrived().await;
    let patience = Duration::from_secs(60);
    let ended = tokio::time::timeout(patience, ending).await.unwrap();
    assert_eq!(ended.unwrap().unwrap(), Shutdown::Drained);
    assert_eq!(scene.row("1").await, "a");
}

/// Also when the worker has not had time to begin.
#[tokio::test(start_paused = true)]
async fn a_shutdown_right_after_the_start_drains_what_others_left() {
    let scene = Scene::in_process().await;
    let writer = scene.writer().await;
    let saved = writer.repo.save(&todo("1", "a")).await.unwrap();
    let worker = scene.worker().await;
    let ended = worker.cache.shutdown(Duration::from_secs(60)).await.unwrap();
    assert_eq!((ended, scene.row("1").await), (Shutdown::Drained, "a".into()));
    saved.persisted().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c22_a_shutdown_with_the_store_down_is_in_time_and_says_what_it_left() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    scene.gate.down();
    for id in ["1", "2", "3"] {
        worker.repo.save(&todo(id, "a")).await.unwrap();
    }
    let start = tokio::time::Instant::now();
    let deadline = Duration::from_secs(5);
    assert_eq!(worker.cache.shutdown(deadline).await.unwrap(), Shutdown::Left(3));
    assert!((deadline..deadline + Duration::from_millis(100)).contains(&start.elapsed()));
    // Asked again it says the same, at once.
    assert_eq!(worker.cache.shutdown(deadline).await.unwrap(), Shutdown::Left(3));
    scene.gate.up();
    let patience = Duration::from_secs(600);
    assert!(tokio::time::timeout(patience, worker.repo.flush()).await.is_err(), "it has stopped");
    let later = scene.worker().await;
    later.repo.flush().await.unwrap();
    assert_eq!(scene.row("3").await, "a");
    assert_eq!(worker.cache.shutdown(deadline).await.unwrap(), Shutdown::Drained);
}

over_both!(a_process_that_does_not_drain_tells_what_is_left, |scene| {
    let writer = scene.writer().await;
    writer.repo.save_many(&[todo("1", "a"), todo("2", "a")]).await.unwrap();
    assert_eq!(writer.cache.backlog().await.unwrap(), 2);
    let ended = writer.cache.shutdown(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(ended, Shutdown::Left(2));
    assert_eq!(scene.gate.batches(), 0);
});

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_when_the_last_handle_is_gone() {
    for hold in [None, Some(Point::BeforeApply), Some(Point::AfterApply)] {
        for strategy in [Strategy::WriteBehind, Strategy::CacheAside] {
            let gate = Gated::new(store::memory());
            let held = hold.map(|point| gate.hold(point, None));
            let cache = Cache::in_memory();
            let builder =
                Repository::<Todo>::builder(&cache).store(&(gate.clone() as store::SharedStore));
            let repo = builder.strategy(strategy).build().await.unwrap();
            if strategy == Strategy::WriteBehind {
                repo.save(&todo("1", "a")).await.unwrap();
                if let Some(held) = &held {
                    held.arrived().await;
                }
            }
            let weak = Arc::downgrade(&gate);
            drop((cache, gate));
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert!(weak.upgrade().is_some(), "a repository keeps the worker at work");
            drop(repo);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(weak.upgrade().is_none(), "{hold:?} {strategy}: a task has the store");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_leaves_no_claim_behind() {
    let scene = Scene::in_process().await;
    let ends: [fn(Process) -> Option<Process>; 2] = [Some, |_| None];
    for (id, end) in ["1", "2"].into_iter().zip(ends) {
        let (writer, ending) = (scene.writer().await, scene.worker().await);
        let held = scene.gate.hold(Point::BeforeApply, id);
        let saved = writer.repo.save(&todo(id, "a")).await.unwrap();
        held.arrived().await;
        if let Some(process) = end(ending) {
            let left = process.cache.shutdown(Duration::from_millis(1)).await.unwrap();
            assert_eq!(left, Shutdown::Left(1));
        }
        let _next = scene.worker().await;
        // Of its claim's two seconds.
        let patience = Duration::from_secs(1);
        tokio::time::timeout(patience, saved.persisted()).await.unwrap().unwrap();
    }
}

over_both!(a_process_may_do_nothing_but_drain, |scene| {
    let writer = scene.writer().await;
    let drainer = scene.writer().await;
    let first = tokio::spawn(drainer.cache.drain());
    writer.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    // Dropping the future stops it, awaiting another one goes on.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let held = scene.gate.hold(Point::BeforeApply, "2");
    let saved = writer.repo.save(&todo("2", "b")).await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!held.has_arrived(), "nobody drains");
    let second = tokio::spawn(drainer.cache.drain());
    held.arrived().await;
    held.release();
    saved.persisted().await.unwrap();
    assert_eq!(scene.row("2").await, "b");
    let ended = drainer.cache.shutdown(Duration::from_secs(60)).await.unwrap();
    assert_eq!(ended, Shutdown::Drained);
    second.await.unwrap();
    // The last handle ends it as well.
    let third = tokio::spawn(scene.writer().await.cache.drain());
    third.await.unwrap();
});
