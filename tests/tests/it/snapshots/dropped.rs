//! A mover, or a copier, that is dropped behind every one of its polls.

use super::{
    keeper,
    paused::{Course, Export, Import},
    plain, rows,
};
use crate::{
    campaign::polled,
    stage::{On, Over, todo},
    write_behind::scene::Scene,
};

#[tokio::test]
async fn a_move_that_is_dropped_behind_any_poll_is_followed_by_another() {
    for way in [Import, Export] {
        let (mut polls, mut is_whole) = (0, false);
        while !is_whole {
            polls += 1;
            let case = format!("{way:?} behind poll {polls}");
            let mut course = Course::begin(Over::Redis, way).await;
            let ledger = format!("{}@snapshot", course.scene.entity());
            let gone = plain(&course.scene).await;
            let ended = polled(way.go(&gone), polls).await;
            is_whole = ended.is_some();
            ended.transpose().unwrap_or_else(|error| panic!("{case}: {error}"));
            course.forget_its_rights().await;
            course.is_followed(&ledger, &case).await;
        }
        assert!(polls > 10, "a move has no poll to be dropped behind");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_behind_any_poll_is_followed_by_another() {
    let scene = Scene::new(On::Sqlite, Over::Redis).await;
    let (process, other) = (keeper(&scene).await, keeper(&scene).await);
    let claim = scene.own_key("copier");
    let (mut polls, mut is_whole) = (0, false);
    while !is_whole {
        polls += 1;
        for id in ["1", "2"] {
            process.repo.save(&todo(id, &polls.to_string())).await.unwrap();
        }
        is_whole = polled(process.repo.snapshot_now(), polls).await.is_some();
        process.repo.save(&todo("2", "changed")).await.unwrap();
        redis::cmd("DEL").arg(&claim).query_async::<()>(&mut scene.raw().await).await.unwrap();
        let snapshot = other.repo.snapshot_now().await.unwrap();
        assert!(snapshot.is_complete() && snapshot.left == 0, "behind poll {polls}: {snapshot:?}");
        let found = rows(&scene, &["1", "2"]).await;
        assert_eq!(found, [polls.to_string(), "changed".to_owned()], "behind poll {polls}");
    }
    assert!(polls > 4, "a snapshot has no poll to be dropped behind");
}
