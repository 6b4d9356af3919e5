//! What an acknowledged write has reached: memory, a disk, replicas; and what is said if it has not.

use std::time::Duration;

use cached_repo::{Cache, Durability, ErrorKind, Incident, Outcome, Repository, RepositoryBuilder};
use futures_util::future::join_all;
use tests::servers::PrivateRedis;

use super::scene::{Process, Scene, patient};
use crate::{
    stage::{On, Over, Todo, todo},
    users,
};

/// Longer than a busy machine takes for anything.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) async fn ask<T: redis::FromRedisValue>(server: &PrivateRedis, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query_async(&mut tests::raw(server.url()).await).await.unwrap()
}

/// A process that writes, and waits for so much.
async fn durable(scene: &Scene, level: Durability, longest: Duration) -> Process {
    let settings =
        |builder: RepositoryBuilder<Todo>| builder.durability(level).durability_timeout(longest);
    scene.process(patient().no_worker(), settings).await
}

/// A replica that has everything.
pub(super) async fn replica_of(master: &PrivateRedis) -> PrivateRedis {
    let url = master.url();
    let port = url.rsplit_once(':').unwrap().1;
    has_all(PrivateRedis::start(&["--replicaof", "127.0.0.1", port]).await).await
}

/// The same of a Valkey, whose files an older Redis cannot read.
pub(super) async fn valkey_replica_of(master: &PrivateRedis) -> PrivateRedis {
    let url = master.url();
    let port = url.rsplit_once(':').unwrap().1;
    has_all(PrivateRedis::start_valkey(&["--replicaof", "127.0.0.1", port]).await).await
}

async fn has_all(replica: PrivateRedis) -> PrivateRedis {
    loop {
        let info: String = ask(&replica, &["INFO", "replication"]).await;
        if info.contains("master_link_status:up") {
            return replica;
        }
        tokio::task::yield_now().await;
    }
}

async fn calls(server: &PrivateRedis, command: &str) -> usize {
    let info: String = ask(server, &["INFO", "commandstats"]).await;
    let line = info.lines().find_map(|l| l.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_write_is_acknowledged_once_a_replica_has_it() {
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = replica_of(&master).await;
    let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
    let process = durable(&scene, Durability::Replicated(1), LONG).await;
    for round in 1..=20_usize {
        let saved = process.repo.save(&todo("1", &round.to_string())).await.unwrap();
        assert_eq!((saved.replicas(), saved.is_fsynced()), (1, false));
        let journaled: usize = ask(&replica, &["XLEN", &scene.own_key("journal")]).await;
        assert_eq!(journaled, round, "the replica lags behind an acknowledgement");
    }
    assert_eq!(calls(&master, "wait").await, 20);
}

#[tokio::test]
async fn writes_that_wait_at_a_time_are_waited_for_together() {
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let _replica = replica_of(&master).await;
    let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
    let process = durable(&scene, Durability::Replicated(1), LONG).await;
    process.repo.save(&todo("0", "first")).await.unwrap();
    let before = calls(&master, "wait").await;
    let todos: Vec<Todo> = (0..200).map(|id| todo(&id.to_string(), "x")).collect();
    let saved = join_all(todos.iter().map(|todo| process.repo.save(todo))).await;
    assert!(saved.iter().all(|saved| saved.as_ref().unwrap().replicas() == 1));
    let waits = calls(&master, "wait").await - before;
    println!("200 writes at a time were waited for {waits} times");
    assert!(waits < 100, "{waits} waits for 200 writes");
}

#[tokio::test]
async fn a_write_that_no_replica_has_is_journaled_and_said_to_be() {
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = replica_of(&master).await;
    let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
    scene.open().await;
    let process = durable(&scene, Durability::Replicated(1), Duration::from_millis(50)).await;
    replica.pause();
    let many = [todo("1", "a"), todo("2", "b")];
    let error = process.repo.save_many(&many).await.unwrap_err();
    replica.resume();
    assert_eq!(error.kind(), ErrorKind::DurabilityNotMet, "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Applied, false));
    assert!(error.to_string().contains("0 of 1 replicas"), "{error}");
    assert_eq!(process.repo.get("1").await.unwrap(), Some(many[0].clone()));
    let worker = scene.worker().await;
    assert_eq!(error.tokens().len(), 2);
    for token in error.tokens() {
        worker.repo.persisted(token).await.unwrap();
    }
    assert_eq!((scene.row("1").await, scene.row("2").await), ("a".into(), "b".into()));
}

#[tokio::test]
async fn an_old_server_that_does_not_sync_with_every_write_is_refused() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let cache = scene.cache(patient().no_worker()).await;
    let build = || scene.builder::<Todo>(&cache).durability(Durability::Fsync).build();
    let error = build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("appendfsync"), "{error}");
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "always"]).await;
    let repo = build().await.unwrap();
    assert!(repo.save(&todo("1", "a")).await.unwrap().is_fsynced());
    // Somebody changes it under a running process.
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let error = repo.save(&todo("1", "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::DurabilityNotMet, Outcome::Applied));
    let _: () = ask(&server, &["CONFIG", "SET", "appendonly", "no"]).await;
    let error = build().await.unwrap_err();
    assert!(error.to_string().contains("appendonly"), "{error}");
}

#[tokio::test]
async fn a_user_who_may_not_ask_whether_redis_syncs_must_assert_it() {
    let server = PrivateRedis::start(&["--appendfsync", "always"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let url = users::redis(&server.url(), &scene.namespace, &["todos"], &[]).await;
    let cache = patient().no_worker().namespace(&*scene.namespace).connect(&url).await.unwrap();
    let builder = || scene.builder::<Todo>(&cache).durability(Durability::Fsync);
    let error = builder().build().await.unwrap_err();
    assert!(error.to_string().contains("fsync_asserted"), "{error}");
    let repo = builder().fsync_asserted().build().await.unwrap();
    assert!(repo.save(&todo("1", "a")).await.unwrap().is_fsynced());
}

#[tokio::test]
async fn a_newer_server_tells_when_it_has_synced() {
    let server = PrivateRedis::start_valkey(&["--appendfsync", "no"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    // By a user who may do what the library needs: that the server is asked is a part of it.
    let url = users::redis(&server.url(), &scene.namespace, &["todos"], &[]).await;
    let cache = patient().no_worker().namespace(&*scene.namespace).connect(&url).await.unwrap();
    let builder = || scene.builder::<Todo>(&cache).durability(Durability::Fsync);
    let hasty = builder().durability_timeout(Duration::from_millis(50)).build().await.unwrap();
    // It never does.
    let error = hasty.save(&todo("1", "a")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::DurabilityNotMet, Outcome::Applied));
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let repo = builder().durability_timeout(LONG).build().await.unwrap();
    let saved = repo.save(&todo("1", "b")).await.unwrap();
    assert_eq!((saved.is_fsynced(), saved.replicas()), (true, 0));
    assert_eq!(calls(&server, "waitaof").await, 2);
}

#[tokio::test]
async fn the_connection_that_waits_holds_up_no_other_call() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    scene.open().await;
    // There is no replica, so it waits until the end.
    let process = durable(&scene, Durability::Replicated(1), LONG).await;
    let saving = crate::stage::save(&process.repo, todo("1", "a"));
    while calls(&server, "wait").await == 0 && blocked(&server).await == 0 {
        tokio::task::yield_now().await;
    }
    let plain = scene.writer().await;
    plain.repo.save(&todo("2", "b")).await.unwrap();
    assert_eq!(process.repo.get("2").await.unwrap(), Some(todo("2", "b")));
    assert!(!saving.is_finished());
    saving.abort();
}

/// Whoever asks for several asks for as long as it waits itself.
#[tokio::test]
async fn who_is_more_patient_than_others_waits_for_longer() {
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    // With its first replica a server takes another replication id, and the journal is recovered.
    drop(replica_of(&master).await);
    while !ask::<String>(&master, &["INFO", "replication"]).await.contains("connected_slaves:0") {
        tokio::task::yield_now().await;
    }
    let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
    scene.open().await;
    let mut settings = [LONG, Duration::from_millis(50), LONG].into_iter();
    let cache = scene.cache(patient().no_worker()).await;
    let mut saving = Vec::new();
    let journaled: usize = ask(&master, &["XLEN", &scene.own_key("journal")]).await;
    for number in 1..=3 {
        let builder = scene.builder::<Todo>(&cache).durability(Durability::Replicated(1));
        let longest = settings.next().unwrap();
        let repo = builder.durability_timeout(longest).build().await.unwrap();
        saving.push(crate::stage::save(&repo, todo(&number.to_string(), "x")));
        let journal = scene.own_key("journal");
        while ask::<usize>(&master, &["XLEN", &journal]).await < journaled + number
            || blocked(&master).await == 0
        {
            tokio::task::yield_now().await;
        }
        // Behind the answer to that save, so that it waits by now.
        repo.get("none").await.unwrap();
    }
    // The first one asks alone. Its end is the beginning of what the impatient one asks for both.
    let clients: String = ask(&master, &["CLIENT", "LIST"]).await;
    let waiting = clients.lines().find(|line| line.contains("cmd=wait")).unwrap();
    let id = waiting.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
    let _: u64 = ask(&master, &["CLIENT", "UNBLOCK", id]).await;
    let patient = (saving.swap_remove(2), saving.swap_remove(0));
    let error = saving.remove(0).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DurabilityNotMet, "{error}");
    let _replica = replica_of(&master).await;
    for patient in [patient.0, patient.1] {
        assert_eq!(patient.await.unwrap().unwrap().replicas(), 1);
    }
}

pub(super) async fn blocked(server: &PrivateRedis) -> usize {
    let info: String = ask(server, &["INFO", "clients"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn in_process_a_confirmed_write_survives_a_failover() {
    let scene = Scene::in_process().await;
    scene.open().await;
    scene.host.suffer(Incident::Replicate).await.unwrap();
    let plain = scene.writer().await;
    plain.repo.save(&todo("1", "plain")).await.unwrap();
    let process = durable(&scene, Durability::Replicated(2), LONG).await;
    let saved = process.repo.save(&todo("2", "confirmed")).await.unwrap();
    assert_eq!(saved.replicas(), 2);
    plain.repo.save(&todo("3", "plain")).await.unwrap();
    scene.host.suffer(Incident::FailOver).await.unwrap();
    let worker = scene.worker().await;
    worker.repo.flush().await.unwrap();
    let rows = [scene.row("1").await, scene.row("2").await, scene.row("3").await];
    assert_eq!(rows, ["plain", "confirmed", "none"]);
}

#[tokio::test]
async fn settings_of_durability_that_mean_nothing_are_refused() {
    let cache = Cache::builder().no_worker().in_memory();
    let scene = Scene::in_process().await;
    let builder = || -> RepositoryBuilder<Todo> { scene.builder(&cache) };
    let refused: [(_, RepositoryBuilder<Todo>); 3] = [
        ("replicated(0)", builder().durability(Durability::Replicated(0))),
        ("durability_timeout", builder().durability_timeout(Duration::ZERO)),
        ("durability_timeout", builder().durability_timeout(2 * LONG)),
    ];
    for (word, builder) in refused {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(word), "{error}");
    }
    let _: Repository<Todo> = builder().durability(Durability::Fsync).build().await.unwrap();
}
