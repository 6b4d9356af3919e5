//! E13: everything in Redis is gone while it is written to, by FLUSHALL or by a kill of a server that keeps
//! nothing; that is reported, and what comes after is safe.

use std::time::{SystemTime, UNIX_EPOCH};

use tests::actor::PARTITIONS;

use super::{Scene, pace, seed, sized, tell, turn};

#[tokio::test]
async fn a_flush_is_reported_and_later_writes_are_safe() {
    lose_everything("E13", false).await;
}

#[tokio::test]
async fn a_server_that_keeps_nothing_is_reported_and_later_writes_are_safe() {
    lose_everything("E13 persistence off", true).await;
}

async fn lose_everything(experiment: &str, kills: bool) {
    let _turn = turn().await;
    seed();
    let flushes = sized(3, 5);
    let mut scene = Scene::new(if kills { &["--appendonly", "no"] } else { &[] }).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let (mut flushed_at, mut undrained) = (0, 0);
    for _ in 0..flushes {
        scene.progress().await;
        scene.at_home().await;
        pace(0..300).await;
        undrained += scene.backlog().await;
        // Versions are microseconds of the server, which is on this machine.
        flushed_at = match kills {
            true => {
                scene.redis.kill();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                scene.redis.restart().await;
                now.as_micros() as u64
            }
            false => flush(&scene).await,
        };
        scene.at_home().await;
    }
    scene.progress().await;
    let history = scene.check(|version| version < flushed_at).await;
    drop(worker);
    let lost = history.events("JournalLost");
    let later = history.count(|version| version > flushed_at);
    tell(
        experiment,
        format_args!(
            "everything gone {flushes} times, with {undrained} records that were not drained a moment before, {lost} \
             partitions reported as lost, {} writes before the last time, {later} after it and none of \
             these lost",
            history.count(|version| version < flushed_at),
        ),
    );
    assert_eq!(lost, flushes * u64::from(PARTITIONS), "each loss is reported once");
    assert!(later > 0, "nothing was written after the last time");
}

/// Answers when it was.
async fn flush(scene: &Scene) -> u64 {
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("FLUSHALL").ignore().cmd("TIME");
    let ((seconds, us),): ((u64, u64),) =
        pipeline.query_async(&mut scene.redis().await).await.unwrap();
    seconds * 1_000_000 + us
}
