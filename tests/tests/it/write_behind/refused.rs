//! Whose fault a refusal is: that of records, which become dead letters, or that of the table.

use cached_repo::{ErrorKind, Event};
use tests::Point;

use super::scene::Scene;
use crate::{
    stage::{DATABASES, On, Over, todo},
    users::ROLE,
};

#[tokio::test]
async fn however_many_records_are_refused_they_become_dead_letters_and_the_others_are_drained() {
    for on in DATABASES {
        let scene = Scene::new(on, Over::InProcess).await;
        scene.let_names_be_unique().await;
        let worker = scene.worker().await;
        worker.repo.save(&todo("0", "taken")).await.unwrap().persisted().await.unwrap();
        let held = scene.gate.hold(Point::BeforeApply, None);
        let mut all: Vec<_> = (1..60).map(|id| todo(&id.to_string(), "taken")).collect();
        all[40].name = "free".to_owned();
        let saved = worker.repo.save_many(&all).await.unwrap();
        held.release();
        worker.repo.flush().await.unwrap();
        for (index, saved) in saved.iter().enumerate() {
            let expected = (index != 40).then_some(ErrorKind::DeadLettered);
            assert_eq!(saved.persisted().await.err().map(|e| e.kind()), expected, "{on:?}");
        }
        assert_eq!(
            (scene.offset().await.dead_lettered, scene.row("41").await),
            (58, "free".into())
        );
        assert_eq!(worker.events.count(|e| matches!(e, Event::Paused { .. })), 0, "{on:?}");
    }
}

/// With the code of a missing grant, but of this row only.
#[tokio::test]
async fn a_row_that_a_policy_refuses_becomes_a_dead_letter_and_a_missing_grant_pauses() {
    let scene = Scene::new(On::Postgres, Over::InProcess).await;
    scene
        .sql(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY only_mine ON {table} USING (true) WITH CHECK (name <> 'theirs')",
        )
        .await;
    let worker = scene.worker().await;
    let mut all: Vec<_> = (1..30).map(|id| todo(&id.to_string(), "theirs")).collect();
    all[7].name = "mine".to_owned();
    let saved = worker.repo.save_many(&all).await.unwrap();
    for (saved, todo) in saved.iter().zip(&all) {
        let expected = (todo.name == "theirs").then_some(ErrorKind::DeadLettered);
        assert_eq!(saved.persisted().await.err().map(|e| e.kind()), expected);
    }
    scene
        .sql("DROP POLICY only_mine ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        .await;
    scene.sql(&format!("REVOKE INSERT ON {{table}} FROM {ROLE}")).await;
    let saved = worker.repo.save(&todo("90", "waits")).await.unwrap();
    worker.events.until(|e| matches!(e, Event::Paused { .. })).await;
    scene.sql(&format!("GRANT INSERT ON {{table}} TO {ROLE}")).await;
    saved.persisted().await.unwrap();
}
