//! Receipts and dead letters from before the number of partitions was changed.

use cached_repo::{ErrorKind, Incident, Strategy, store::LetterState};

use super::{
    repartition::{LONG, repartition, with, worker_with},
    scene::{Process, Scene},
};
use crate::stage::{DATABASES, On, Over, name, todo};

/// A scene with a dead letter of the id "1" that has met the change from 1 to 2 partitions.
async fn moved_with_letter(on: On, over: Over) -> (Scene, Process, cached_repo::Saved) {
    let scene = Scene::new(on, over).await;
    scene.let_names_be_unique().await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("0", "taken")).await.unwrap();
    let saved = worker.repo.save(&todo("1", "taken")).await.unwrap();
    repartition(&scene, 2, LONG).await.unwrap();
    let new = worker_with(&scene, 2).await;
    (scene, new, saved)
}

#[tokio::test]
async fn receipts_from_before_are_honest() {
    for (on, over) in [(On::Sqlite, Over::InProcess), (On::Postgres, Over::Redis)] {
        let scene = Scene::new(on, over).await;
        scene.let_names_be_unique().await;
        let old = with(&scene, 1, Strategy::WriteBehind).await;
        let mut saved = Vec::new();
        for (id, text) in [("0", "taken"), ("1", "taken"), ("2", "other")] {
            saved.push(old.repo.save(&todo(id, text)).await.unwrap());
        }
        repartition(&scene, 2, LONG).await.unwrap();
        let new = worker_with(&scene, 2).await;
        let expected = [None, Some(ErrorKind::DeadLettered), None];
        for (saved, expected) in saved.iter().zip(expected) {
            let here = saved.persisted().await;
            assert_eq!(here.err().map(|e| e.kind()), expected, "{saved:?} on {on:?}");
            let there = new.repo.persisted(&saved.token().unwrap()).await;
            assert_eq!(there.err().map(|e| e.kind()), expected, "{saved:?} on {on:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_from_before_is_as_honest_when_redis_is_empty() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    let lost = worker.repo.save(&todo("1", "lost")).await.unwrap();
    scene.host.suffer(Incident::Wipe).await.unwrap();
    let kept = worker.repo.save(&todo("2", "kept")).await.unwrap();
    repartition(&scene, 2, LONG).await.unwrap();
    scene.host.suffer(Incident::Wipe).await.unwrap();
    let new = worker_with(&scene, 2).await;
    let persisted = async |saved: &cached_repo::Saved| {
        let persisted = new.repo.persisted(&saved.token().unwrap()).await;
        persisted.map_err(|error| error.kind())
    };
    assert_eq!(persisted(&kept).await, Ok(()), "closed means drained to the end");
    assert_eq!(persisted(&lost).await, Err(ErrorKind::Recovered), "that was another epoch");
}

#[tokio::test]
async fn a_dead_letter_from_before_is_replayed_unless_something_newer_was_written() {
    for (on, over) in
        DATABASES.into_iter().flat_map(|on| [(on, Over::InProcess), (on, Over::Redis)])
    {
        for newer in [None, Some(Strategy::WriteBehind), Some(Strategy::WriteThrough)] {
            let (scene, new, saved) = moved_with_letter(on, over).await;
            let letters = new.cache.dead_letters();
            let letter = letters.list("todos").await.unwrap().remove(0);
            assert_eq!((letter.partition, Some(letter.version)), (0, saved.version()));
            if let Some(strategy) = newer {
                let writer = with(&scene, 2, strategy).await;
                writer.repo.save(&todo("1", "newer")).await.unwrap();
                new.repo.flush().await.unwrap();
            }
            new.repo.delete("0").await.unwrap();
            new.repo.flush().await.unwrap();
            let replayed = letters.replay(&letter).await;
            let shown = letters.show("todos", 0, letter.version).await.unwrap().unwrap();
            let expected = match newer {
                None => (Ok(()), LetterState::Replayed, "taken"),
                Some(_) => (Err(ErrorKind::Refused), LetterState::Superseded, "newer"),
            };
            let found = name(new.repo.get("1").await.unwrap());
            let replayed = replayed.map_err(|error| error.kind());
            assert_eq!((replayed, shown.state, &*found), expected, "{on:?} {over:?} {newer:?}");
            assert_eq!(scene.row("1").await, expected.2, "{on:?} {over:?} {newer:?}");
        }
    }
}

#[tokio::test]
async fn a_replay_recovers_the_partition_that_the_id_is_in_now() {
    let (scene, new, _) = moved_with_letter(On::Sqlite, Over::InProcess).await;
    let letters = new.cache.dead_letters();
    let letter = letters.list("todos").await.unwrap().remove(0);
    new.repo.delete("0").await.unwrap().persisted().await.unwrap();
    scene.host.suffer(Incident::Restart).await.unwrap();
    letters.replay(&letter).await.unwrap();
    assert_eq!(scene.row("1").await, "taken");
    assert_eq!(name(new.repo.get("1").await.unwrap()), "taken");
}
