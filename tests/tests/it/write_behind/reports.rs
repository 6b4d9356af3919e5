//! What a recovery found is told once, whoever is cut off in between.

use cached_repo::{
    Event, Incident,
    failpoint::{self, Failure, Point},
};
use futures_util::future::join_all;

use super::scene::{Process, Scene};
use crate::stage::{save, todo};

/// The kinds of what all processes were told, in no order.
fn told(processes: &[&Process]) -> Vec<String> {
    let events = processes.iter().flat_map(|process| process.events.all());
    let mut kinds: Vec<String> = events
        .map(|event| match event {
            Event::Recovered { .. } => "recovered".to_owned(),
            Event::JournalLost { discarded, .. } => format!("lost {discarded}"),
            other => format!("{other:?}"),
        })
        .collect();
    kinds.sort_unstable();
    kinds
}

/// The journal is repaired, and nobody hears of it.
async fn repair_without_an_answer(scene: &Scene, process: &Process) {
    failpoint::arm(Point::Repaired, &scene.entity(), Failure::Error, 1);
    process.repo.save(&todo("unheard", "a")).await.unwrap_err();
    assert_eq!(failpoint::left(Point::Repaired, &scene.entity()), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_found_is_told_by_the_next_one_if_it_is_cut_off() {
    for (incident, expected) in
        [(Incident::Wipe, vec!["lost 0"]), (Incident::Restart, vec!["recovered"])]
    {
        let scene = Scene::in_process().await;
        scene.open().await;
        let (writer, other) = (scene.writer().await, scene.writer().await);
        writer.repo.save(&todo("1", "a")).await.unwrap();
        scene.host.suffer(incident).await.unwrap();
        repair_without_an_answer(&scene, &writer).await;
        assert_eq!(told(&[&writer]), [""; 0]);
        // It is taken, though nobody was told yet.
        other.repo.save(&todo("2", "a")).await.unwrap();
        let worker = scene.worker().await;
        worker.repo.flush().await.unwrap();
        assert_eq!(told(&[&writer, &other, &worker]), expected, "{incident:?}");
        worker.repo.save(&todo("3", "a")).await.unwrap().persisted().await.unwrap();
        assert_eq!(told(&[&writer, &other, &worker]), expected, "{incident:?}: twice");
    }
}

/// A loss that nobody was told of is not covered by what comes behind it.
#[tokio::test(start_paused = true)]
async fn a_loss_is_told_though_the_next_recovery_found_a_journal() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let writer = scene.writer().await;
    writer.repo.save(&todo("1", "a")).await.unwrap();
    scene.host.suffer(Incident::Wipe).await.unwrap();
    for _ in 0..2 {
        repair_without_an_answer(&scene, &writer).await;
        scene.host.suffer(Incident::Restart).await.unwrap();
    }
    let worker = scene.worker().await;
    worker.repo.save(&todo("2", "a")).await.unwrap().persisted().await.unwrap();
    assert_eq!(told(&[&writer, &worker]), ["lost 0"]);
    assert_eq!(worker.repo.counts().journals_lost, 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_recover_at_a_time_one_tells() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let processes = join_all((0..4).map(|_| scene.worker())).await;
    let all: Vec<&Process> = processes.iter().collect();
    for round in 1..=10 {
        scene.host.suffer(Incident::Wipe).await.unwrap();
        let saves = all.iter().map(async |process| {
            process.repo.save(&todo("1", "a")).await.unwrap();
            process.repo.flush().await.unwrap();
        });
        join_all(saves).await;
        assert_eq!(told(&all), vec!["lost 0"; round]);
    }
}

/// One repairs, and another one settles before it comes to that.
#[tokio::test(start_paused = true)]
async fn who_finds_it_settled_says_nothing() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let (slow, other) = (scene.writer().await, scene.worker().await);
    scene.host.suffer(Incident::Wipe).await.unwrap();
    let settling = scene.gate.hold(tests::Point::BeforeLedger, "settle");
    let saving = save(&slow.repo, todo("1", "a"));
    settling.arrived().await;
    other.repo.save(&todo("2", "a")).await.unwrap().persisted().await.unwrap();
    assert_eq!(told(&[&slow, &other]), ["lost 0"]);
    settling.release();
    saving.await.unwrap().unwrap();
    assert_eq!(told(&[&slow, &other]), ["lost 0"], "it was told twice");
}
