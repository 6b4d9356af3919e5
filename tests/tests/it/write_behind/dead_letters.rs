//! Journaled writes that the store refuses: who notices, who may write them after all, and when.

use cached_repo::{ErrorKind, Event, store::LetterState};
use tests::Point;

use super::scene::{Process, Scene, patient};
use crate::stage::{DATABASES, On, Over, Todo, name, todo};

/// A scene where no two names may be equal, and one is taken, and a process that drains.
async fn unique(on: On, over: Over) -> (Scene, Process) {
    let scene = Scene::new(on, over).await;
    scene.let_names_be_unique().await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("0", "taken")).await.unwrap().persisted().await.unwrap();
    (scene, worker)
}

/// The same, with one dead letter: that of id "1".
async fn with_letter(on: On) -> (Scene, Process, cached_repo::store::DeadLetter) {
    let (scene, worker) = unique(on, Over::InProcess).await;
    let saved = worker.repo.save(&todo("1", "taken")).await.unwrap();
    assert_eq!(saved.persisted().await.unwrap_err().kind(), ErrorKind::DeadLettered);
    let mut letters = worker.cache.dead_letters().list("todos").await.unwrap();
    (scene, worker, letters.remove(0))
}

async fn state(worker: &Process, letter: &cached_repo::store::DeadLetter) -> LetterState {
    let letters = worker.cache.dead_letters();
    letters.show("todos", 0, letter.version).await.unwrap().unwrap().state
}

fn data(todo: &Todo) -> String {
    serde_json::json!({
        "id": todo.id, "name": todo.name, "description": todo.description, "done": todo.done,
        "rank": todo.rank, "score": todo.score, "blob": "AP8=", "labels": todo.labels,
    })
    .to_string()
}

#[tokio::test]
async fn b15_of_two_acknowledged_writes_that_clash_the_second_becomes_a_dead_letter() {
    for (on, over) in
        DATABASES.into_iter().flat_map(|on| [(on, Over::InProcess), (on, Over::Redis)])
    {
        let (scene, worker) = unique(on, over).await;
        let writer = scene.writer().await;
        let held = scene.gate.hold(Point::BeforeApply, None);
        let mut all: Vec<_> = (1..30).map(|id| todo(&id.to_string(), &id.to_string())).collect();
        all[6].name = "taken".to_owned();
        let saved = writer.repo.save_many(&all).await.unwrap();
        held.release();
        for (saved, todo) in saved.iter().zip(&all) {
            let persisted = saved.persisted().await;
            let expected = (todo.id == "7").then_some(ErrorKind::DeadLettered);
            assert_eq!(persisted.err().map(|e| e.kind()), expected, "{on:?} {over:?} {todo:?}");
            let row = if todo.id == "7" { "none" } else { &todo.id };
            assert_eq!(scene.row(&todo.id).await, row, "c8: its neighbours are drained");
            assert_eq!(name(writer.repo.get(&*todo.id).await.unwrap()), row);
        }
        let token = saved[6].token().unwrap();
        let elsewhere = worker.repo.persisted(&token).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::DeadLettered);
        let told = worker.events.until(|e| matches!(e, Event::DeadLettered { .. })).await;
        let Event::DeadLettered { entity, version, .. } = told else { unreachable!() };
        assert_eq!((entity, Some(version)), (scene.entity(), saved[6].version()));
        assert_eq!(worker.events.all().len(), 1, "{:?}", worker.events.all());
        assert_eq!(
            (worker.repo.counts().dead_lettered, scene.offset().await.dead_lettered),
            (1, 1)
        );
        let letters = writer.cache.dead_letters().list("todos").await.unwrap();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((&*letter.id, letter.deletes, letter.state), ("7", false, LetterState::Waiting));
        assert_eq!(Some(letter.version), saved[6].version());
        assert!(letter.data.contains("taken"), "{letter:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_is_mended_and_replayed_and_every_reader_sees_it() {
    for on in DATABASES {
        let (scene, worker, letter) = with_letter(on).await;
        let reader = scene.writer().await;
        let letters = worker.cache.dead_letters();
        let again = letters.replay(&letter).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Refused, "{again}");
        assert_eq!(state(&worker, &letter).await, LetterState::Waiting);
        assert_eq!(name(reader.repo.get("1").await.unwrap()), "none", "now it is remembered");
        let other = letters.edit(&letter, &data(&todo("2", "free"))).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Invalid, "{other}");
        for bad in ["", "{", "[]", "{\"id\":\"1\",\"nobody\":1}"] {
            assert!(letters.edit(&letter, bad).await.is_err(), "{bad}");
        }
        letters.edit(&letter, &data(&todo("1", "free"))).await.unwrap();
        // The letter at hand is from before the edit; what is there now counts.
        letters.replay(&letter).await.unwrap();
        assert_eq!(
            (scene.row("1").await, state(&worker, &letter).await),
            ("free".into(), LetterState::Replayed)
        );
        for repo in [&reader.repo, &worker.repo] {
            assert_eq!(repo.get("1").await.unwrap(), Some(todo("1", "free")), "{on:?}");
        }
        for decided in [letters.replay(&letter).await, letters.discard(&letter).await] {
            assert_eq!(decided.unwrap_err().kind(), ErrorKind::Refused);
        }
        assert!(letters.list("todos").await.unwrap().is_empty());
        // It was no journaled write: later ones go on as before.
        reader.repo.save(&todo("1", "later")).await.unwrap().persisted().await.unwrap();
        assert_eq!(scene.row("1").await, "later");
    }
}

#[tokio::test]
async fn a_dead_letter_is_given_up() {
    let (scene, worker, letter) = with_letter(On::Sqlite).await;
    let letters = worker.cache.dead_letters();
    letters.discard(&letter).await.unwrap();
    assert_eq!(state(&worker, &letter).await, LetterState::Discarded);
    assert!(letters.list("todos").await.unwrap().is_empty());
    assert_eq!(letters.replay(&letter).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(
        letters.edit(&letter, &data(&todo("1", "x"))).await.unwrap_err().kind(),
        ErrorKind::Refused
    );
    assert_eq!(scene.row("1").await, "none");
    assert_eq!(letters.show("todos", 0, 1).await.unwrap(), None);
    assert_eq!(letters.list("nobody").await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_later_write_supersedes_a_dead_letter_and_a_replay_never_overwrites_it() {
    for on in DATABASES {
        for deletes in [false, true] {
            let (scene, worker, letter) = with_letter(on).await;
            let letters = worker.cache.dead_letters();
            letters.edit(&letter, &data(&todo("1", "older"))).await.unwrap();
            let held = scene.gate.hold(Point::BeforeApply, "1");
            let saved = match deletes {
                true => worker.repo.delete("1").await.unwrap(),
                false => worker.repo.save(&todo("1", "newer")).await.unwrap(),
            };
            held.arrived().await;
            let journaled = letters.replay(&letter).await.unwrap_err();
            assert_eq!(journaled.kind(), ErrorKind::Dirty, "{journaled}");
            held.release();
            saved.persisted().await.unwrap();
            let drained = letters.replay(&letter).await.unwrap_err();
            assert_eq!(drained.kind(), ErrorKind::Refused, "{drained}");
            assert_eq!(state(&worker, &letter).await, LetterState::Superseded);
            let row = if deletes { "none" } else { "newer" };
            assert_eq!(scene.row("1").await, row, "{on:?}");
            assert_eq!(name(worker.repo.get("1").await.unwrap()), row);
        }
    }
}

/// A store-first write, too, is later than what the store refused.
#[tokio::test]
async fn a_store_first_write_supersedes_a_dead_letter() {
    for on in DATABASES {
        let (scene, worker, letter) = with_letter(on).await;
        let stored = scene.under(cached_repo::Strategy::WriteThrough).await;
        stored.repo.save(&todo("1", "stored")).await.unwrap();
        assert_eq!(state(&worker, &letter).await, LetterState::Superseded);
        let replayed = worker.cache.dead_letters().replay(&letter).await;
        assert_eq!(replayed.unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(scene.row("1").await, "stored");
    }
}

/// A write between the letter and the replay, that comes while the replay is under way.
#[tokio::test]
async fn a_replay_and_a_new_write_come_one_after_the_other() {
    let (scene, worker, letter) = with_letter(On::Sqlite).await;
    let letters = worker.cache.dead_letters();
    letters.edit(&letter, &data(&todo("1", "replayed"))).await.unwrap();
    let held = scene.gate.hold(Point::AfterApply, "1");
    let replaying = tokio::spawn(async move { letters.replay(&letter).await });
    held.arrived().await;
    let writing = crate::stage::save(&worker.repo, todo("1", "newer"));
    held.release();
    replaying.await.unwrap().unwrap();
    writing.await.unwrap().unwrap().persisted().await.unwrap();
    assert_eq!(scene.written("1").last().unwrap(), "newer");
    assert_eq!(
        (scene.row("1").await, name(worker.repo.get("1").await.unwrap())),
        ("newer".into(), "newer".into())
    );
}

#[tokio::test]
async fn c14_a_row_whose_parent_comes_a_moment_later_is_no_dead_letter() {
    let scene = Scene::new(On::Postgres, Over::InProcess).await;
    let parents = "CREATE TABLE parents_{table} (id BIGINT PRIMARY KEY); \
                   ALTER TABLE {table} ADD FOREIGN KEY (rank) REFERENCES parents_{table} (id)";
    scene.sql(parents).await;
    let worker = scene.worker().await;
    let [first, second] = [(); 2].map(|()| scene.gate.hold(Point::BeforeApply, "1"));
    let saved = worker.repo.save(&todo("1", "child")).await.unwrap();
    first.release();
    second.arrived().await;
    scene.sql("INSERT INTO parents_{table} VALUES (-7)").await;
    second.release();
    saved.persisted().await.unwrap();
    assert_eq!((scene.row("1").await, worker.repo.counts().dead_lettered), ("child".into(), 0));
    // One that never comes is given up in the end.
    let orphan = worker.repo.save(&Todo { rank: 8, ..todo("2", "orphan") }).await.unwrap();
    assert_eq!(orphan.persisted().await.unwrap_err().kind(), ErrorKind::DeadLettered);
}

/// An acknowledgement that is lost must not swallow the report.
#[tokio::test]
async fn a_dead_letter_of_an_unknown_commit_is_reported() {
    for on in DATABASES {
        let (scene, worker) = unique(on, Over::InProcess).await;
        let unknown = cached_repo::store::StoreError::unknown("the answer was lost");
        scene.gate.fail(Point::AfterApply, "1", unknown);
        let saved = worker.repo.save(&todo("1", "taken")).await.unwrap();
        assert_eq!(saved.persisted().await.unwrap_err().kind(), ErrorKind::DeadLettered);
        assert_eq!(worker.repo.counts().drain_conflicts, 1, "the fault happened");
        assert_eq!(worker.events.count(|e| matches!(e, Event::DeadLettered { .. })), 1, "{on:?}");
        assert_eq!(worker.repo.counts().dead_lettered, 1);
    }
}

/// What comes behind a dead letter of the same id is judged by itself.
#[tokio::test]
async fn of_several_writes_of_an_id_only_the_refused_one_is_buried() {
    for coalesce in [false, true] {
        let (scene, _) = unique(On::Sqlite, Over::InProcess).await;
        let writer = scene.writer().await;
        let held = scene.gate.hold(Point::BeforeApply, None);
        let mut saved = Vec::new();
        for text in ["a", "taken", "b"] {
            saved.push(writer.repo.save(&todo("1", text)).await.unwrap());
            saved.push(writer.repo.save(&todo("2", "taken")).await.unwrap());
        }
        held.release();
        let _worker = scene.process(patient(), |b| b.coalesce(coalesce)).await;
        writer.repo.flush().await.unwrap();
        assert_eq!((scene.row("1").await, scene.row("2").await), ("b".into(), "none".into()));
        saved[4].persisted().await.unwrap();
        assert_eq!(saved[5].persisted().await.unwrap_err().kind(), ErrorKind::DeadLettered);
        let letters = writer.cache.dead_letters().list("todos").await.unwrap();
        assert!(
            letters.iter().all(|letter| letter.id == "2"),
            "that of 1 is superseded: {letters:?}"
        );
        assert!(!letters.is_empty());
    }
}
/// A neighbour that is refused for good does not make the store impatient with it.
#[tokio::test]
async fn c14_a_row_that_waits_for_its_parent_beside_a_dead_letter_waits_all_the_same() {
    let scene = Scene::new(On::Postgres, Over::InProcess).await;
    let parents = "CREATE TABLE parents_{table} (id BIGINT PRIMARY KEY); \
                   INSERT INTO parents_{table} VALUES (1); \
                   ALTER TABLE {table} ADD FOREIGN KEY (rank) REFERENCES parents_{table} (id); \
                   ALTER TABLE {table} ADD CHECK (name <> 'poison')";
    scene.sql(parents).await;
    let worker = scene.worker().await;
    let [first, second] = [(); 2].map(|()| scene.gate.hold(Point::BeforeApply, "2"));
    let poison = Todo { rank: 1, ..todo("1", "poison") };
    let saved = worker.repo.save_many(&[poison, todo("2", "child")]).await.unwrap();
    first.release();
    second.arrived().await;
    let third = scene.gate.hold(Point::BeforeApply, "2");
    second.release();
    third.arrived().await;
    scene.sql("INSERT INTO parents_{table} VALUES (-7)").await;
    third.release();
    assert_eq!(saved[0].persisted().await.unwrap_err().kind(), ErrorKind::DeadLettered);
    saved[1].persisted().await.unwrap();
    assert_eq!(scene.row("2").await, "child");
}
