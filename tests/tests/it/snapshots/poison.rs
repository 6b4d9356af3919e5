//! What the store does not take.

use std::time::Duration;

use cached_repo::{
    Event, Health,
    failpoint::{self, Point},
    store::StoreError,
};
use tokio::time::sleep;

use super::{INTERVAL, copier, keeper, rows};
use crate::{
    stage::{DATABASES, On, Over, todo},
    write_behind::scene::Scene,
};

#[tokio::test]
async fn a_poisoned_record_does_not_block_the_others() {
    for on in DATABASES {
        let scene = Scene::new(on, Over::Redis).await;
        scene.let_names_be_unique().await;
        let process = keeper(&scene).await;
        process.repo.save(&todo("first", "same")).await.unwrap();
        process.repo.snapshot_now().await.unwrap();
        for id in 0..30 {
            process.repo.save(&todo(&id.to_string(), &format!("name {id}"))).await.unwrap();
        }
        for id in ["a", "b"] {
            process.repo.save(&todo(id, "same")).await.unwrap();
        }
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.refused, snapshot.left), (30, 2, 0), "{on:?}");
        assert!(!snapshot.is_complete());
        assert_eq!(
            rows(&scene, &["0", "29", "a", "b"]).await,
            ["name 0", "name 29", "none", "none"]
        );
        let is_refused = |event: &Event| matches!(event, Event::CopyRefused { .. });
        assert_eq!(process.events.count(is_refused), 2);
        assert_eq!(process.repo.counts().copies_refused, 2);
        // One changes, the other one is mended in the table.
        process.repo.save(&todo("a", "another")).await.unwrap();
        scene.let_names_repeat().await;
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.refused), (2, 0));
        assert_eq!(rows(&scene, &["a", "b"]).await, ["another", "same"]);
    }
}

/// What is refused waits for a change, so that each snapshot costs what changed.
#[tokio::test(start_paused = true)]
async fn what_was_refused_is_tried_again_when_it_changes_or_somebody_asks() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    let refused = || StoreError::record("it is refused");
    scene.gate.fail(tests::Point::BeforeApply, "1", refused());
    sleep(INTERVAL + Duration::from_secs(1)).await;
    let is_refused = |event: &Event| matches!(event, Event::CopyRefused { id, .. } if id == "1");
    assert_eq!(process.events.count(is_refused), 1);
    sleep(2 * INTERVAL).await;
    assert_eq!(scene.row("1").await, "none", "it is not tried again");
    process.repo.save(&todo("1", "two")).await.unwrap();
    sleep(INTERVAL).await;
    assert_eq!(scene.row("1").await, "two");
    process.repo.save(&todo("1", "three")).await.unwrap();
    scene.gate.fail(tests::Point::BeforeApply, "1", refused());
    sleep(INTERVAL).await;
    assert_eq!(scene.row("1").await, "two");
    process.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "three");
}

#[tokio::test(start_paused = true)]
async fn a_reference_to_a_row_that_is_not_there_yet_is_tried_again_each_time() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    process.repo.save(&todo("child", "one")).await.unwrap();
    let missing = || StoreError::reference("there is no such parent");
    scene.gate.fail(tests::Point::BeforeApply, "child", missing());
    let snapshot = process.repo.snapshot_now().await.unwrap();
    assert_eq!((snapshot.copied, snapshot.postponed, snapshot.left), (0, 1, 1));
    assert!(!snapshot.is_complete());
    scene.gate.fail(tests::Point::BeforeApply, "child", missing());
    sleep(INTERVAL + Duration::from_secs(1)).await;
    assert!(matches!(process.cache.health().await, Health::Degraded(_)));
    sleep(INTERVAL).await;
    assert_eq!(scene.row("child").await, "one");
    assert_eq!(process.cache.health().await, Health::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_tried_again_and_one_that_cannot_is_told_of() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    scene.gate.down();
    sleep(INTERVAL + Duration::from_secs(1)).await;
    let Health::Degraded(reasons) = process.cache.health().await else { panic!("all is well") };
    assert!(reasons.iter().any(|reason| reason.contains("copying todos")), "{reasons:?}");
    process.repo.save(&todo("2", "two")).await.expect("writes need no store");
    scene.gate.up();
    sleep(INTERVAL).await;
    assert_eq!(rows(&scene, &["1", "2"]).await, ["one", "two"]);
    process.repo.save(&todo("1", "three")).await.unwrap();
    scene.gate.fail(tests::Point::BeforeApply, None, StoreError::systemic("no such table"));
    sleep(INTERVAL + Duration::from_secs(3)).await;
    assert_eq!(process.events.count(|e| matches!(e, Event::CopyingPaused { .. })), 1);
    assert!(process.events.count(|e| matches!(e, Event::CopyingResumed { .. })) >= 1);
    assert_eq!(scene.row("1").await, "three");
    assert_eq!(process.cache.health().await, Health::Ok);
}

/// It is the table that is wrong then, and nothing is given up.
#[tokio::test]
async fn where_most_of_a_batch_is_refused_nothing_is() {
    let scene = Scene::new(On::Postgres, Over::InProcess).await;
    let process = keeper(&scene).await;
    process.repo.snapshot_now().await.unwrap();
    scene.sql("ALTER TABLE {table} ADD CONSTRAINT other CHECK (name <> 'name')").await;
    for id in 0..30 {
        process.repo.save(&todo(&id.to_string(), "name")).await.unwrap();
    }
    let error = process.repo.snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains("30 of 30 copies were refused"), "{error}");
    scene.sql("ALTER TABLE {table} DROP CONSTRAINT other").await;
    let snapshot = process.repo.snapshot_now().await.unwrap();
    assert_eq!((snapshot.copied, snapshot.refused), (30, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_manage_in_its_time_it_manages_in_parts() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    let many: Vec<_> = (0..300).map(|id| todo(&id.to_string(), "many")).collect();
    process.repo.save_many(&many).await.unwrap();
    scene.gate.manage(100);
    sleep(INTERVAL + Duration::from_secs(20)).await;
    assert_eq!(rows(&scene, &["0", "299"]).await, ["many", "many"]);
}

/// Its first part is copied before everything is found, and what cannot be copied then is tried again at the
/// end.
#[tokio::test]
async fn what_was_refused_in_a_part_of_a_survey_is_no_failure_when_it_was_mended_at_its_end() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.let_names_be_unique().await;
    let process = keeper(&scene).await;
    let twins: Vec<_> = (0..40).map(|id| todo(&format!("twin {id}"), "same")).collect();
    process.repo.save_many(&twins).await.unwrap();
    let ids: Vec<String> = (0..10_400).map(|id| id.to_string()).collect();
    for ids in ids.chunks(400) {
        let some: Vec<_> = ids.iter().map(|id| todo(id, id)).collect();
        process.repo.save_many(&some).await.unwrap();
    }
    let ledger = format!("{}@snapshot", scene.entity());
    // The first pages were copied, and the last one was found.
    let refused = |event: &Event| matches!(event, Event::CopyRefused { .. });
    let repo = process.repo.clone();
    let mut held = failpoint::hold(Point::RecordsRead, &ledger);
    let exporting = tokio::spawn(async move { repo.export().await });
    loop {
        held.arrived().await;
        if process.events.count(refused) > 0 {
            break;
        }
        let next = failpoint::hold(Point::RecordsRead, &ledger);
        std::mem::replace(&mut held, next).release();
    }
    for (number, twin) in twins.iter().enumerate() {
        process.repo.save(&todo(&twin.id, &format!("name {number}"))).await.unwrap();
    }
    held.release();
    let exported = exporting.await.unwrap().expect("everything is in the store at the end");
    assert!(exported.is_complete(), "{exported:?}");
    assert_eq!(rows(&scene, &["0", "twin 0", "twin 39"]).await, ["0", "name 0", "name 39"]);
}

#[tokio::test]
async fn what_refers_to_a_row_that_is_copied_behind_it_is_copied_by_the_same_call() {
    let scene = Scene::new(On::Memory, Over::InProcess).await;
    let process = keeper(&scene).await;
    for exports in [false, true] {
        process.repo.snapshot_now().await.unwrap();
        let name = format!("exports: {exports}");
        process.repo.save(&todo("child", &name)).await.unwrap();
        process.repo.save(&todo("parent", &name)).await.unwrap();
        // As one batch, and by itself.
        for _ in 0..2 {
            let missing = StoreError::reference("there is no such parent");
            scene.gate.fail(tests::Point::BeforeApply, "child", missing);
        }
        let snapshot = match exports {
            false => process.repo.snapshot_now().await.unwrap(),
            true => process.repo.export().await.unwrap(),
        };
        assert!(snapshot.is_complete(), "{snapshot:?}");
        assert_eq!((snapshot.copied, snapshot.left), (2, 0), "{snapshot:?}");
        assert_eq!(rows(&scene, &["child", "parent"]).await, [&*name, &*name]);
    }
}

/// The one that is referred to was deleted first, so its row goes only behind the other one's.
#[tokio::test]
async fn what_is_referred_to_is_deleted_behind_what_refers_to_it_by_the_same_call() {
    let scene = Scene::new(On::Memory, Over::InProcess).await;
    let process = keeper(&scene).await;
    for exports in [false, true] {
        for id in ["parent", "child"] {
            process.repo.save(&todo(id, "there")).await.unwrap();
        }
        process.repo.snapshot_now().await.unwrap();
        process.repo.delete("parent").await.unwrap();
        process.repo.delete("child").await.unwrap();
        for _ in 0..2 {
            let missing = StoreError::reference("a child refers to it");
            scene.gate.fail(tests::Point::BeforeApply, "parent", missing);
        }
        let snapshot = match exports {
            false => process.repo.snapshot_now().await.unwrap(),
            true => process.repo.export().await.unwrap(),
        };
        assert!(snapshot.is_complete(), "{snapshot:?}");
        assert_eq!((snapshot.deleted, snapshot.left), (2, 0), "{snapshot:?}");
        assert_eq!(rows(&scene, &["child", "parent"]).await, ["none", "none"]);
    }
}

/// Also where other entities need more than one round.
#[tokio::test]
async fn what_is_refused_is_told_of_once_by_a_call() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.let_names_be_unique().await;
    let process = keeper(&scene).await;
    for (id, name) in [("a", "same"), ("b", "same"), ("child", "child"), ("parent", "parent")] {
        process.repo.save(&todo(id, name)).await.unwrap();
    }
    // In the batch, in its half, and by itself.
    for _ in 0..3 {
        let missing = StoreError::reference("there is no such parent");
        scene.gate.fail(tests::Point::BeforeApply, "child", missing);
    }
    let snapshot = process.repo.snapshot_now().await.unwrap();
    assert_eq!((snapshot.copied, snapshot.refused, snapshot.postponed), (3, 1, 0));
    assert_eq!(process.events.count(|event| matches!(event, Event::CopyRefused { .. })), 1);
}
