//! Redis falls back to a state from before the number of partitions was changed, or from its midst: what
//! it brings back of old partitions is removed, and read by nobody who comes later.

use std::{fs, time::Duration};

use cached_repo::{
    Event, Incident, Strategy,
    failpoint::{self, Failure, Point as Step},
};
use tests::servers::PrivateRedis;
use tokio::time::{sleep, timeout};

use super::{
    repartition::{LONG, check_all, repartition, save_all, with, worker_with},
    repartition_crashes::STEPS,
    scene::{Process, Scene},
};
use crate::stage::{On, Over, name, todo};

/// A server of one test that can be what it was.
struct Server(Option<PrivateRedis>);

impl Server {
    async fn start(over: Over) -> (Scene, Self) {
        if over == Over::InProcess {
            return (Scene::in_process().await, Self(None));
        }
        // What it remembers is what is saved, and nothing else.
        let redis = PrivateRedis::start(&["--appendonly", "no"]).await;
        let scene = Scene::at(On::Memory, over, redis.url()).await;
        (scene, Self(Some(redis)))
    }

    /// The process here remembers the last state only, whatever its name.
    async fn remember(&self, scene: &Scene, state: &str) {
        let Some(redis) = &self.0 else {
            return scene.host.suffer(Incident::Replicate).await.unwrap();
        };
        redis::cmd("SAVE").query_async::<()>(&mut scene.raw().await).await.unwrap();
        let directory = redis.directory();
        fs::copy(directory.join("dump.rdb"), directory.join(state)).unwrap();
    }

    async fn fall_back(&mut self, scene: &Scene, state: &str) {
        let Some(redis) = &mut self.0 else {
            return scene.host.suffer(Incident::FailOver).await.unwrap();
        };
        redis.kill();
        let directory = redis.directory();
        fs::copy(directory.join(state), directory.join("dump.rdb")).unwrap();
        redis.restart().await;
    }
}

/// Waits until a worker has nothing left to do; Redis may just be starting.
async fn until_nothing_is_left(process: &Process) {
    while !matches!(process.cache.backlog().await, Ok(0)) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until somebody is at a step that was armed.
async fn reached(step: Step, entity: &str) {
    while failpoint::left(step, entity) > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Looks, before anybody writes.
async fn check_unwritten(scene: &Scene, partitions: u32, text: &str) {
    let reader = with(scene, partitions, Strategy::CacheAside).await;
    check_all(scene, &reader, text).await;
    assert_eq!(reader.cache.backlog().await.unwrap(), 0, "nothing is left to drain");
}

/// Whether it is said of an old partition that something was lost.
fn is_lost(event: &Event) -> bool {
    matches!(event, Event::JournalLost { partition, .. } if *partition < 3)
}

async fn fallen_back_at(over: Over, step: Step) {
    let (scene, mut server) = Server::start(over).await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    save_all(&old, "older").await;
    server.remember(&scene, "older").await;
    save_all(&old, "old").await;
    failpoint::arm(step, &scene.entity(), Failure::Error, 1);
    repartition(&scene, 5, LONG).await.unwrap_err();
    server.fall_back(&scene, "older").await;
    // What is closed already is not left to the workers of the new number.
    repartition(&scene, 5, LONG).await.unwrap();
    if step == Step::LayoutChanged {
        until_nothing_is_left(&worker_with(&scene, 5).await).await;
    }
    check_unwritten(&scene, 5, "old").await;
    let new = worker_with(&scene, 5).await;
    save_all(&new, "new").await;
    new.repo.flush().await.unwrap();
    check_all(&scene, &new, "new").await;
    assert_eq!(new.events.count(is_lost), 0, "{step:?} over {over:?}");
}

#[tokio::test]
async fn at_each_step_redis_may_fall_back_to_before_the_drain() {
    for over in [Over::InProcess, Over::Redis] {
        for step in STEPS {
            fallen_back_at(over, step).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_is_being_changed_redis_may_fall_back_as_well() {
    let (scene, mut server) = Server::start(Over::InProcess).await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    save_all(&old, "older").await;
    server.remember(&scene, "older").await;
    save_all(&old, "old").await;
    let (step, entity) = (Step::PartitionOpened, scene.entity());
    failpoint::arm(step, &entity, Failure::Delay(Duration::from_secs(1)), 1);
    let falling = async {
        reached(step, &entity).await;
        server.fall_back(&scene, "older").await;
    };
    let (moved, ()) = tokio::join!(repartition(&scene, 5, LONG), falling);
    moved.unwrap();
    check_unwritten(&scene, 5, "old").await;
}

#[tokio::test]
async fn what_comes_back_of_old_partitions_is_removed_before_anybody_writes() {
    for over in [Over::InProcess, Over::Redis] {
        for by in [3, 5, 2] {
            let (scene, mut server) = Server::start(over).await;
            let old = with(&scene, 3, Strategy::WriteBehind).await;
            // A part of what comes back is drained, and retained.
            let drainer = worker_with(&scene, 3).await;
            save_all(&drainer, "drained").await;
            drainer.repo.flush().await.unwrap();
            drainer.cache.shutdown(LONG).await.unwrap();
            save_all(&old, "old").await;
            // What comes back may be deletes as well.
            old.repo.delete("gone").await.unwrap();
            server.remember(&scene, "old").await;
            // A worker of whatever number will do.
            let mut worker = (by == 3).then_some(worker_with(&scene, 3).await);
            repartition(&scene, 5, LONG).await.unwrap();
            let mut new = with(&scene, 5, Strategy::WriteBehind).await;
            worker = match by {
                5 => Some(worker_with(&scene, 5).await),
                _ => worker,
            };
            save_all(&new, "new").await;
            new.repo.save(&todo("gone", "back")).await.unwrap();
            if by != 5 {
                let drainer = worker_with(&scene, 5).await;
                drainer.repo.flush().await.unwrap();
                drainer.cache.shutdown(LONG).await.unwrap();
            }
            if by == 2 {
                repartition(&scene, 2, LONG).await.unwrap();
                new = with(&scene, 2, Strategy::WriteBehind).await;
                worker = Some(worker_with(&scene, 2).await);
            }
            let worker = worker.unwrap();
            until_nothing_is_left(&new).await;
            server.fall_back(&scene, "old").await;
            until_nothing_is_left(&worker).await;
            let partitions = if by == 2 { 2 } else { 5 };
            check_unwritten(&scene, partitions, "new").await;
            let reader = with(&scene, partitions, Strategy::CacheAside).await;
            assert_eq!(name(reader.repo.get("gone").await.unwrap()), "back", "{by} {over:?}");
            assert_eq!(worker.events.count(is_lost), 0, "{by} {over:?}: all of it is in the store");
        }
    }
}

/// They do not journal, so that nothing but what is removed is in their way.
#[tokio::test]
async fn store_first_writers_wait_until_what_came_back_is_removed() {
    for over in [Over::InProcess, Over::Redis] {
        let (scene, mut server) = Server::start(over).await;
        save_all(&with(&scene, 3, Strategy::WriteBehind).await, "old").await;
        server.remember(&scene, "old").await;
        repartition(&scene, 5, LONG).await.unwrap();
        let writer = with(&scene, 5, Strategy::WriteThrough).await;
        save_all(&writer, "new").await;
        server.fall_back(&scene, "old").await;
        let writer = with(&scene, 5, Strategy::WriteThrough).await;
        let _worker = worker_with(&scene, 5).await;
        save_all(&writer, "newer").await;
        check_unwritten(&scene, 5, "newer").await;
    }
}

#[tokio::test(start_paused = true)]
async fn copies_that_come_back_are_outdated_for_old_readers_as_well() {
    let (scene, mut server) = Server::start(Over::InProcess).await;
    let old = worker_with(&scene, 3).await;
    let reader = with(&scene, 3, Strategy::CacheAside).await.repo;
    save_all(&old, "old").await;
    old.repo.flush().await.unwrap();
    old.cache.shutdown(LONG).await.unwrap();
    // Nothing is in the backlog: copies are all that comes back.
    server.remember(&scene, "old").await;
    repartition(&scene, 5, LONG).await.unwrap();
    let new = worker_with(&scene, 5).await;
    save_all(&new, "new").await;
    new.repo.flush().await.unwrap();
    // Until no worker looks any more at what it has drained.
    sleep(Duration::from_secs(300)).await;
    server.fall_back(&scene, "old").await;
    assert_eq!(name(reader.get("1").await.unwrap()), "old", "nobody has noticed it yet");
    // Another id: it is the server that is noticed.
    new.repo.save(&todo("other", "new")).await.unwrap();
    let is_noticed = async {
        while name(reader.get("1").await.unwrap()) == "old" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    // Long before its time to live.
    timeout(Duration::from_secs(60), is_noticed).await.unwrap();
    assert_eq!(name(reader.get("1").await.unwrap()), "new");
}

#[tokio::test]
async fn what_was_lost_before_the_change_and_comes_back_is_reported() {
    let (scene, mut server) = Server::start(Over::Redis).await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    save_all(&old, "kept").await;
    server.remember(&scene, "short").await;
    save_all(&old, "lost").await;
    server.remember(&scene, "long").await;
    server.fall_back(&scene, "short").await;
    repartition(&scene, 5, LONG).await.unwrap();
    let worker = worker_with(&scene, 5).await;
    server.fall_back(&scene, "long").await;
    until_nothing_is_left(&worker).await;
    check_unwritten(&scene, 5, "kept").await;
    let lost = worker.events.all().into_iter().filter(is_lost);
    let discarded = lost.map(|event| match event {
        Event::JournalLost { discarded, .. } => discarded,
        _ => 0,
    });
    assert_eq!(discarded.collect::<Vec<_>>().iter().sum::<u64>(), 24, "one of each id");
    assert_eq!(worker.repo.counts().journals_lost, worker.events.count(is_lost) as u64);
}

#[tokio::test]
async fn what_was_closed_is_retained_for_a_while_and_gone_then() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    save_all(&with(&scene, 1, Strategy::WriteBehind).await, "old").await;
    repartition(&scene, 2, LONG).await.unwrap();
    let mut raw = scene.raw().await;
    let (meta, journal) = (scene.own_key("meta"), scene.own_key("journal"));
    let mut ask = async |command: &str, key: &str, field: &str| -> Option<String> {
        let mut command = redis::cmd(command);
        command.arg(key);
        if !field.is_empty() {
            command.arg(field);
        }
        command.query_async(&mut raw).await.unwrap()
    };
    // Each worker looks at it when it starts.
    let worker = worker_with(&scene, 2).await;
    while ask("HGET", &meta, "mark_at").await.is_none() {
        tokio::task::yield_now().await;
    }
    worker.cache.shutdown(LONG).await.unwrap();
    assert_eq!(ask("XLEN", &journal, "").await.as_deref(), Some("24"), "the store may be restored");
    // As if that had been long ago.
    let mut set = redis::cmd("HSET");
    set.arg(&meta).arg("mark_at").arg(0);
    set.query_async::<()>(&mut scene.raw().await).await.unwrap();
    while ask("EXISTS", &meta, "").await.as_deref() == Some("1") {
        let worker = worker_with(&scene, 2).await;
        sleep(Duration::from_millis(50)).await;
        worker.cache.shutdown(LONG).await.unwrap();
    }
    assert_eq!(ask("EXISTS", &journal, "").await.as_deref(), Some("0"));
    assert_eq!(ask("GET", &scene.own_key("generation"), "").await.as_deref(), Some("2"));
    let new = worker_with(&scene, 2).await;
    check_all(&scene, &new, "old").await;
    assert_eq!(new.events.all(), []);
}

/// It knows a ticket that was given up, and nothing of what happened then.
#[tokio::test(start_paused = true)]
async fn a_recovery_does_not_end_at_another_server_than_it_began_at() {
    let scene = Scene::in_process().await;
    scene.open().await;
    scene.host.suffer(Incident::Restart).await.unwrap();
    let (slow, quick) = (scene.writer().await, scene.writer().await);
    let entity = scene.entity();
    for step in [Step::TicketPlaced, Step::EpochRaised] {
        failpoint::arm(step, &entity, Failure::Delay(Duration::from_secs(1)), 1);
    }
    let others = async {
        reached(Step::TicketPlaced, &entity).await;
        scene.host.suffer(Incident::Replicate).await.unwrap();
        reached(Step::EpochRaised, &entity).await;
        quick.repo.save(&todo("1", "quick")).await.unwrap();
        scene.host.suffer(Incident::FailOver).await.unwrap();
    };
    let late = todo("2", "slow");
    let (saved, ()) = tokio::join!(slow.repo.save(&late), others);
    let saved = saved.unwrap();
    let worker = scene.worker().await;
    saved.persisted().await.unwrap();
    assert_eq!(scene.row("2").await, "slow");
    assert_eq!(worker.events.count(|e| matches!(e, Event::Paused { .. })), 0);
}
