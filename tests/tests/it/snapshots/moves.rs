//! Moving an entity between `redis_only` and the strategies with a store.

use std::collections::BTreeMap;

use cached_repo::{
    ErrorKind, Incident, Repository, Strategy,
    failpoint::{self, Point},
    store::{Entry, Ledger, Store, StoreError},
};

use super::{INTERVAL, PLACES, keeper, plain, rows, table};
use crate::{
    stage::{On, Over, Todo, WITH_STORE, name, todo},
    write_behind::scene::{Scene, patient},
};

#[tokio::test]
async fn an_import_makes_every_row_an_entity_and_an_export_every_entity_a_row() {
    for (on, over) in PLACES {
        for strategy in [Strategy::WriteThrough, Strategy::WriteBehind] {
            let scene = Scene::new(on, over).await;
            let (before, only) = (scene.under(strategy).await, plain(&scene).await);
            let mut model = BTreeMap::new();
            for id in (0..450).map(|id| id.to_string()) {
                model.insert(id.clone(), todo(&id, "before"));
            }
            before.repo.save_many(model.values()).await.unwrap();
            // Under `write_behind` nothing is drained yet: nobody drains here.
            assert_eq!(only.repo.import().await.unwrap(), 450, "{on:?} {over:?} {strategy}");
            let found = only.repo.get_many(model.keys().map(|id| &**id)).await.unwrap();
            assert!(found.iter().flatten().eq(model.values()), "{on:?} {over:?} {strategy}");
            assert_eq!(only.repo.import().await.unwrap(), 0, "it is there already");
            let error = before.repo.save(&todo("1", "late")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Dirty, "{error}");

            for id in ["0", "449", "new"] {
                only.repo.save(&todo(id, "only")).await.unwrap();
                model.insert(id.to_owned(), todo(id, "only"));
            }
            for id in ["1", "2"] {
                only.repo.delete(id).await.unwrap();
                model.remove(id);
            }
            let snapshot = only.repo.export().await.unwrap();
            assert!(snapshot.is_complete());
            let mut ids: Vec<String> = model.keys().cloned().collect();
            ids.extend(["1".to_owned(), "2".to_owned()]);
            assert_eq!(table(&scene, ids.iter()).await, model, "{on:?} {over:?} {strategy}");
            let error = only.repo.save(&todo("3", "late")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            for strategy in WITH_STORE {
                let after = scene.under(strategy).await;
                assert_eq!(name(after.repo.get("0").await.unwrap()), "only");
                assert_eq!(name(after.repo.get("1").await.unwrap()), "none");
                after.repo.save(&todo("0", strategy.name())).await.unwrap();
                assert_eq!(name(after.repo.get("0").await.unwrap()), strategy.name());
                after.repo.save(&todo("0", "only")).await.unwrap();
            }
        }
    }
}

/// There and back, so that nothing of the way there is in the way.
#[tokio::test]
async fn an_entity_moves_there_and_back_again() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Sqlite, over).await;
        for round in 0..3 {
            let behind = scene.worker().await;
            behind.repo.save(&todo("1", &format!("stored {round}"))).await.unwrap();
            behind.repo.save(&todo("2", "stored")).await.unwrap();
            let only = keeper(&scene).await;
            assert_eq!(only.repo.import().await.unwrap(), 2);
            assert_eq!(name(only.repo.get("1").await.unwrap()), format!("stored {round}"));
            only.repo.save(&todo("1", &format!("kept {round}"))).await.unwrap();
            only.repo.delete("2").await.unwrap();
            only.repo.export().await.unwrap();
            assert_eq!(
                rows(&scene, &["1", "2"]).await,
                [format!("kept {round}"), "none".to_owned()]
            );
        }
    }
}

/// Entries without a time to live would stay for ever, and be read where other programs write rows.
#[tokio::test]
async fn an_export_leaves_nothing_in_redis() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let only = plain(&scene).await;
        only.repo.save(&todo("1", "one")).await.unwrap();
        only.repo.save(&todo(&"x".repeat(300), "two")).await.unwrap();
        only.repo.export().await.unwrap();
        assert_eq!(only.repo.get("1").await.unwrap(), None);
        assert_eq!(only.repo.get("x".repeat(300)).await.unwrap(), None);
        let after = scene.under(Strategy::ReadThrough).await;
        assert_eq!(name(after.repo.get("1").await.unwrap()), "one");
        assert_eq!(name(after.repo.get("x".repeat(300)).await.unwrap()), "two");
    }
}

/// As where each instance of a deployment does it: whatever becomes of either, nothing is lost.
#[tokio::test]
async fn two_exports_at_a_time_lose_nothing() {
    for over in [Over::InProcess, Over::Redis] {
        for fails in [false, true] {
            let scene = Scene::new(On::Memory, over).await;
            let (one, two) = (plain(&scene).await, plain(&scene).await);
            one.repo.import().await.unwrap();
            for id in ["1", "2", "3"] {
                one.repo.save(&todo(id, "kept")).await.unwrap();
            }
            if fails {
                scene.gate.fail(tests::Point::BeforeApply, None, StoreError::transient("a fault"));
            }
            let (first, second) = tokio::join!(one.repo.export(), two.repo.export());
            assert!(fails || first.is_ok() && second.is_ok(), "one waits for the other");
            // Where it is kept again it may be written to.
            let saved = one.repo.save(&todo("2", "between")).await.is_ok();
            while one.repo.export().await.is_err() {
                tokio::task::yield_now().await;
            }
            let between = if saved { "between" } else { "kept" };
            assert_eq!(rows(&scene, &["1", "2", "3"]).await, ["kept", between, "kept"]);
            let after = scene.under(Strategy::WriteThrough).await;
            after.repo.save(&todo("1", "after")).await.unwrap();
            assert_eq!(scene.row("1").await, "after");
        }
    }
}

/// The copier was about to write when the entity was exported, and somebody else wrote since.
#[tokio::test(start_paused = true)]
async fn a_copier_that_was_paused_writes_nothing_after_an_export() {
    let scene = Scene::in_process().await;
    let (slow, only) = (keeper(&scene).await, keeper(&scene).await);
    only.repo.snapshot_now().await.unwrap();
    only.repo.save(&todo("1", "kept")).await.unwrap();
    let held = scene.gate.hold(tests::Point::BeforeApply, "1");
    let repo = slow.repo.clone();
    let copying = tokio::spawn(async move { repo.snapshot_now().await });
    held.arrived().await;
    only.repo.export().await.unwrap();
    let after = scene.under(Strategy::WriteThrough).await;
    after.repo.save(&todo("1", "after")).await.unwrap();
    held.release();
    copying.await.unwrap().unwrap_err();
    assert_eq!(scene.row("1").await, "after");
}

/// What is not there was not deleted: it is not imported yet.
#[tokio::test(start_paused = true)]
async fn a_copier_that_was_paused_deletes_nothing_that_is_being_imported() {
    for is_imported_meanwhile in [false, true] {
        let scene = Scene::in_process().await;
        let ledger = format!("{}@snapshot", scene.entity());
        let (slow, only) = (keeper(&scene).await, keeper(&scene).await);
        only.repo.save(&todo("1", "first")).await.unwrap();
        only.repo.snapshot_now().await.unwrap();
        only.repo.save(&todo("1", "kept")).await.unwrap();
        // It knows what changed, and is about to ask for the position.
        let held = scene.gate.hold(tests::Point::BeforeLedger, "offset");
        let copying = tokio::spawn(async move { slow.repo.snapshot_now().await });
        held.arrived().await;
        only.repo.export().await.unwrap();
        let half = failpoint::hold(Point::RowsRead, &ledger);
        let importing = tokio::spawn(async move { only.repo.import().await });
        half.arrived().await;
        let read = failpoint::hold(Point::RecordsRead, &ledger);
        held.release();
        read.arrived().await;
        if is_imported_meanwhile {
            half.release();
            importing.await.unwrap().unwrap();
            read.release();
            copying.await.unwrap().unwrap();
        } else {
            read.release();
            copying.await.unwrap().unwrap_err();
            half.release();
            importing.await.unwrap().unwrap();
        }
        assert_eq!(scene.row("1").await, "kept", "while it was imported: {is_imported_meanwhile}");
    }
}

/// It finds a position that nobody has settled, as an export is about to.
#[tokio::test(start_paused = true)]
async fn a_copier_that_was_paused_opens_nothing_that_is_exported_meanwhile() {
    let scene = Scene::in_process().await;
    let (slow, only) = (keeper(&scene).await, keeper(&scene).await);
    only.repo.save(&todo("1", "first")).await.unwrap();
    only.repo.snapshot_now().await.unwrap();
    only.repo.save(&todo("1", "kept")).await.unwrap();
    let held = scene.gate.hold(tests::Point::BeforeLedger, "offset");
    let mut copying = tokio::spawn(async move { slow.repo.snapshot_now().await });
    held.arrived().await;
    let settle = scene.gate.hold(tests::Point::BeforeLedger, "settle");
    let exporting = tokio::spawn(async move { only.repo.export().await });
    settle.arrived().await;
    let recover = scene.gate.hold(tests::Point::BeforeLedger, "recover");
    held.release();
    let copied = tokio::select! {
        copied = &mut copying => Some(copied),
        () = recover.arrived() => None,
    };
    settle.release();
    exporting.await.unwrap().unwrap();
    recover.release();
    let copied = if let Some(copied) = copied { copied } else { copying.await };
    copied.unwrap().unwrap_err();
    let entity = format!("{}@snapshot", scene.entity());
    let offset = Ledger::Offset { entity: &entity, partition: 0 };
    let Entry::Offset(Some(offset)) = scene.gate.ledger(offset).await.unwrap() else {
        panic!("there is no position of copies")
    };
    assert!(offset.sealed, "it was opened");
}

/// The store says that it was exported, whatever Redis has forgotten.
#[tokio::test(start_paused = true)]
async fn a_redis_from_before_an_export_overwrites_nothing() {
    let scene = Scene::in_process().await;
    let only =
        scene.process(patient(), |b| b.strategy(Strategy::RedisOnly).snapshot(INTERVAL)).await;
    only.repo.save(&todo("1", "kept")).await.unwrap();
    only.repo.snapshot_now().await.unwrap();
    only.repo.save(&todo("1", "old")).await.unwrap();
    scene.host.suffer(Incident::Replicate).await.unwrap();
    only.repo.export().await.unwrap();
    let after = scene.under(Strategy::WriteThrough).await;
    after.repo.save(&todo("1", "new")).await.unwrap();
    scene.host.suffer(Incident::FailOver).await.unwrap();
    let error = only.repo.snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains("was exported"), "{error}");
    assert_eq!(scene.row("1").await, "new");
    only.repo.export().await.unwrap();
    assert_eq!(scene.row("1").await, "new");
    after.repo.save(&todo("1", "newer")).await.unwrap();
    assert_eq!(name(after.repo.get("1").await.unwrap()), "newer");
}

#[tokio::test]
async fn what_the_store_does_not_take_is_not_exported() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.let_names_be_unique().await;
    let only = plain(&scene).await;
    only.repo.save(&todo("1", "same")).await.unwrap();
    only.repo.save(&todo("2", "same")).await.unwrap();
    let error = only.repo.export().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("1 are refused"), "{error}");
    only.repo.save(&todo("2", "another")).await.expect("`redis_only` goes on");
    only.repo.export().await.unwrap();
    assert_eq!(rows(&scene, &["1", "2"]).await, ["same", "another"]);
}

#[tokio::test]
async fn an_exported_entity_is_not_kept_again_without_an_import() {
    let scene = Scene::in_process().await;
    let only = plain(&scene).await;
    only.repo.save(&todo("1", "kept")).await.unwrap();
    only.repo.export().await.unwrap();
    let cache = scene.cache(patient().no_worker()).await;
    let builder = Repository::<Todo>::builder(&cache).strategy(Strategy::RedisOnly).partitions(1);
    let error = builder.build().await.unwrap_err();
    assert!(error.to_string().contains("Repository::import"), "{error}");
    let error = keeper(&scene).await.repo.snapshot_now().await.unwrap_err();
    assert!(error.to_string().contains("Repository::import"), "{error}");
    assert_eq!(only.repo.export().await.unwrap().copied, 0, "it is there already");
}

/// Saved when most is copied already, and others may write still.
#[tokio::test(start_paused = true)]
async fn an_export_takes_what_is_saved_to_its_last_moment() {
    let scene = Scene::in_process().await;
    let only = plain(&scene).await;
    only.repo.save(&todo("1", "first")).await.unwrap();
    let held = scene.gate.hold(tests::Point::AfterApply, "1");
    let repo = only.repo.clone();
    let exporting = tokio::spawn(async move { repo.export().await });
    held.arrived().await;
    only.repo.save(&todo("1", "last")).await.unwrap();
    only.repo.save(&todo("2", "last")).await.unwrap();
    held.release();
    exporting.await.unwrap().unwrap();
    assert_eq!(rows(&scene, &["1", "2"]).await, ["last", "last"]);
}

/// It either is among what is imported, or is no success.
#[tokio::test]
async fn a_store_first_write_during_an_import_is_fenced() {
    for on in [On::Memory, On::Sqlite, On::Postgres] {
        let scene = Scene::new(on, Over::InProcess).await;
        let (other, only) = (scene.under(Strategy::WriteThrough).await, plain(&scene).await);
        let held = scene.gate.hold(tests::Point::BeforeApply, "1");
        let repo = other.repo.clone();
        let late = tokio::spawn(async move { repo.save(&todo("1", "late")).await });
        held.arrived().await;
        assert_eq!(only.repo.import().await.unwrap(), 0);
        held.release();
        late.await.unwrap().unwrap_err();
        assert_eq!(scene.row("1").await, "none", "{on:?}");
        assert_eq!(only.repo.get("1").await.unwrap(), None);
    }
}
