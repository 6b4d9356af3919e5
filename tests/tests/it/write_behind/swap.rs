//! Old and new strategy side by side: a write behind and one to the store meet on one id, and the drain
//! or the writer is held in the middle.

use std::time::Duration;

use cached_repo::{ErrorKind, Incident, Strategy};
use futures_util::future::join_all;
use tests::Point;

use super::scene::Scene;
use crate::stage::{On, Over, STORE_FIRST, name, save, todo};

/// Runs a body for each store-first strategy: over Redis, and in this process with paused time.
async fn each(body: impl AsyncFn(Scene, Strategy)) {
    for strategy in STORE_FIRST {
        tokio::time::resume();
        body(Scene::new(On::Memory, Over::Redis).await, strategy).await;
        tokio::time::pause();
        body(Scene::in_process().await, strategy).await;
    }
}

async fn a_while() {
    // Paused, this is long; over Redis it is some round trips, and a failure would show sometimes.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn s2_a_store_first_write_of_a_dirty_id_lands_behind_the_drain() {
    each(async |scene, strategy| {
        let (behind, first) = (scene.worker().await, scene.under(strategy).await);
        for deletes in [false, true] {
            let drain = scene.gate.hold(Point::BeforeApply, "1");
            behind.repo.save(&todo("1", "behind")).await.unwrap();
            drain.arrived().await;
            let too_early = scene.gate.hold(Point::BeforeApply, "1");
            let repo = first.repo.clone();
            let writing = tokio::spawn(async move {
                match deletes {
                    true => repo.delete("1").await,
                    false => repo.save(&todo("1", "first")).await,
                }
            });
            a_while().await;
            assert!(!too_early.has_arrived(), "{strategy}: it must wait for the drain");
            assert_eq!(name(first.repo.get("1").await.unwrap()), "behind");
            too_early.release();
            drain.release();
            writing.await.unwrap().unwrap();
            let last = if deletes { "none" } else { "first" };
            for repo in [&behind.repo, &first.repo] {
                assert_eq!(name(repo.get("1").await.unwrap()), last, "{strategy}");
            }
            behind.repo.flush().await.unwrap();
            assert_eq!(scene.row("1").await, last);
            assert_eq!(scene.written("1").last().unwrap(), last, "{strategy}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b1_a_write_behind_of_an_id_that_is_being_written_waits_for_the_token() {
    each(async |scene, strategy| {
        let (behind, first) = (scene.worker().await, scene.under(strategy).await);
        scene.open().await;
        for point in [Point::BeforeApply, Point::AfterApply] {
            let held = scene.gate.hold(point, "1");
            let storing = save(&first.repo, todo("1", "first"));
            held.arrived().await;
            let writing = save(&behind.repo, todo("1", "behind"));
            a_while().await;
            assert!(!writing.is_finished(), "{strategy}: it must wait for the token");
            held.release();
            storing.await.unwrap().unwrap();
            writing.await.unwrap().unwrap().persisted().await.unwrap();
            for repo in [&behind.repo, &first.repo] {
                assert_eq!(name(repo.get("1").await.unwrap()), "behind", "{strategy}");
            }
            let written = scene.written("1");
            assert_eq!(written[written.len() - 2..], ["first", "behind"], "{strategy}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_store_first_writer_that_died_is_waited_out() {
    for strategy in STORE_FIRST {
        let scene = Scene::in_process().await;
        let (behind, first) = (scene.worker().await, scene.under(strategy).await);
        scene.open().await;
        let held = scene.gate.hold(Point::AfterApply, "1");
        let dying = save(&first.repo, todo("1", "first"));
        held.arrived().await;
        held.abandon();
        let start = tokio::time::Instant::now();
        let saved = loop {
            match behind.repo.save(&todo("1", "behind")).await {
                Ok(saved) => break saved,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Intended, "{error}");
                    assert!(error.to_string().contains(" \"1\": "), "not a key of Redis: {error}");
                }
            }
        };
        let waited = start.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(11)).contains(&waited), "{waited:?}");
        saved.persisted().await.unwrap();
        assert_eq!(
            (scene.row("1").await, name(first.repo.get("1").await.unwrap())),
            ("behind".into(), "behind".into())
        );
        dying.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_first_write_that_waits_for_a_drain_survives_a_restart_of_redis() {
    for strategy in STORE_FIRST {
        let scene = Scene::in_process().await;
        scene.open().await;
        let (behind, first) = (scene.worker().await, scene.under(strategy).await);
        let drain = scene.gate.hold(Point::BeforeApply, "1");
        behind.repo.save(&todo("1", "behind")).await.unwrap();
        drain.arrived().await;
        let writing = save(&first.repo, todo("1", "first"));
        a_while().await;
        scene.host.suffer(Incident::Restart).await.unwrap();
        a_while().await;
        drain.release();
        writing.await.unwrap().unwrap();
        assert_eq!(
            (scene.row("1").await, name(behind.repo.get("1").await.unwrap())),
            ("first".into(), "first".into())
        );
        assert_eq!(scene.written("1"), ["behind", "first"], "{strategy}");
    }
}

/// Fenced by the store: the journal was opened, or recovered, after the token was placed.
#[tokio::test(start_paused = true)]
async fn s4_a_store_first_write_from_before_a_recovery_begins_again() {
    for strategy in STORE_FIRST {
        let scene = Scene::in_process().await;
        let (behind, first) = (scene.worker().await, scene.under(strategy).await);
        let held = scene.gate.hold(Point::BeforeApply, "1");
        let writing = save(&first.repo, todo("1", "first"));
        held.arrived().await;
        // Redis forgets the token, and the entry is written behind.
        scene.host.suffer(Incident::Wipe).await.unwrap();
        behind.repo.save(&todo("1", "behind")).await.unwrap().persisted().await.unwrap();
        held.release();
        writing.await.unwrap().unwrap();
        assert_eq!(scene.written("1"), ["behind", "first"], "{strategy}");
        for repo in [&behind.repo, &first.repo] {
            assert_eq!(name(repo.get("1").await.unwrap()), "first", "{strategy}");
        }
    }
}

over_both!(writers_of_both_kinds_at_once_leave_one_truth, |scene| {
    scene.open().await;
    let mut processes = Vec::new();
    for strategy in STORE_FIRST {
        processes.push(scene.under(strategy).await);
        processes.push(scene.worker().await);
    }
    let writing = processes.iter().enumerate().map(async |(writer, process)| {
        for round in 0..15 {
            let id = ["1", "2"][(writer + round) % 2];
            match (writer * 7 + round) % 5 {
                0 => process.repo.delete(id).await.unwrap(),
                _ => process.repo.save(&todo(id, &format!("{writer}.{round}"))).await.unwrap(),
            };
            process.repo.get(id).await.unwrap();
        }
    });
    join_all(writing).await;
    processes[0].repo.flush().await.unwrap();
    for id in ["1", "2"] {
        let row = scene.row(id).await;
        assert_eq!(&row, scene.written(id).last().unwrap());
        for process in &processes {
            assert_eq!(name(process.repo.get(id).await.unwrap()), row);
        }
    }
});
