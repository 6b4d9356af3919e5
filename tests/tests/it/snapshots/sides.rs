//! What other strategies may do with an entity that is copied.

use std::time::Duration;

use cached_repo::{ErrorKind, Repository, Strategy};

use super::{keeper, kept, rows};
use crate::{
    stage::{On, Over, STORE_FIRST, Todo, WITH_STORE, name, todo},
    write_behind::scene::{Scene, patient},
};

#[tokio::test]
async fn nobody_else_writes_to_what_redis_only_copies() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        // They run already when snapshots begin.
        let mut others = Vec::new();
        for strategy in WITH_STORE {
            others.push(scene.under(strategy).await);
        }
        let process = keeper(&scene).await;
        process.repo.save(&todo("1", "kept")).await.unwrap();
        process.repo.save(&todo("2", "kept")).await.unwrap();
        process.repo.snapshot_now().await.unwrap();
        process.repo.delete("2").await.unwrap();
        for other in &others {
            let strategy = other.repo.strategy();
            for id in ["1", "2", "3"] {
                let error = other.repo.save(&todo(id, "theirs")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Dirty, "{strategy} {error}");
                assert!(error.to_string().contains("Repository::export"), "{error}");
                assert!(other.repo.delete(id).await.is_err(), "{strategy}");
            }
            assert_eq!(name(other.repo.get("1").await.unwrap()), "kept");
            // A row that is a copy from before a delete must not become an entry again.
            assert_eq!(name(other.repo.get("2").await.unwrap()), "kept", "the row");
            assert_eq!(process.repo.get("2").await.unwrap(), None, "{strategy} {over:?}");
        }
        process.repo.snapshot_now().await.unwrap();
        assert_eq!(rows(&scene, &["1", "2", "3"]).await, ["kept", "none", "none"]);
        let cache = scene.cache(patient().no_worker()).await;
        for strategy in WITH_STORE {
            let built: Result<Repository<Todo>, _> =
                scene.builder(&cache).strategy(strategy).build().await;
            let error = built.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("Repository::export"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_store_first_write_that_began_before_snapshots_is_fenced() {
    for on in [On::Memory, On::Sqlite, On::Postgres] {
        for strategy in STORE_FIRST {
            let scene = Scene::new(on, Over::InProcess).await;
            let (other, process) = (scene.under(strategy).await, keeper(&scene).await);
            let held = scene.gate.hold(tests::Point::BeforeApply, "1");
            let repo = other.repo.clone();
            let late = tokio::spawn(async move { repo.save(&todo("1", "late")).await });
            held.arrived().await;
            process.repo.save(&todo("1", "kept")).await.unwrap();
            process.repo.snapshot_now().await.unwrap();
            held.release();
            let error = late.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Dirty, "{error}");
            assert_eq!(scene.row("1").await, "kept", "{on:?} {strategy}");
            assert_eq!(name(process.repo.get("1").await.unwrap()), "kept");
        }
    }
}

/// What was journaled before is drained before anything is copied.
#[tokio::test]
async fn what_was_written_behind_before_is_drained_first() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let behind = scene.writer().await;
        behind.repo.save(&todo("1", "journaled")).await.unwrap();
        behind.repo.save(&todo("2", "journaled")).await.unwrap();
        let process = keeper(&scene).await;
        process.repo.save(&todo("1", "kept")).await.expect_err("the journal has it");
        process.repo.snapshot_now().await.unwrap();
        assert_eq!(rows(&scene, &["1", "2"]).await, ["journaled", "journaled"]);
        process.repo.save(&todo("1", "kept")).await.unwrap();
        behind.repo.save(&todo("2", "late")).await.unwrap_err();
        process.repo.snapshot_now().await.unwrap();
        assert_eq!(rows(&scene, &["1", "2"]).await, ["kept", "journaled"]);
    }
}

#[tokio::test]
async fn its_partitions_stay_and_what_is_said_gives_it_others() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let process = keeper(&scene).await;
        process.repo.save(&todo("1", "kept")).await.unwrap();
        process.repo.snapshot_now().await.unwrap();
        let cache = scene.cache(patient().no_worker()).await;
        for exported in [false, true] {
            if exported {
                process.repo.save(&todo("1", "exported")).await.unwrap();
                process.repo.export().await.unwrap();
            }
            for strategy in Strategy::ALL {
                let builder = scene.builder::<Todo>(&cache).strategy(*strategy).partitions(4);
                let error = builder.repartition(Duration::from_secs(60)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration, "{strategy}: {error}");
                for word in ["another prefix", "the same table", "`Repository::export`"] {
                    assert!(error.to_string().contains(word), "{strategy}: {error}");
                }
            }
        }
        let others = || scene.builder::<Todo>(&cache).prefix("others").partitions(4);
        let aside = others().strategy(Strategy::CacheAside).build().await.unwrap();
        assert_eq!(name(aside.get("1").await.unwrap()), "exported");
        let only = kept(others()).build().await.unwrap();
        only.import().await.unwrap();
        assert_eq!(name(only.get("1").await.unwrap()), "exported", "{over:?}");
    }
}
