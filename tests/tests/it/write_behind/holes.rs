//! Promises that no other test noticed the lack of: each kills a mutant (`tests/src/bin/mutants`).

use std::time::Duration;

use cached_repo::{
    Cache, ErrorKind, Event, Incident, Outcome, Repository, Strategy, failpoint,
    store::{self, DeadLetter, StoreError},
};
use tests::{Mode, Point, Proxy, servers};
use tokio::time::{Instant, timeout};

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, Todo, name, save, todo};

const LONG: Duration = Duration::from_secs(3600);
/// Longer than anything takes that happens at all.
const A_WHILE: Duration = Duration::from_secs(60);

/// Longer than any copy lives.
#[tokio::test(start_paused = true)]
async fn a_dirty_entry_outlives_any_outage() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    scene.gate.down();
    worker.repo.save(&todo("1", "a")).await.unwrap();
    worker.repo.delete("2").await.unwrap();
    tokio::time::sleep(LONG * 2).await;
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "a");
    assert_eq!(name(worker.repo.get("2").await.unwrap()), "none");
    scene.gate.up();
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.row("1").await, "a");
}

/// Another worker need not wait for the end of the claim.
#[tokio::test(start_paused = true)]
async fn a_session_that_failed_gives_its_claim_back() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let (writer, _one, _two) = (scene.writer().await, scene.worker().await, scene.worker().await);
    scene.gate.fail(Point::BeforeApply, "1", StoreError::systemic("only this one's"));
    let begin = Instant::now();
    writer.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    // The one that failed waits for longer.
    assert!(begin.elapsed() < Duration::from_millis(700), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_recovers_a_journal_that_moved() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let writer = scene.writer().await;
    writer.repo.save(&todo("1", "a")).await.unwrap();
    scene.host.suffer(Incident::Restart).await.unwrap();
    // Nobody writes, so that it is the worker that notices.
    let worker = scene.worker().await;
    let recovered = worker.events.until(|e| matches!(e, Event::Recovered { .. }));
    timeout(A_WHILE, recovered).await.expect("it did not notice");
    worker.repo.flush().await.unwrap();
    assert_eq!((scene.row("1").await, worker.repo.counts().recoveries), ("a".into(), 1));
}

/// As if Redis had been set back without a restart, on a machine whose clock was set back.
#[tokio::test]
async fn a_clock_behind_the_store_is_set() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    scene.sql("UPDATE cached_repo_offsets SET last_id = last_id + 1000000000000").await;
    let last_id = scene.offset().await.last_id;
    the_worker_looks_again().await;
    let recovered = worker.events.until(|e| matches!(e, Event::Recovered { .. }));
    timeout(A_WHILE, recovered).await.expect("it did not notice");
    let saved = worker.repo.save(&todo("1", "b")).await.unwrap();
    assert!(saved.version().unwrap() > last_id);
    saved.persisted().await.unwrap();
    assert_eq!(scene.row("1").await, "b");
}

/// In one go, although nobody writes.
#[tokio::test]
async fn a_restored_store_gets_all_that_it_lost() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let worker = scene.process(patient(), |b| b.batch(2)).await;
    let backup = scene.back_up("backup.db").await;
    let all: Vec<Todo> = (0..9).map(|id| todo(&id.to_string(), "a")).collect();
    worker.repo.save_many(&all).await.unwrap();
    worker.repo.flush().await.unwrap();
    let last_id = scene.offset().await.last_id;
    scene.gate.replace(store::connect(&backup).await.unwrap());
    assert!(scene.offset().await.last_id < last_id);
    the_worker_looks_again().await;
    let replayed = async {
        while scene.offset().await.last_id < last_id {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Before it looks once more.
    timeout(Duration::from_secs(8), replayed).await.expect("it stopped");
    for each in all {
        assert_eq!(scene.row(&each.id).await, "a", "{}", each.id);
    }
}

async fn the_worker_looks_again() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

/// First Redis, then the store: else a write in between is drained by nobody, and is overwritten by
/// writers that do without Redis.
#[tokio::test(start_paused = true)]
async fn what_is_journaled_while_a_partition_is_sealed_is_drained() {
    let scene = Scene::in_process().await;
    let behind = scene.writer().await;
    let _sealing = scene.process(patient(), |b| b.strategy(Strategy::CacheAside)).await;
    behind.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    for point in [Point::BeforeLedger, Point::AfterLedger] {
        let held = scene.gate.hold(point, "seal");
        held.arrived().await;
        let saved = behind.repo.save(&todo("1", &format!("{point:?}"))).await.unwrap();
        held.release();
        timeout(A_WHILE, saved.persisted()).await.expect("it is not drained").unwrap();
        assert_eq!(scene.row("1").await, format!("{point:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_seal_that_failed_is_tried_again() {
    let scene = Scene::in_process().await;
    let behind = scene.writer().await;
    scene.gate.fail(Point::BeforeLedger, "seal", StoreError::transient("not now"));
    let _sealing = scene.process(patient(), |b| b.strategy(Strategy::CacheAside)).await;
    behind.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    let sealed = async {
        while !scene.offset().await.sealed {
            tokio::time::sleep(A_WHILE / 10).await;
        }
    };
    timeout(LONG, sealed).await.expect("it is not sealed");
}

/// A process that dies in between leaves an epoch that is not settled, and the next one goes on.
#[tokio::test(start_paused = true)]
async fn a_recovery_is_settled_when_it_is_complete() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let (one, two) = (scene.writer().await, scene.writer().await);
    scene.host.suffer(Incident::Restart).await.unwrap();
    let held = scene.gate.hold(Point::BeforeLedger, "settle");
    let saving = save(&one.repo, todo("1", "a"));
    held.arrived().await;
    let epoch = scene.offset().await.epoch;
    two.repo.save(&todo("2", "b")).await.unwrap();
    assert_eq!(scene.offset().await.epoch, epoch, "the journal was not repaired yet");
    held.release();
    saving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_write_whose_answers_are_all_lost_is_unknown() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    scene.open().await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let near = Cache::builder().no_worker().namespace(&*scene.namespace);
    let near = near.connect(&proxy.url()).await.unwrap();
    let repo: Repository<Todo> = scene.builder(&near).build().await.unwrap();
    proxy.set(Mode::BlackHole);
    let error = repo.save(&todo("1", "a")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_another_journal_says_that_nobody_knows() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    saved.persisted().await.unwrap();
    let token = saved.token().unwrap();
    let mut parts: Vec<&str> = token.split('/').collect();
    parts[2] = "another";
    let error = worker.repo.persisted(&parts.join("/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Recovered, "{error}");
}

/// A database where no two names may be equal, and one is taken.
async fn taken(on: On) -> (Scene, Process) {
    let scene = Scene::new(on, Over::InProcess).await;
    scene.sql("CREATE UNIQUE INDEX unique_{table} ON {table} (name)").await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("0", "taken")).await.unwrap().persisted().await.unwrap();
    (scene, worker)
}

#[tokio::test]
async fn a_letter_is_rolled_back_with_its_batch() {
    for on in [On::Sqlite, On::Postgres] {
        let (scene, worker) = taken(on).await;
        let (first, second) =
            (scene.gate.hold(Point::BeforeApply, "1"), scene.gate.hold(Point::BeforeApply, "1"));
        let saved = worker.repo.save(&todo("1", "taken")).await.unwrap();
        first.arrived().await;
        let (point, entity) = (failpoint::Point::LettersWritten, scene.entity());
        failpoint::arm(point, &entity, failpoint::Failure::Error, 1);
        // The first try finds out that something is refused, the second one what.
        first.release();
        second.arrived().await;
        let third = scene.gate.hold(Point::BeforeApply, "1");
        second.release();
        third.arrived().await;
        assert_eq!(failpoint::left(point, &entity), 0);
        assert_eq!(worker.cache.dead_letters().list("todos").await.unwrap(), [], "{on:?}");
        scene.sql("DELETE FROM {table} WHERE name = 'taken'").await;
        third.release();
        saved.persisted().await.unwrap();
        assert_eq!((scene.row("1").await, worker.repo.counts().dead_lettered), ("taken".into(), 0));
    }
}

/// A dead letter that the store would take now.
async fn replayable() -> (Scene, Process, DeadLetter) {
    let (scene, worker) = taken(On::Sqlite).await;
    let refused = worker.repo.save(&todo("1", "taken")).await.unwrap().persisted().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::DeadLettered);
    worker.repo.delete("0").await.unwrap().persisted().await.unwrap();
    let letter = worker.cache.dead_letters().list("todos").await.unwrap().remove(0);
    (scene, worker, letter)
}

#[tokio::test]
async fn a_replay_goes_on_after_a_recovery() {
    let (scene, worker, letter) = replayable().await;
    let letters = worker.cache.dead_letters();
    let before = scene.gate.hold(Point::BeforeApply, "1");
    let replaying = tokio::spawn(async move { letters.replay(&letter).await });
    before.arrived().await;
    scene.host.suffer(Incident::Restart).await.unwrap();
    worker.repo.save(&todo("2", "a")).await.unwrap().persisted().await.unwrap();
    before.release();
    replaying.await.unwrap().unwrap();
    assert_eq!(scene.row("1").await, "taken");
}

/// One whose process dies behind its commit leaves no copy from before it.
#[tokio::test]
async fn a_replay_is_announced_to_readers() {
    let (scene, worker, letter) = replayable().await;
    let letters = worker.cache.dead_letters();
    let before = scene.gate.hold(Point::BeforeApply, "1");
    let committed = scene.gate.hold(Point::AfterApply, "1");
    let replaying = tokio::spawn(async move { letters.replay(&letter).await });
    before.arrived().await;
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "none");
    before.release();
    committed.arrived().await;
    committed.abandon();
    assert_eq!(name(worker.repo.get("1").await.unwrap()), "taken");
    replaying.abort();
}
