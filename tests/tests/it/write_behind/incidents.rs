//! Incidents that nobody wrote into the middle of: an old master that is idle, a stream that is deleted.

use cached_repo::{Cache, Event, Health, Incident, Repository};

use super::scene::Scene;
use crate::stage::{On, Over, Todo, todo};

#[tokio::test(start_paused = true)]
async fn an_old_master_that_nobody_writes_to_takes_nothing_over() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let old = scene.worker().await;
    old.repo.save(&todo("0", "old")).await.unwrap().persisted().await.unwrap();
    let new = Cache::builder().namespace(&*scene.namespace).in_memory();
    new.suffer(Incident::Restart).await.unwrap();
    let new: Repository<Todo> = scene.builder(&new).build().await.unwrap();
    new.save(&todo("1", "new")).await.unwrap().persisted().await.unwrap();
    // The old one's worker looks at its partition again, and finds the store ahead of it.
    let paused = old.events.until(|e| matches!(e, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("replaced by another one"), "{paused:?}");
    new.save(&todo("2", "new")).await.unwrap().persisted().await.unwrap();
    assert_eq!(scene.row("2").await, "new");
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_reported_and_what_comes_later_is_drained() {
    for later in [false, true] {
        let scene = Scene::new(On::Memory, Over::Redis).await;
        scene.open().await;
        let writer = scene.writer().await;
        writer.repo.save(&todo("1", "gone")).await.unwrap();
        let (mut raw, key) = (scene.raw().await, scene.own_key("journal"));
        let deleted: u64 = redis::cmd("DEL").arg(&key).query_async(&mut raw).await.unwrap();
        assert_eq!(deleted, 1);
        if later {
            writer.repo.save(&todo("2", "later")).await.unwrap();
        }
        let worker = scene.worker().await;
        worker.events.until(|e| matches!(e, Event::JournalLost { .. })).await;
        if later {
            worker.repo.flush_id("2").await.unwrap();
            assert_eq!(scene.row("2").await, "later");
        } else {
            let health = worker.cache.health().await;
            assert!(matches!(health, Health::Degraded(_)), "{health:?}");
        }
        assert_eq!(scene.row("1").await, "none");
    }
}
