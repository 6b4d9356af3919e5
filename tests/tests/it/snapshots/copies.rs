//! What a snapshot copies, and when.

use std::{collections::BTreeMap, time::Duration};

use cached_repo::{Format, Health, Strategy};
use tokio::time::sleep;

use super::{INTERVAL, PLACES, copier, keeper, kept, rows, table};
use crate::{
    stage::{On, Over, Todo, todo},
    write_behind::scene::{Scene, patient},
};

#[tokio::test]
async fn after_a_snapshot_the_table_is_what_redis_had() {
    for (on, over) in PLACES {
        let scene = Scene::new(on, over).await;
        let process = scene
            .process(patient().no_worker(), |b| kept(b).partitions(4).format(Format::Hash))
            .await;
        let mut model: BTreeMap<String, Option<Todo>> = BTreeMap::new();
        for round in 0..4 {
            for write in 0..40 {
                let id = fastrand::usize(..25).to_string();
                let entity =
                    (fastrand::u8(..4) > 0).then(|| todo(&id, &format!("{round} {write}")));
                match &entity {
                    Some(entity) => drop(process.repo.save(entity).await.unwrap()),
                    None => drop(process.repo.delete(&id).await.unwrap()),
                }
                model.insert(id, entity);
            }
            let snapshot = process.repo.snapshot_now().await.unwrap();
            assert!(snapshot.is_complete() && snapshot.left == 0, "{snapshot:?}");
            let expected = model.iter().filter_map(|(id, e)| Some((id.clone(), e.clone()?)));
            assert_eq!(table(&scene, model.keys()).await, expected.collect(), "{on:?} {over:?}");
        }
        let batches = process.repo.counts().copy_batches;
        let again = process.repo.snapshot_now().await.unwrap();
        assert_eq!((again.copied, again.deleted), (0, 0), "what is copied is not copied again");
        assert_eq!(
            process.repo.counts().copy_batches,
            batches,
            "nor is the store asked for anything"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_changed_is_copied_every_so_often() {
    let scene = Scene::in_process().await;
    let process = copier(&scene).await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    sleep(INTERVAL - Duration::from_secs(1)).await;
    assert_eq!(scene.row("1").await, "none", "not before it is time");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.row("1").await, "one");
    process.repo.save(&todo("1", "two")).await.unwrap();
    process.repo.save(&todo("2", "two")).await.unwrap();
    sleep(INTERVAL).await;
    assert_eq!(rows(&scene, &["1", "2"]).await, ["two", "two"]);
    process.repo.delete("1").await.unwrap();
    sleep(INTERVAL).await;
    assert_eq!(rows(&scene, &["1", "2"]).await, ["none", "two"]);
    let counts = process.repo.counts();
    assert_eq!((counts.copied, counts.copied_deletes), (3, 1));
    assert_eq!(process.cache.health().await, Health::Ok);
}

/// The attribute says it as well, and a process of its own copies.
#[tokio::test(start_paused = true)]
async fn a_process_that_only_drains_copies() {
    let scene = Scene::in_process().await;
    let process = keeper(&scene).await;
    process.repo.save(&todo("1", "one")).await.unwrap();
    sleep(2 * INTERVAL).await;
    assert_eq!(scene.row("1").await, "none", "without a worker nothing is copied");
    let draining = tokio::spawn(process.cache.drain());
    sleep(INTERVAL + Duration::from_secs(1)).await;
    assert_eq!(scene.row("1").await, "one");
    draining.abort();
}

#[tokio::test]
async fn deleted_and_expired_entities_disappear_from_the_copy() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let ttl = Duration::from_secs(1);
        let mortal =
            scene.process(patient().no_worker(), |b| kept(b).ttl(ttl).jitter_percent(0)).await;
        let lasting = keeper(&scene).await;
        for id in ["expires", "expires too", "is renewed", "is deleted"] {
            mortal.repo.save(&todo(id, id)).await.unwrap();
        }
        let snapshot = mortal.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.deleted), (4, 0));
        lasting.repo.save(&todo("is renewed", "renewed")).await.unwrap();
        lasting.repo.delete("is deleted").await.unwrap();
        // Redis itself has to forget them: there is nothing else to wait for.
        while mortal.repo.exists("expires too").await.unwrap() {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(20)).await;
        let snapshot = lasting.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.deleted), (1, 3), "{over:?}");
        let ids = ["expires", "expires too", "is renewed", "is deleted"];
        assert_eq!(rows(&scene, &ids).await, ["none", "none", "renewed", "none"], "{over:?}");
    }
}

#[tokio::test]
async fn a_change_during_a_copy_is_copied_by_the_next_one() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let process = keeper(&scene).await;
        process.repo.snapshot_now().await.unwrap();
        process.repo.save(&todo("1", "before")).await.unwrap();
        process.repo.save(&todo("2", "before")).await.unwrap();
        let held = scene.gate.hold(tests::Point::BeforeApply, "1");
        let repo = process.repo.clone();
        let copying = tokio::spawn(async move { repo.snapshot_now().await.unwrap() });
        held.arrived().await;
        process.repo.save(&todo("1", "meanwhile")).await.unwrap();
        process.repo.delete("2").await.unwrap();
        held.release();
        let snapshot = copying.await.unwrap();
        assert_eq!((snapshot.copied, snapshot.left), (2, 2), "what changed again is left");
        assert_eq!(rows(&scene, &["1", "2"]).await, ["before", "before"]);
        process.repo.snapshot_now().await.unwrap();
        assert_eq!(rows(&scene, &["1", "2"]).await, ["meanwhile", "none"]);
    }
}

/// A copier that was paused finds that others went on, and reads again before it writes.
#[tokio::test(start_paused = true)]
async fn a_copier_that_was_paused_overwrites_nothing_newer() {
    let scene = Scene::in_process().await;
    let (slow, fast) = (keeper(&scene).await, keeper(&scene).await);
    slow.repo.save(&todo("1", "first")).await.unwrap();
    slow.repo.snapshot_now().await.unwrap();
    slow.repo.save(&todo("1", "old")).await.unwrap();
    let held = scene.gate.hold(tests::Point::BeforeApply, "1");
    let repo = slow.repo.clone();
    let copying = tokio::spawn(async move { repo.snapshot_now().await.unwrap() });
    held.arrived().await;
    // Its claim ends.
    fast.repo.save(&todo("1", "new")).await.unwrap();
    fast.repo.snapshot_now().await.unwrap();
    assert_eq!(scene.row("1").await, "new");
    held.release();
    copying.await.unwrap();
    assert_eq!(scene.row("1").await, "new");
    assert_eq!(slow.repo.counts().copy_conflicts, 1);
    assert_eq!(scene.written("1"), ["first", "new"]);
}

#[tokio::test]
async fn of_two_copiers_at_a_time_one_copies_each_change() {
    let scene = Scene::new(On::Sqlite, Over::Redis).await;
    let (one, two) = (keeper(&scene).await, keeper(&scene).await);
    for round in 0..5 {
        for id in 0..20 {
            one.repo.save(&todo(&id.to_string(), &round.to_string())).await.unwrap();
        }
        let (first, second) = tokio::join!(one.repo.snapshot_now(), two.repo.snapshot_now());
        assert_eq!(first.unwrap().copied + second.unwrap().copied, 20, "round {round}");
        assert_eq!(rows(&scene, &["0", "19"]).await, [round.to_string(), round.to_string()]);
    }
}

#[tokio::test]
async fn a_snapshot_needs_redis_only_and_a_store_that_takes_journals() {
    let scene = Scene::in_process().await;
    let other = scene.under(Strategy::WriteThrough).await;
    let error = other.repo.snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains("under `redis_only`"), "{error}");
    let cache = scene.cache(patient().no_worker()).await;
    let builder = || {
        let builder = cached_repo::Repository::<Todo>::builder(&cache).partitions(1);
        builder.strategy(Strategy::RedisOnly)
    };
    let error = builder().build().await.unwrap().snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains(".store(&db)"), "{error}");
    for (built, says) in [
        (builder().snapshot(INTERVAL), "needs a store"),
        (scene.builder(&cache).snapshot(INTERVAL), "the strategy is `write_behind`"),
        (kept(scene.builder(&cache)).snapshot(Duration::from_millis(999)), "from 1 s to 30 days"),
        (kept(scene.builder(&cache)).snapshot(Duration::from_secs(31 * 86_400)), "30 days"),
    ] {
        let error = built.build().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let off = scene.builder::<Todo>(&cache).snapshot(INTERVAL).snapshot(None);
    off.build().await.unwrap();
}
