//! The database is killed, and stopped for a while: writes go on, and the journal catches up by itself.

use std::time::Duration;

use tests::servers::PrivatePostgres;
use tokio::time::sleep;

use super::{Scene, pace, sized, turn, until};

#[tokio::test]
async fn a_database_that_is_killed_and_stopped_gets_everything() {
    let _turn = turn().await;
    let kills = sized(5, 12);
    let stop = Duration::from_secs(sized(10, 60));
    let mut scene = Scene::new(&[], PrivatePostgres::start_synced().await).await;
    scene.write([true, false], sized(1000, 5000), 5000);
    let worker = scene.worker();
    for _ in 0..kills {
        scene.progress().await;
        scene.drains().await;
        pace(0..300).await;
        scene.postgres.kill();
        scene.progress().await;
        scene.postgres.restart().await;
    }
    until("everything is drained", async || scene.backlog().await < 20).await;
    let before = scene.backlog().await;
    scene.postgres.stop();
    sleep(stop).await;
    until("the journal is under load", async || scene.backlog().await > before + 1000).await;
    let behind = scene.backlog().await;
    scene.postgres.restart().await;
    // The writers go on all the while.
    until("the drain catches up", async || scene.backlog().await < behind / 10).await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(worker);
    println!(
        "{kills} kills of PostgreSQL, stopped for {stop:?}: {before} records were not drained before, \
         {behind} after it",
    );
    assert_eq!((history.unknown, history.failed), (0, 0), "writes do not need the database");
    assert_eq!(history.events("DeadLettered") + history.events("JournalLost"), 0);
}

impl Scene {
    /// Waits until something more was drained.
    pub(super) async fn drains(&self) {
        let before = self.counted().await;
        until("something is drained", async || self.counted().await != before).await;
    }
}
