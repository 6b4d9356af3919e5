//! What is retained for a restored store is given up in time, also where nobody writes any more.

use std::time::Duration;

use cached_repo::{Event, Strategy, store};
use tokio::time::sleep;

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, todo};

/// Longer than the retention, in the steps in which a worker looks again.
async fn rest() {
    for _ in 0..60 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
        // The worker's queries take real time.
        sleep(Duration::from_millis(20)).await;
    }
}

/// An SQLite database with a backup from before the last writes.
async fn backed_up() -> (Scene, Process, String) {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let worker = scene.worker().await;
    let backup = scene.back_up("backup.db").await;
    for id in 0..3 {
        worker.repo.save(&todo(&id.to_string(), "journaled")).await.unwrap();
    }
    worker.repo.flush().await.unwrap();
    (scene, worker, backup)
}

/// A late replay would overwrite what was stored meanwhile without the journal.
#[tokio::test]
async fn a_store_that_is_restored_long_after_the_last_write_is_a_gap_and_gets_nothing_old() {
    for is_sealed in [true, false] {
        let (scene, worker, backup) = backed_up().await;
        let cache = if is_sealed { patient() } else { patient().no_worker() };
        let aside = scene.process(cache, |b| b.strategy(Strategy::CacheAside)).await;
        if is_sealed {
            // The other one seals what no process writes.
            worker.cache.shutdown(Duration::from_secs(30)).await.unwrap();
        }
        rest().await;
        assert_eq!(scene.offset().await.sealed, is_sealed);
        scene.gate.replace(store::connect(&backup).await.unwrap());
        aside.repo.save(&todo("1", "stored")).await.unwrap();
        let late = scene.worker().await;
        let gap = late.events.until(|e| matches!(e, Event::JournalGap { .. })).await;
        let Event::JournalGap { to, .. } = gap else { unreachable!() };
        late.cache.skip_gap("todos").await.unwrap();
        let saved = late.repo.save(&todo("2", "later")).await.unwrap();
        assert!(saved.version().unwrap() > to);
        saved.persisted().await.unwrap();
        let rows = [scene.row("0").await, scene.row("1").await, scene.row("2").await];
        assert_eq!(rows, ["none", "stored", "later"], "sealed: {is_sealed}");
    }
}

/// As long as a replay takes several sessions.
#[tokio::test]
async fn a_long_replay_is_told_once() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let backup = scene.back_up("backup.db").await;
    let worker = scene.process(patient(), |b| b.batch(1)).await;
    // A session ends after sixteen batches.
    for id in 0..50 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap();
    }
    worker.repo.flush().await.unwrap();
    scene.gate.replace(store::connect(&backup).await.unwrap());
    worker.repo.save(&todo("last", "a")).await.unwrap().persisted().await.unwrap();
    assert_eq!((scene.row("0").await, scene.row("49").await), ("a".into(), "a".into()));
    let recovered = worker.events.count(|e| matches!(e, Event::Recovered { .. }));
    assert_eq!((recovered, worker.repo.counts().recoveries), (1, 1), "{:?}", worker.events.all());
}
