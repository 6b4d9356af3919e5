//! A copier, or a mover, that ends anywhere.

use cached_repo::{
    ErrorKind, Strategy,
    failpoint::{self, Failure, Point},
};

use super::{keeper, plain, rows};
use crate::{
    stage::{On, Over, name, todo},
    write_behind::scene::Scene,
};

#[tokio::test]
async fn a_copier_that_ends_anywhere_is_followed_by_another() {
    let points = [Point::PositionRead, Point::RecordsRead, Point::Committed, Point::Acknowledged];
    for (on, over) in [(On::Memory, Over::InProcess), (On::Sqlite, Over::Redis)] {
        for point in points {
            let scene = Scene::new(on, over).await;
            let ledger = format!("{}@snapshot", scene.entity());
            let before = plain(&scene).await;
            before.repo.save(&todo("before", "survey")).await.unwrap();
            let (process, other) = (keeper(&scene).await, keeper(&scene).await);
            // In the survey, and in what follows.
            for round in 0..3 {
                // What is reported is not copied once more.
                let times = if round == 2 && point != Point::Acknowledged { 2 } else { 1 };
                process.repo.save(&todo("1", &round.to_string())).await.unwrap();
                match round {
                    1 => drop(process.repo.delete("2").await.unwrap()),
                    _ => drop(process.repo.save(&todo("2", &round.to_string())).await.unwrap()),
                }
                failpoint::arm(point, &ledger, Failure::Error, times);
                for _ in 0..times {
                    process.repo.snapshot_now().await.unwrap_err();
                }
                assert_eq!(failpoint::left(point, &ledger), 0);
                let snapshot = other.repo.snapshot_now().await.unwrap();
                assert!(snapshot.is_complete() && snapshot.left == 0, "{snapshot:?}");
                let second = if round == 1 { "none".to_owned() } else { round.to_string() };
                let expected = ["survey".to_owned(), round.to_string(), second];
                let found = rows(&scene, &["before", "1", "2"]).await;
                assert_eq!(found, expected, "{on:?} {over:?} {point:?} {round}");
            }
        }
    }
}

/// The commit happened, and its answer was lost: the position tells.
#[tokio::test]
async fn an_unknown_commit_is_found_committed_or_not() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    let process = keeper(&scene).await;
    for (point, name) in [(tests::Point::AfterApply, "a"), (tests::Point::BeforeApply, "b")] {
        process.repo.save(&todo("1", name)).await.unwrap();
        let lost = cached_repo::store::StoreError::unknown("the answer was lost");
        scene.gate.fail(point, "1", lost);
        let snapshot = process.repo.snapshot_now().await.unwrap();
        assert_eq!((snapshot.copied, snapshot.left), (1, 0));
        assert_eq!(scene.row("1").await, name);
    }
    assert_eq!(process.repo.counts().copy_conflicts, 2);
}

/// The future is dropped in the middle: nothing is lost, and the next one goes on.
#[tokio::test]
async fn a_snapshot_that_is_dropped_is_no_harm() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let process = keeper(&scene).await;
        process.repo.save(&todo("1", "one")).await.unwrap();
        process.repo.snapshot_now().await.unwrap();
        process.repo.save(&todo("1", "two")).await.unwrap();
        let held = scene.gate.hold(tests::Point::AfterApply, "1");
        let repo = process.repo.clone();
        let copying = tokio::spawn(async move { repo.snapshot_now().await });
        held.arrived().await;
        copying.abort();
        assert!(copying.await.unwrap_err().is_cancelled());
        process.repo.save(&todo("1", "three")).await.unwrap();
        // The claim of what was cut off ends by itself.
        process.repo.snapshot_now().await.unwrap();
        assert_eq!(scene.row("1").await, "three");
    }
}

#[tokio::test]
async fn a_move_that_ends_anywhere_goes_on() {
    let points = [
        Point::PositionRead,
        Point::RecordsRead,
        Point::Committed,
        Point::Acknowledged,
        Point::SidesSeen,
        Point::SideTaken,
        Point::SidesTurned,
        Point::JournalFenced,
        Point::EpochSeen,
        Point::RowsRead,
        Point::RestCopied,
        Point::SidesLeaving,
        Point::EntriesFound,
        Point::MoveDone,
    ];
    for over in [Over::InProcess, Over::Redis] {
        for point in points {
            let scene = Scene::new(On::Memory, over).await.in_parts(3);
            let ledger = format!("{}@snapshot", scene.entity());
            let (behind, only) = (scene.writer().await, plain(&scene).await);
            behind.repo.save(&todo("1", "journaled")).await.unwrap();
            behind.repo.save(&todo("2", "journaled")).await.unwrap();
            failpoint::arm(point, &ledger, Failure::Error, 1);
            let failed = only.repo.import().await.is_err();
            if failed {
                only.repo.save(&todo("1", "too early")).await.unwrap_err();
                if point != Point::SidesSeen {
                    let error = only.repo.export().await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
                }
                only.repo.import().await.unwrap();
            }
            assert_eq!(failed, IMPORTING.contains(&point), "{point:?}");
            assert_eq!(name(only.repo.get("2").await.unwrap()), "journaled");
            only.repo.save(&todo("1", "kept")).await.unwrap();
            only.repo.delete("2").await.unwrap();
            failpoint::arm(point, &ledger, Failure::Error, 1);
            let failed = only.repo.export().await.is_err();
            assert_eq!(failed, EXPORTING.contains(&point), "{point:?}");
            failpoint::arm(point, &ledger, Failure::Error, 0);
            // It is kept as before, or the export has to go on first.
            match only.repo.import().await {
                _ if !failed => {}
                Ok(rows) => assert_eq!(rows, 0),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced, "{error}"),
            }
            // Whether it may be written to or not, what is acknowledged is there.
            let saved = only.repo.save(&todo("3", "between")).await.is_ok();
            only.repo.export().await.unwrap();
            let between = if saved { "between" } else { "none" };
            assert_eq!(
                rows(&scene, &["1", "2", "3"]).await,
                ["kept", "none", between],
                "{point:?}"
            );
            let after = scene.under(Strategy::WriteThrough).await;
            after.repo.save(&todo("1", "after")).await.unwrap();
            assert_eq!(scene.row("1").await, "after");
        }
    }
}

/// The points that an import passes, and an export.
const IMPORTING: [Point; 7] = [
    Point::SidesSeen,
    Point::SideTaken,
    Point::SidesTurned,
    Point::JournalFenced,
    Point::EpochSeen,
    Point::RowsRead,
    Point::MoveDone,
];
const EXPORTING: [Point; 12] = [
    Point::SideTaken,
    Point::PositionRead,
    Point::RecordsRead,
    Point::Committed,
    Point::Acknowledged,
    Point::SidesSeen,
    Point::SidesTurned,
    Point::RestCopied,
    Point::SidesLeaving,
    Point::EpochSeen,
    Point::EntriesFound,
    Point::MoveDone,
];
