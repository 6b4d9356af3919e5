//! Incidents that nobody wrote into the middle of: an old master that is idle, a stream that is deleted;
//! and what would be one.

use cached_repo::{Cache, Event, Health, Incident, Repository};

use tests::servers::PrivateRedis;

use super::scene::{Scene, patient};
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

#[tokio::test]
async fn what_a_restart_or_a_failover_would_lose_is_said_beforehand() {
    let server = PrivateRedis::start(&["--appendonly", "no"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let worker = scene.process(patient(), |builder| builder).await;
    let (mut raw, mut replica) = (scene.raw().await, None);
    let mut seen = Vec::new();
    for (name, value) in
        [("port", ""), ("save", "3600 1"), ("appendonly", "yes"), ("min-replicas-to-write", "1")]
    {
        if !value.is_empty() {
            let mut set = redis::cmd("CONFIG");
            let _: () = set.arg("SET").arg(name).arg(value).query_async(&mut raw).await.unwrap();
        }
        if name == "appendonly" {
            let url = server.url();
            let port = url.rsplit_once(':').unwrap().1;
            replica = Some(PrivateRedis::start(&["--replicaof", "127.0.0.1", port]).await);
            while !info(&mut raw).await.contains("state=online") {
                tokio::task::yield_now().await;
            }
        }
        seen.push(match worker.cache.health().await {
            Health::Degraded(why) => why.join(" "),
            other => format!("{other:?}"),
        });
    }
    let words = ["nothing to a disk", "has no append-only file", "min-replicas-to-write", "Ok"];
    for (seen, word) in seen.iter().zip(words) {
        assert!(seen.contains(word), "`{word}` is not in: {seen}");
    }
    drop(replica);
}

async fn info(server: &mut redis::aio::MultiplexedConnection) -> String {
    redis::cmd("INFO").arg("replication").query_async(server).await.unwrap()
}
