//! E13: everything in Redis is flushed while it is written to; that is reported, and what comes after is
//! safe.

use tests::actor::PARTITIONS;

use super::{Scene, pace, seed, sized, tell, turn};

#[tokio::test]
async fn a_flush_is_reported_and_later_writes_are_safe() {
    let _turn = turn().await;
    seed();
    let flushes = sized(3, 5);
    let mut scene = Scene::new(&[]).await;
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
    let later = history.count(|version| version > flushed_at);
    tell(
        "E13",
        format_args!(
            "{flushes} flushes with {undrained} records that were not drained a moment before, {lost} \
             partitions reported as lost, {} writes before the last flush, {later} after it and none of \
             these lost",
            history.count(|version| version < flushed_at),
        ),
    );
    assert_eq!(lost, flushes * u64::from(PARTITIONS), "each loss is reported once");
    assert!(later > 0, "nothing was written after the last flush");
}
