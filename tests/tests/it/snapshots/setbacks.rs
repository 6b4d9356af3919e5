//! A move whose servers fail it: what the error says, and what is left.

use cached_repo::{
    ErrorKind, Incident, Strategy,
    failpoint::{self, Failure, Point},
    store::{self, StoreError},
};
use tests::servers::PrivateRedis;

use super::{keeper, plain, rows};
use crate::{
    stage::{On, Over, name, todo},
    write_behind::scene::Scene,
};

/// No snapshot was ever made: it is this process that turns the partitions over, and nobody else.
#[tokio::test(start_paused = true)]
async fn an_export_that_the_store_fails_says_why() {
    let scene = Scene::in_process().await.in_parts(3);
    let only = plain(&scene).await;
    only.repo.save(&todo("1", "kept")).await.unwrap();
    scene.gate.fail(tests::Point::BeforeApply, "1", StoreError::transient("a fault"));
    let error = only.repo.export().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error}");
    only.repo.save(&todo("1", "later")).await.expect("`redis_only` goes on");
    only.repo.export().await.unwrap();
    assert_eq!(scene.row("1").await, "later");
}

#[tokio::test]
async fn an_export_that_fails_between_two_partitions_says_why() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await.in_parts(3);
        let only = plain(&scene).await;
        only.repo.save(&todo("1", "kept")).await.unwrap();
        let ledger = format!("{}@snapshot", scene.entity());
        for visit in [1, 2, 3] {
            failpoint::arm_at(Point::SideTaken, &ledger, Failure::Error, visit);
            let error = only.repo.export().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{visit}: {error}");
            for id in 0..9 {
                let saved = only.repo.save(&todo(&id.to_string(), &visit.to_string())).await;
                saved.expect("`redis_only` goes on");
            }
        }
        only.repo.export().await.unwrap();
        assert_eq!(rows(&scene, &["0", "8"]).await, ["3", "3"]);
    }
}

/// The store has everything, and remembers it, when Redis comes back in a state from before.
#[tokio::test(start_paused = true)]
async fn an_export_under_which_redis_falls_back_says_so() {
    let scene = Scene::in_process().await.in_parts(3);
    let ledger = format!("{}@snapshot", scene.entity());
    let only = plain(&scene).await;
    only.repo.save(&todo("1", "kept")).await.unwrap();
    only.repo.snapshot_now().await.unwrap();
    scene.host.suffer(Incident::Replicate).await.unwrap();
    let held = failpoint::hold(Point::EntriesFound, &ledger);
    let repo = only.repo.clone();
    let exporting = tokio::spawn(async move { repo.export().await });
    held.arrived().await;
    scene.host.suffer(Incident::FailOver).await.unwrap();
    held.release();
    for error in [exporting.await.unwrap().unwrap_err(), only.repo.import().await.unwrap_err()] {
        assert!(error.to_string().contains("Redis came back in a state from before"), "{error}");
        assert!(error.to_string().contains("Repository::export"), "{error}");
    }
    only.repo.export().await.unwrap();
    let after = scene.under(Strategy::WriteThrough).await;
    assert_eq!(name(after.repo.get("1").await.unwrap()), "kept");
    after.repo.save(&todo("1", "after")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_import_begins_anew_where_redis_loses_everything_meanwhile() {
    let scene = Scene::in_process().await.in_parts(3);
    let ledger = format!("{}@snapshot", scene.entity());
    let (through, only) = (scene.under(Strategy::WriteThrough).await, plain(&scene).await);
    for id in ["1", "2", "3"] {
        through.repo.save(&todo(id, "row")).await.unwrap();
    }
    let held = failpoint::hold(Point::RowsRead, &ledger);
    let repo = only.repo.clone();
    let importing = tokio::spawn(async move { repo.import().await });
    held.arrived().await;
    scene.host.suffer(Incident::Wipe).await.unwrap();
    held.release();
    assert_eq!(importing.await.unwrap().unwrap(), 3);
    assert_eq!(name(only.repo.get("3").await.unwrap()), "row");
    through.repo.save(&todo("3", "late")).await.unwrap_err();
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Remedy {
    Export,
    /// Which ends between two partitions, and is called again.
    CutOffExport,
    Import,
}

/// The restored store says that it keeps the entity. It does not know that it was imported since.
#[tokio::test]
async fn a_database_from_before_an_import_costs_no_only_copies() {
    for over in [Over::InProcess, Over::Redis] {
        for remedy in [Remedy::Export, Remedy::CutOffExport, Remedy::Import] {
            let scene = Scene::new(On::Sqlite, over).await.in_parts(3);
            let ledger = format!("{}@snapshot", scene.entity());
            let only = plain(&scene).await;
            let ids: Vec<String> = (0..9).map(|id| id.to_string()).collect();
            let save = async |name: &str| {
                for id in &ids {
                    only.repo.save(&todo(id, name)).await.unwrap();
                }
            };
            save("old").await;
            only.repo.export().await.unwrap();
            let backup = scene.back_up("backup.db").await;
            assert_eq!(only.repo.import().await.unwrap(), 9);
            save("kept").await;
            only.repo.snapshot_now().await.unwrap();
            scene.gate.replace(store::connect(&backup).await.unwrap());
            assert_eq!(scene.row("0").await, "old");
            only.repo.save(&todo("0", "newest")).await.expect("`redis_only` goes on");
            let error = only.repo.snapshot_now().await.unwrap_err();
            assert!(error.to_string().contains("before this entity was imported"), "{error}");
            if remedy == Remedy::CutOffExport {
                failpoint::arm_at(Point::EpochSeen, &ledger, Failure::Error, 2);
                only.repo.export().await.unwrap_err();
                only.repo.snapshot_now().await.expect_err("the others are sealed still");
            }
            if remedy == Remedy::Import {
                assert_eq!(only.repo.import().await.unwrap(), 0);
                only.repo.snapshot_now().await.unwrap();
                only.repo.save(&todo("0", "newest")).await.expect("`redis_only` keeps it");
            } else {
                only.repo.export().await.unwrap();
            }
            for id in &ids {
                let expected = if id == "0" { "newest" } else { "kept" };
                assert_eq!(scene.row(id).await, expected, "{over:?} {remedy:?} {id}");
            }
        }
    }
}

/// Exporting makes room, so it must not need any.
#[tokio::test]
async fn a_redis_without_memory_left_is_exported() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await.in_parts(3);
    let only = keeper(&scene).await;
    let full = async |bytes: &str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command.query_async::<()>(&mut scene.raw().await).await.unwrap();
    };
    let ledger = format!("{}@snapshot", scene.entity());
    for is_cut_off in [false, true] {
        only.repo.snapshot_now().await.unwrap();
        for id in 0..20 {
            only.repo.save(&todo(&id.to_string(), "kept")).await.unwrap();
        }
        full("1").await;
        only.repo.save(&todo("20", "kept")).await.unwrap_err();
        if is_cut_off {
            failpoint::arm_at(Point::SidesLeaving, &ledger, Failure::Error, 2);
            only.repo.export().await.unwrap_err();
        }
        only.repo.export().await.unwrap();
        full("0").await;
        assert_eq!(rows(&scene, &["0", "19", "20"]).await, ["kept", "kept", "none"]);
        assert_eq!(only.repo.import().await.unwrap(), 20);
    }
}
