//! Everything in Redis is flushed while it is written to; that is reported, and what comes after is safe.

use tests::{actor::PARTITIONS, servers::PrivatePostgres};

use super::{Scene, pace, sized, turn};

#[tokio::test]
async fn a_flush_is_reported_and_later_writes_are_safe() {
    let _turn = turn().await;
    let flushes = sized(5, 20);
    let mut scene = Scene::new(&[], PrivatePostgres::start().await).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let (mut flushed_at, mut undrained) = (0, 0);
    for _ in 0..flushes {
        scene.progress().await;
        scene.at_home().await;
        pace(0..300).await;
        undrained += scene.backlog().await;
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("FLUSHALL").ignore().cmd("TIME");
        let ((seconds, us),): ((u64, u64),) =
            pipeline.query_async(&mut scene.redis().await).await.unwrap();
        // Versions are microseconds of the server.
        flushed_at = seconds * 1_000_000 + us;
        scene.at_home().await;
    }
    scene.progress().await;
    let history = scene.check(|version| version < flushed_at).await;
    drop(worker);
    let lost = history.events("JournalLost");
    println!(
        "{flushes} flushes with {undrained} records that were not drained a moment before, {lost} \
         partitions lost, {} writes before the last flush, {} after it",
        history.count(|version| version < flushed_at),
        history.count(|version| version > flushed_at),
    );
    assert_eq!(lost, flushes * u64::from(PARTITIONS), "each loss is reported once");
}
