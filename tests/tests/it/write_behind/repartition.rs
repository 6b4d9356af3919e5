//! The number of partitions is changed on live data, and everybody who knows the old one is met there.

use std::time::Duration;

use cached_repo::{
    Cache, CachedEntity, ErrorKind, Incident, Result, Strategy,
    store::{Batch, Journaled, Position, Refused, Store},
};
use tests::servers;

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, Todo, name, todo};

/// A test hangs if it takes longer.
pub(super) const LONG: Duration = Duration::from_secs(120);
/// A number of ids that are in all of a few partitions.
const IDS: usize = 24;

/// A process that knows this number of partitions; it leaves draining to others.
pub(super) async fn with(scene: &Scene, partitions: u32, strategy: Strategy) -> Process {
    let settings = |builder: cached_repo::RepositoryBuilder<Todo>| {
        builder.partitions(partitions).strategy(strategy)
    };
    scene.process(patient().no_worker(), settings).await
}

/// The same, and it drains.
pub(super) async fn worker_with(scene: &Scene, partitions: u32) -> Process {
    scene.process(patient(), |builder| builder.partitions(partitions)).await
}

pub(super) async fn repartition(scene: &Scene, to: u32, deadline: Duration) -> Result<()> {
    let cache = scene.cache(patient().no_worker()).await;
    scene.builder::<Todo>(&cache).partitions(to).repartition(deadline).await
}

/// What `build` says to a process with this number.
pub(super) async fn build_error(scene: &Scene, partitions: u32) -> String {
    let cache = scene.cache(patient().no_worker()).await;
    let built = scene.builder::<Todo>(&cache).partitions(partitions).build().await;
    built.map(drop).unwrap_err().to_string()
}

pub(super) async fn save_all(process: &Process, text: &str) {
    for id in 0..IDS {
        process.repo.save(&todo(&id.to_string(), text)).await.unwrap();
    }
}

/// Everything is what was saved last, for this process and in the store.
pub(super) async fn check_all(scene: &Scene, process: &Process, text: &str) {
    let ids: Vec<String> = (0..IDS).map(|id| id.to_string()).collect();
    let found = process.repo.get_many(ids.iter().map(String::as_str)).await.unwrap();
    for (id, found) in ids.iter().zip(found) {
        assert_eq!(name(found), text, "the entry of {id}");
        assert_eq!(scene.row(id).await, text, "the row of {id}");
    }
}

fn refused(answer: Result<impl Sized>, what: &str) {
    let error = answer.map(drop).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Configuration, "{what}: {error}");
    assert!(error.to_string().contains("number of partitions"), "{what}: {error}");
}

#[tokio::test]
async fn what_was_journaled_is_drained_and_the_number_may_change_again() {
    for (on, over) in [
        (On::Sqlite, Over::InProcess),
        (On::Sqlite, Over::Redis),
        (On::Postgres, Over::Redis),
        (On::MySql, Over::Redis),
        (On::Mongo, Over::Redis),
        (On::MongoStandalone, Over::Redis),
        (On::Memory, Over::InProcess),
    ] {
        let scene = Scene::new(on, over).await;
        let mut known = with(&scene, 4, Strategy::WriteBehind).await;
        for (from, to) in [(4, 9), (9, 2), (2, 4)] {
            let text = format!("{on:?} {from} {to}");
            save_all(&known, &text).await;
            let why = build_error(&scene, to).await;
            assert!(why.contains("`RepositoryBuilder::repartition`"), "{why}");
            repartition(&scene, to, LONG).await.unwrap();
            repartition(&scene, to, LONG).await.unwrap();
            refused(known.repo.save(&todo("1", "late")).await, "the old number");
            assert!(build_error(&scene, from).await.contains(&format!("partitions = {to}")));
            known = with(&scene, to, Strategy::WriteBehind).await;
            check_all(&scene, &known, &text).await;
        }
        let worker = worker_with(&scene, 4).await;
        save_all(&worker, "last").await;
        worker.repo.flush().await.unwrap();
        check_all(&scene, &worker, "last").await;
        assert_eq!(worker.events.all(), [], "nothing was lost, and nobody had to recover");
    }
}

over_both!(old_processes_may_read_and_are_refused_whatever_else_they_do, |scene| {
    let mut old = Vec::new();
    for strategy in [Strategy::WriteBehind, Strategy::WriteThrough, Strategy::CacheAside] {
        old.push(with(&scene, 3, strategy).await);
    }
    save_all(&old[0], "old").await;
    repartition(&scene, 5, LONG).await.unwrap();
    let new = worker_with(&scene, 5).await;
    for what in ["moved", "written", "drained"] {
        for process in &old {
            let strategy = process.repo.strategy();
            refused(process.repo.save(&todo("1", "late")).await, &format!("{what} {strategy}"));
            refused(process.repo.delete("2").await, &format!("{what} {strategy}"));
            refused(process.repo.flush().await, "it cannot know what the others journaled");
        }
        match what {
            "moved" => save_all(&new, "new").await,
            _ => new.repo.flush().await.unwrap(),
        }
        for process in &old {
            assert_eq!(name(process.repo.get("1").await.unwrap()), "new", "{what}");
        }
    }
    check_all(&scene, &new, "new").await;
});

#[tokio::test(start_paused = true)]
async fn an_incident_afterwards_lets_no_old_process_in() {
    for incident in [Incident::Wipe, Incident::Restart, Incident::FailOver] {
        let scene = Scene::in_process().await;
        let behind = with(&scene, 3, Strategy::WriteBehind).await;
        let first = with(&scene, 3, Strategy::WriteThrough).await;
        save_all(&behind, "old").await;
        // A replica from before the change may take over.
        scene.host.suffer(Incident::Replicate).await.unwrap();
        repartition(&scene, 2, LONG).await.unwrap();
        let new = worker_with(&scene, 2).await;
        save_all(&new, "new").await;
        new.repo.flush().await.unwrap();
        scene.host.suffer(incident).await.unwrap();
        for process in [&behind, &first] {
            refused(process.repo.save(&todo("1", "late")).await, &format!("{incident:?}"));
        }
        assert!(build_error(&scene, 3).await.contains("partitions = 2"), "{incident:?}");
        // Before anybody writes: what came back of the old partitions is in nobody's way.
        while new.cache.backlog().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        check_all(&scene, &with(&scene, 2, Strategy::CacheAside).await, "new").await;
        save_all(&new, "newer").await;
        new.repo.flush().await.unwrap();
        check_all(&scene, &with(&scene, 2, Strategy::CacheAside).await, "newer").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_knows_the_number_when_redis_has_forgotten_it() {
    let scene = Scene::in_process().await;
    worker_with(&scene, 3).await.repo.save(&todo("1", "a")).await.unwrap();
    scene.host.suffer(Incident::Wipe).await.unwrap();
    assert!(build_error(&scene, 4).await.contains("partitions = 3"));
    repartition(&scene, 4, LONG).await.unwrap();
    worker_with(&scene, 4).await.repo.save(&todo("1", "b")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn copies_that_were_outdated_before_stay_so() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    let save = async |text| {
        worker.repo.save(&todo("1", text)).await.unwrap().persisted().await.unwrap();
    };
    save("first").await;
    // Epoch 2, which is what a new partition would begin with.
    scene.host.suffer(Incident::Restart).await.unwrap();
    save("outdated").await;
    scene.host.suffer(Incident::Replicate).await.unwrap();
    save("new").await;
    scene.host.suffer(Incident::FailOver).await.unwrap();
    repartition(&scene, 2, LONG).await.unwrap();
    for strategy in [Strategy::WriteBehind, Strategy::CacheAside] {
        let process = with(&scene, 2, strategy).await;
        assert_eq!(name(process.repo.get("1").await.unwrap()), "new");
    }
}

#[tokio::test(start_paused = true)]
async fn versions_go_on_above_those_of_old_partitions() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    saved.persisted().await.unwrap();
    // As if the clock had gone far ahead, and back.
    let offset = scene.offset().await;
    let (entity, from) = (scene.entity(), offset.last_id);
    let far = from + (1 << 40);
    let journal = &*offset.journal;
    let (partition, epoch) = (0, offset.epoch);
    let position = Position { entity: &entity, partition, journal, epoch, from, to: far };
    let journaled =
        Journaled { position, sources: &[], unreadable: &[], coalesced: 0, refused: Refused::Fail };
    let deadline = tokio::time::Instant::now() + LONG;
    let batch = Batch::new(&[], deadline).journaled(journaled);
    scene.gate.apply(&Todo::SCHEMA, batch).await.unwrap();
    repartition(&scene, 2, LONG).await.unwrap();
    let new = worker_with(&scene, 2).await;
    for id in ["1", "2", "3", "4"] {
        let saved = new.repo.save(&todo(id, "b")).await.unwrap();
        assert!(saved.version().unwrap() > far, "{saved:?}");
        saved.persisted().await.unwrap();
        assert_eq!(scene.row(id).await, "b");
    }
}

#[tokio::test]
async fn where_it_cannot_be_changed_that_is_said() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    with(&scene, 3, Strategy::RedisOnly).await.repo.save(&todo("1", "kept")).await.unwrap();
    let cache = scene.cache(patient()).await;
    let builder = || scene.builder::<Todo>(&cache).partitions(4).strategy(Strategy::RedisOnly);
    let error = builder().repartition(LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("delete the field `partitions`"), "{error}");
    // What it says works.
    let registry = format!("{}:@registry", scene.entity());
    let mut redis = scene.raw().await;
    let gone = redis::cmd("HDEL").arg(registry).arg("partitions").clone();
    gone.query_async::<()>(&mut redis).await.unwrap();
    let repo = builder().build().await.unwrap();
    assert_eq!(name(repo.get("1").await.unwrap()), "kept");

    let namespace = tests::isolate::unique("cluster");
    let cluster = Cache::builder().namespace(namespace).accept_cluster().no_worker();
    let cluster = cluster.connect(&servers::redis_cluster_url()).await.unwrap();
    scene.builder::<Todo>(&cluster).partitions(3).build().await.unwrap();
    let error = scene.builder::<Todo>(&cluster).partitions(4).repartition(LONG).await;
    assert!(error.unwrap_err().to_string().contains("another prefix"));
}
