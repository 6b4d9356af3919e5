//! E16: what a process does once or all the time, dropped behind every one of its polls.

use std::time::Duration;

use cached_repo::{Cache, Shutdown};
use tests::servers;
use tokio::time::timeout;

use super::{HANG, alive, polled, until};
use crate::{
    stage::{On, Over, todo},
    write_behind::scene::{Scene, patient},
};

#[tokio::test]
async fn a_connect_that_is_dropped_behind_any_poll_leaves_no_task() {
    let baseline = alive();
    let mut polls = 1;
    let url = servers::redis_url();
    while polled(Cache::connect(&url), polls).await.is_none() {
        polls += 1;
        until("no task is left", async || alive() <= baseline).await;
    }
    assert!(polls > 1, "it has no poll to be dropped behind");
}

#[tokio::test]
async fn a_drain_that_is_dropped_behind_any_poll_is_gone_on_with() {
    let scene = Scene::new(On::Postgres, Over::Redis).await;
    let writer = scene.writer().await;
    let mut expected = Vec::new();
    let mut polls = 0;
    loop {
        polls += 1;
        let drainer = scene.writer().await;
        for write in 0..2 {
            let name = format!("{polls} {write}");
            writer.repo.save(&todo("1", &name)).await.unwrap();
            expected.push(name);
        }
        let is_drained = async {
            let last = expected.last().unwrap();
            until("it is drained", async || scene.row("1").await == *last).await;
        };
        tokio::select! {
            end = polled(drainer.cache.drain(), polls) => assert!(end.is_none(), "it has an end"),
            () = is_drained => break,
        }
    }
    assert!(polls > 5, "it has no poll to be dropped behind");
    // Once each and in their order, but for those that a later one of the same batch replaced.
    let mut left = expected.iter();
    for name in scene.written("1") {
        assert!(left.any(|expected| *expected == name), "{name} is written again, or too late");
    }
    let offset = scene.offset().await;
    assert_eq!(offset.applied + offset.coalesced, expected.len() as u64);
}

#[tokio::test]
async fn a_shutdown_that_is_dropped_behind_any_poll_has_ended_nothing() {
    let scene = Scene::new(On::Sqlite, Over::Redis).await;
    let process = scene.process(patient(), |builder| builder).await;
    let mut polls = 1;
    loop {
        let saved = process.repo.save(&todo("1", &polls.to_string())).await.unwrap();
        if polls > 1 {
            // Whatever was dropped before, it drains as ever.
            let Ok(persisted) = timeout(HANG, saved.persisted()).await else { panic!("it hangs") };
            persisted.unwrap();
            assert_eq!(scene.row("1").await, polls.to_string());
        }
        let shutdown = process.cache.shutdown(Duration::from_secs(60));
        if let Some(ended) = polled(shutdown, polls).await {
            assert_eq!(ended.unwrap(), Shutdown::Drained);
            break;
        }
        polls += 1;
    }
    assert!(polls > 1, "it has no poll to be dropped behind");
}
