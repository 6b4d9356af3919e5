//! Redis is killed while it is written to; with `appendfsync always` that loses nothing.

use tests::servers::PrivatePostgres;

use super::{Scene, pace, sized, turn};

#[tokio::test]
async fn a_redis_that_is_killed_loses_no_acknowledged_write() {
    let _turn = turn().await;
    let kills = sized(10, 30);
    let postgres = PrivatePostgres::start().await;
    let mut scene = Scene::new(&["--appendfsync", "always"], postgres).await;
    scene.write([true, false], sized(1000, 5000), 2000);
    let worker = scene.worker();
    for kill in 0..kills {
        scene.progress().await;
        pace(0..200).await;
        scene.redis.kill();
        // Now and then for longer than an append is tried again.
        pace(if kill % 5 == 2 { 2500..3000 } else { 0..300 }).await;
        scene.redis.restart().await;
        scene.at_home().await;
    }
    scene.progress().await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(worker);
    let (recovered, lost) = (history.events("Recovered"), history.events("JournalLost"));
    println!("{kills} kills of Redis, {recovered} partitions recovered");
    assert_eq!(lost, 0);
    assert!(recovered >= kills, "the kills were not noticed");
    assert!(history.unknown + history.failed > 0, "no write was under way in an outage");
}
