//! What was there before snapshots were.

use cached_repo::{
    Incident,
    failpoint::{self, Point},
};

use tests::servers;

use super::{copier, keeper, kept, plain, rows};
use crate::{
    stage::{On, Over, todo},
    users,
    write_behind::scene::{Scene, patient},
};

#[tokio::test]
async fn what_was_kept_before_there_were_snapshots_is_copied() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let before = plain(&scene).await;
        let long = "x".repeat(300);
        let odd = ["%", "a,b:{c}", &long, "é@#"];
        for id in odd {
            before.repo.save(&todo(id, "odd")).await.unwrap();
        }
        let many: Vec<_> = (0..1_200).map(|id| todo(&id.to_string(), "many")).collect();
        before.repo.save_many(&many).await.unwrap();
        before.repo.delete("7").await.unwrap();
        let process = keeper(&scene).await;
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!(snapshot.copied, 1_199 + odd.len() as u64, "{over:?}");
        assert_eq!(rows(&scene, &odd).await, ["odd"; 4]);
        assert_eq!(rows(&scene, &["0", "7", "1199"]).await, ["many", "none", "many"]);
        // From now on changes are marked, whoever makes them.
        before.repo.save(&todo("0", "later")).await.unwrap();
        before.repo.delete(&*long).await.unwrap();
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.deleted), (1, 1));
        assert_eq!(rows(&scene, &["0", &long]).await, ["later", "none"]);
    }
}

#[tokio::test]
async fn rows_that_redis_never_had_stay() {
    let scene = Scene::new(On::Sqlite, Over::Redis).await;
    let process = keeper(&scene).await;
    scene
        .sql(
            "INSERT INTO {table} (id, name, done, rank, score, blob, labels) \
               VALUES ('old', 'row', 0, 0, 0, x'', '[]')",
        )
        .await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(rows(&scene, &["old", "1"]).await, ["row", "one"]);
    process.repo.delete("old").await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(rows(&scene, &["old", "1"]).await, ["none", "one"]);
}

/// A server that takes over may lack what the store has been told already.
#[tokio::test(start_paused = true)]
async fn another_redis_server_is_copied_anew() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    process.repo.save(&todo("1", "replicated")).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    scene.host.suffer(Incident::Replicate).await.unwrap();
    process.repo.save(&todo("1", "lost")).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "lost");
    scene.host.suffer(Incident::FailOver).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "replicated");
    // And one that lost everything loses nothing more.
    scene.host.suffer(Incident::Wipe).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "replicated", "the copy is what is left");
}

/// How far another server was means nothing to this one, nor that it was done.
#[tokio::test]
async fn on_another_redis_server_a_survey_does_not_go_on_where_it_was() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let (before, process) = (plain(&scene).await, keeper(&scene).await);
    let entities: Vec<_> = (0..30).map(|id| todo(&id.to_string(), "kept")).collect();
    before.repo.save_many(&entities).await.unwrap();
    let survey = format!("{}:@survey", scene.entity());
    for at in ["4611686018427387903", "done"] {
        // As a replica has it that is promoted.
        let mut set = redis::cmd("HSET");
        set.arg(&survey).arg("server").arg("gone/gone").arg("at").arg(at);
        set.query_async::<()>(&mut scene.raw().await).await.unwrap();
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!(snapshot.copied, 30, "{at}");
    }
}

/// The page was of one server, and what was marked of it is on another one when that is told.
#[tokio::test]
async fn progress_of_a_survey_that_was_made_on_another_redis_server_is_none() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let (before, process) = (plain(&scene).await, keeper(&scene).await);
    before.repo.save(&todo("1", "kept")).await.unwrap();
    let held = failpoint::hold(Point::RecordsRead, &format!("{}@snapshot", scene.entity()));
    let repo = process.repo.clone();
    let surveying = tokio::spawn(async move { repo.snapshot_now().await });
    held.arrived().await;
    let mut fail_over = redis::pipe();
    fail_over.cmd("HSET").arg(format!("{}:@survey", scene.entity())).arg("server").arg("gone/gone");
    fail_over.cmd("DEL").arg(scene.own_key("changed"));
    fail_over.query_async::<()>(&mut scene.raw().await).await.unwrap();
    held.release();
    assert_eq!(surveying.await.unwrap().unwrap().copied, 1);
    assert_eq!(scene.row("1").await, "kept");
}

/// It is no part of what every user gets, as it shows the names of all keys.
#[tokio::test]
async fn a_user_of_redis_who_may_not_scan_is_told() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let url = users::redis(&servers::redis_url(), &scene.namespace, &["todos"], &[]).await;
    let cache = patient().no_worker().namespace(&*scene.namespace).connect(&url).await.unwrap();
    let repo = kept(scene.builder(&cache)).build().await.unwrap();
    repo.save(&todo("1", "one")).await.unwrap();
    let error = repo.snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains("+scan"), "{error}");
    assert_eq!(scene.row("1").await, "none");
}

/// For a database that was restored to an older state, which nobody notices.
#[tokio::test]
async fn without_the_key_of_its_survey_everything_is_copied_anew() {
    let scene = Scene::new(On::Sqlite, Over::Redis).await;
    let process = keeper(&scene).await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    scene.sql("DELETE FROM {table}").await;
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "none");
    let key = format!("{}:@survey", scene.entity());
    redis::cmd("DEL").arg(key).query_async::<()>(&mut scene.raw().await).await.unwrap();
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "one");
}
