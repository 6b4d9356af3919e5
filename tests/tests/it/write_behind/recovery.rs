//! Recovery: restarts, flushes, failovers, restored databases, and the servers of somebody else.

use std::time::Duration;

use cached_repo::{
    Cache, CacheStep, ErrorKind, Event, Health, Incident, Repository, Strategy, store,
};
use tests::{Mode, Point, Proxy, servers, servers::PrivateRedis};

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, Todo, name, todo};

fn is_recovered(event: &Event) -> bool {
    matches!(event, Event::Recovered { .. })
}

/// Waits until everything is drained, whatever happened meanwhile.
async fn drained(process: &Process) {
    while let Err(error) = process.repo.flush().await {
        let passes = [ErrorKind::Recovered, ErrorKind::CacheUnavailable];
        assert!(passes.contains(&error.kind()), "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_redis_the_journal_goes_on_where_it_was() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    scene.gate.down();
    for id in 0..20 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap();
    }
    scene.host.suffer(Incident::Restart).await.unwrap();
    assert_eq!(name(worker.repo.get("19").await.unwrap()), "a", "dirty entries are read");
    scene.gate.up();
    worker.repo.save(&todo("20", "a")).await.unwrap();
    drained(&worker).await;
    for id in 0..21 {
        assert_eq!(scene.written(&id.to_string()), ["a"], "{id}");
    }
    let recovered = worker.events.until(is_recovered).await;
    let Event::Recovered { left, .. } = recovered else { unreachable!() };
    assert_eq!(left, 20);
    assert_eq!(worker.events.all().len(), 1, "{:?}", worker.events.all());
    // What had been drained before is retained, and not written again.
    assert_eq!(scene.written("first"), ["write"]);
    assert_eq!(worker.repo.counts().journals_lost, 0);
}

#[tokio::test]
async fn a_redis_that_was_killed_and_came_back_has_everything_it_had_synced() {
    let mut server = PrivateRedis::start(&["--appendfsync", "always"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    scene.open().await;
    let worker = scene.worker().await;
    for round in 0..2 {
        scene.gate.down();
        for id in 0..20 {
            worker.repo.save(&todo(&id.to_string(), &round.to_string())).await.unwrap();
        }
        server.kill();
        server.restart().await;
        scene.gate.up();
        // It recovers by itself: nobody writes.
        worker.events.until(is_recovered).await;
        drained(&worker).await;
        for id in 0..20 {
            let row = scene.row(&id.to_string()).await;
            assert_eq!(row, round.to_string(), "{id}");
            assert_eq!(name(worker.repo.get(id.to_string()).await.unwrap()), row);
        }
    }
    assert_eq!(worker.events.count(is_recovered), 2);
    assert_eq!(scene.offset().await.applied, 41, "each write once");
}

/// What was read before an incident must not be committed behind it.
#[tokio::test(start_paused = true)]
async fn a_batch_from_before_a_recovery_is_refused_by_the_store() {
    for incident in [Incident::Restart, Incident::Wipe] {
        let scene = Scene::in_process().await;
        scene.open().await;
        let (writer, worker) = (scene.writer().await, scene.worker().await);
        let held = scene.gate.hold(Point::BeforeApply, "1");
        writer.repo.save(&todo("1", "before")).await.unwrap();
        held.arrived().await;
        scene.host.suffer(incident).await.unwrap();
        let after = writer.repo.save(&todo("2", "after")).await.unwrap();
        let rows = scene.gate.rows();
        held.release();
        after.persisted().await.unwrap();
        drained(&worker).await;
        let survives = incident == Incident::Restart;
        let expected = if survives { "before" } else { "none" };
        assert_eq!(scene.row("1").await, expected, "{incident:?}");
        assert_eq!(name(writer.repo.get("1").await.unwrap()), expected, "{incident:?}");
        assert_eq!(scene.gate.rows(), rows + 1 + usize::from(survives), "{incident:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn b9_a_failover_loses_what_was_not_replicated_and_nothing_later() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    let old = worker.repo.save(&todo("1", "replicated")).await.unwrap();
    old.persisted().await.unwrap();
    scene.host.suffer(Incident::Replicate).await.unwrap();
    worker.repo.save(&todo("1", "drained")).await.unwrap().persisted().await.unwrap();
    let held = scene.gate.hold(Point::BeforeApply, "2");
    worker.repo.save(&todo("2", "lost")).await.unwrap();
    held.arrived().await;
    scene.host.suffer(Incident::FailOver).await.unwrap();
    let later = worker.repo.save(&todo("3", "later")).await.unwrap();
    held.release();
    later.persisted().await.unwrap();
    // The replica's copy of 1 is older than the row, and is not believed.
    for (id, row) in [("1", "drained"), ("2", "none"), ("3", "later")] {
        assert_eq!(scene.row(id).await, row);
        assert_eq!(name(worker.repo.get(id).await.unwrap()), row);
    }
    assert_eq!(worker.events.count(is_recovered), 1, "{:?}", worker.events.all());
}

/// An SQLite database in this process, backed up when "old" was drained and "new" was not written.
async fn backed_up() -> (Scene, Process, String) {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let worker = scene.process(patient(), |b| b.batch(2)).await;
    worker.repo.save(&todo("old", "a")).await.unwrap().persisted().await.unwrap();
    let backup = scene.back_up("backup.db").await;
    (scene, worker, backup)
}

async fn advance(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn c11_a_database_that_was_restored_gets_what_the_journal_has_retained() {
    let (scene, worker, backup) = backed_up().await;
    for id in 0..7 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap().persisted().await.unwrap();
    }
    worker.repo.delete("old").await.unwrap().persisted().await.unwrap();
    scene.gate.replace(store::connect(&backup).await.unwrap());
    assert_eq!((scene.row("6").await, scene.row("old").await), ("none".into(), "a".into()));
    // The worker looks again after a while, though nobody writes.
    advance(11).await;
    worker.events.until(is_recovered).await;
    worker.repo.save(&todo("last", "a")).await.unwrap().persisted().await.unwrap();
    for id in 0..7 {
        assert_eq!(scene.row(&id.to_string()).await, "a", "{id}");
    }
    assert_eq!((scene.row("old").await, scene.row("last").await), ("none".into(), "a".into()));
    assert_eq!(worker.repo.counts().journal_gaps, 0);
}

/// The retention is over while the database is being restored and replayed.
#[tokio::test]
async fn c11_what_is_being_replayed_is_not_trimmed_under_the_reader() {
    let (scene, worker, backup) = backed_up().await;
    for ids in [0..8, 8..12] {
        for id in ids {
            worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap().persisted().await.unwrap();
        }
        // Behind it the mark is at the eighth write.
        if scene.written("11").is_empty() {
            advance(61).await;
        }
    }
    let offset = scene.offset().await.last_id;
    scene.gate.down();
    scene.gate.replace(store::connect(&backup).await.unwrap());
    advance(61).await;
    scene.gate.up();
    assert!(offset > scene.offset().await.last_id);
    worker.repo.save(&todo("last", "a")).await.unwrap().persisted().await.unwrap();
    let rows = futures_util::future::join_all(
        (0..12).map(async |id: i32| scene.row(&id.to_string()).await),
    );
    let lost: Vec<usize> =
        rows.await.iter().enumerate().filter(|(_, row)| *row == "none").map(|(id, _)| id).collect();
    assert_eq!((lost, worker.repo.counts().journal_gaps), (vec![], 0));
}

#[tokio::test]
async fn c11_a_database_that_is_older_than_the_journal_stops_the_drain_until_somebody_skips() {
    let (scene, worker, backup) = backed_up().await;
    let mut saved = Vec::new();
    for id in 0..6 {
        saved.push(worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap());
        saved[id].persisted().await.unwrap();
        advance(61).await;
    }
    scene.gate.replace(store::connect(&backup).await.unwrap());
    let waiting = worker.repo.save(&todo("last", "a")).await.unwrap();
    let gap = worker.events.until(|e| matches!(e, Event::JournalGap { .. })).await;
    let Event::JournalGap { entity, from, to, .. } = gap else { unreachable!() };
    assert_eq!((entity, from), (scene.entity(), scene.offset().await.last_id));
    assert!(from < to && to < waiting.version().unwrap());
    let health = worker.cache.health().await;
    assert!(matches!(&health, Health::Degraded(why) if why[0].contains("skip_gap")), "{health:?}");
    assert_eq!(scene.row("last").await, "none", "nothing is drained past the gap");
    assert_eq!(name(worker.repo.get("last").await.unwrap()), "a");
    let error = worker.cache.skip_gap("nobody").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    worker.cache.skip_gap(&scene.entity()).await.unwrap();
    worker.repo.flush().await.unwrap();
    for receipt in [&saved[0], &waiting] {
        assert_eq!(receipt.persisted().await.unwrap_err().kind(), ErrorKind::Recovered);
    }
    assert_eq!((scene.row("last").await, scene.row("0").await), ("a".into(), "none".into()));
    worker.cache.skip_gap("todos").await.unwrap();
    assert_eq!(worker.events.count(|e| matches!(e, Event::JournalGap { .. })), 1);
}

#[tokio::test]
async fn a_journal_of_somebody_else_is_not_drained() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    scene.open().await;
    let (mut raw, meta) = (scene.raw().await, scene.own_key("meta"));
    let ours: String =
        redis::cmd("HGET").arg(&meta).arg("journal").query_async(&mut raw).await.unwrap();
    let set = async |identity: &str| {
        let mut raw = scene.raw().await;
        let mut set = redis::cmd("HSET");
        let _: i64 =
            set.arg(&meta).arg("journal").arg(identity).query_async(&mut raw).await.unwrap();
    };
    set("another").await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("1", "a")).await.unwrap();
    let paused = worker.events.until(|e| matches!(e, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("another journal"), "{paused:?}");
    assert_eq!(scene.row("1").await, "none");
    set(&ours).await;
    worker.events.until(|e| matches!(e, Event::Resumed { .. })).await;
    assert_eq!(scene.row("1").await, "a");
}

/// Two servers, one database: the one that was recovered last is the journal's home.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_replaced_by_another_one_is_not_drained() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let old = scene.worker().await;
    let new = Cache::builder().namespace(&*scene.namespace).in_memory();
    new.suffer(Incident::Restart).await.unwrap();
    let new: Repository<Todo> = scene.builder(&new).build().await.unwrap();
    let saved = new.save(&todo("1", "new")).await.unwrap();
    saved.persisted().await.unwrap();
    old.repo.save(&todo("1", "old")).await.unwrap();
    let paused = old.events.until(|e| matches!(e, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("replaced by another one"), "{paused:?}");
    assert_eq!(scene.row("1").await, "new");
    new.save(&todo("2", "new")).await.unwrap().persisted().await.unwrap();
    assert_eq!(scene.row("2").await, "new");
}

#[tokio::test]
async fn a_journal_that_is_not_used_any_more_is_sealed_and_then_redis_may_be_down() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let writer = scene.writer().await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let cache = Cache::builder().namespace(&*scene.namespace).connect(&proxy.url()).await.unwrap();
    let aside: Repository<Todo> =
        scene.builder(&cache).strategy(Strategy::CacheAside).build().await.unwrap();
    writer.repo.save(&todo("1", "behind")).await.unwrap().persisted().await.unwrap();
    for round in 0..2 {
        assert!(!scene.offset().await.sealed);
        without_redis(&proxy).await;
        let refused = aside.save(&todo("1", "too early")).await.unwrap_err();
        assert!(!refused.to_string().is_empty(), "{refused}");
        with_redis(&proxy, &aside).await;
        assert_eq!(scene.row("1").await, "behind", "{round}");
        while !scene.offset().await.sealed {
            advance(61).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        without_redis(&proxy).await;
        let saved = aside.save(&todo("1", "aside")).await.unwrap();
        assert_eq!(saved.cache(), CacheStep::Pending);
        assert_eq!(scene.row("1").await, "aside");
        with_redis(&proxy, &aside).await;
        // Who writes behind again opens it before.
        writer.repo.save(&todo("1", "behind")).await.unwrap().persisted().await.unwrap();
        assert_eq!(scene.row("1").await, "behind", "{round}");
    }
}

async fn without_redis(proxy: &Proxy) {
    proxy.set(Mode::Refuse);
    proxy.cut();
}

async fn with_redis(proxy: &Proxy, repo: &Repository<Todo>) {
    proxy.set(Mode::Pass);
    proxy.cut();
    while repo.save_cached(&todo("nobody", "x")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
