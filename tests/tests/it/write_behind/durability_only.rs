//! What an acknowledged write under `redis_only` has reached: memory, a disk, replicas.

use std::time::Duration;

use cached_repo::{
    CacheBuilder, Durability, Durable, ErrorKind, Incident, Outcome, Repository, RepositoryBuilder,
    Strategy,
};
use tests::{Proxy, servers::PrivateRedis};

use super::{
    durability::{LONG, ask, blocked, replica_of, valkey_replica_of},
    scene::{Process, Scene, patient},
};
use crate::{
    stage::{On, Over, Todo, todo},
    users,
};

fn only(
    builder: RepositoryBuilder<Todo>,
    level: Durability,
    longest: Duration,
) -> RepositoryBuilder<Todo> {
    builder.strategy(Strategy::RedisOnly).durability(level).durability_timeout(longest)
}

async fn durable(scene: &Scene, level: Durability, longest: Duration) -> Process {
    scene.process(patient().no_worker(), |builder| only(builder, level, longest)).await
}

#[tokio::test]
async fn a_write_under_redis_only_is_acknowledged_once_a_replica_has_it() {
    for valkey in [false, true] {
        let settings = ["--repl-diskless-sync-delay", "0"];
        let (master, replica);
        if valkey {
            master = PrivateRedis::start_valkey(&settings).await;
            replica = valkey_replica_of(&master).await;
        } else {
            master = PrivateRedis::start(&settings).await;
            replica = replica_of(&master).await;
        }
        let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
        let process = durable(&scene, Durability::Replicated(1), LONG).await;
        let key = format!("{}:1", scene.entity());
        for round in 0..20 {
            let saved = process.repo.save(&todo("1", &round.to_string())).await.unwrap();
            assert_eq!((saved.replicas(), saved.durable()), (1, Durable::CachedOnly));
            let found: String = ask(&replica, &["GET", &key]).await;
            let expected = format!("\"name\":\"{round}\"");
            assert!(found.contains(&expected), "the replica lags: {found}");
            assert_eq!(process.repo.delete("1").await.unwrap().replicas(), 1);
            let found: u64 = ask(&replica, &["EXISTS", &key]).await;
            assert_eq!(found, 0, "the replica lags behind a delete");
        }
    }
}

#[tokio::test]
async fn a_write_under_redis_only_that_no_replica_has_is_in_redis_and_said_to_be() {
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = replica_of(&master).await;
    let scene = Scene::at(On::Memory, Over::Redis, master.url()).await;
    let process = durable(&scene, Durability::Replicated(1), Duration::from_millis(50)).await;
    replica.pause();
    let many = [todo("1", "a"), todo("2", "b")];
    let error = process.repo.save_many(&many).await.unwrap_err();
    replica.resume();
    assert_eq!(error.kind(), ErrorKind::DurabilityNotMet, "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Applied, false));
    assert!(error.to_string().contains("is in Redis, and 0 of 1 replicas"), "{error}");
    assert!(error.tokens().is_empty(), "nothing is journaled");
    let found = process.repo.get_many(["1", "2"]).await.unwrap();
    assert!(found.iter().flatten().eq(&many));
}

#[tokio::test]
async fn a_write_under_redis_only_waits_for_the_disk() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let cache = scene.cache(patient().no_worker()).await;
    let build = || only(scene.builder(&cache), Durability::Fsync, LONG).build();
    let error = build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("appendfsync"), "{error}");
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "always"]).await;
    let repo = build().await.unwrap();
    assert!(repo.save(&todo("1", "a")).await.unwrap().is_fsynced());
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let hasty = only(scene.builder(&cache), Durability::Fsync, Duration::from_millis(50));
    let error = hasty.fsync_asserted().build().await.unwrap_err();
    assert!(error.to_string().contains("appendfsync"), "what the server shows counts: {error}");

    let server = PrivateRedis::start_valkey(&["--appendfsync", "no"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    // By a user who may do what the library needs.
    let url = users::redis(&server.url(), &scene.namespace, &["todos"], &[]).await;
    let cache = patient().no_worker().namespace(&*scene.namespace).connect(&url).await.unwrap();
    let hasty = only(scene.builder(&cache), Durability::Fsync, Duration::from_millis(50));
    let hasty: Repository<Todo> = hasty.build().await.unwrap();
    let error = hasty.save(&todo("1", "a")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::DurabilityNotMet, Outcome::Applied));
    let _: () = ask(&server, &["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let repo = only(scene.builder(&cache), Durability::Fsync, LONG).build().await.unwrap();
    assert!(repo.save(&todo("1", "b")).await.unwrap().is_fsynced());
    assert!(repo.delete("1").await.unwrap().is_fsynced());
}

/// The other one would confirm what it never had.
#[tokio::test]
async fn a_server_that_did_not_take_a_write_under_redis_only_does_not_confirm_it() {
    let settings = ["--repl-diskless-sync-delay", "0"];
    let (first, second) =
        (PrivateRedis::start(&settings).await, PrivateRedis::start(&settings).await);
    let _replica = replica_of(&second).await;
    let proxy = Proxy::start(first.url()).await;
    let scene = Scene::at(On::Memory, Over::Redis, proxy.url()).await;
    let process = durable(&scene, Durability::Replicated(1), LONG).await;
    let saving = crate::stage::save(&process.repo, todo("1", "a"));
    while blocked(&first).await == 0 {
        tokio::task::yield_now().await;
    }
    proxy.lead_to(&second.url());
    let error = saving.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DurabilityNotMet, "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("another Redis server"), "{error}");
    let found: u64 = ask(&second, &["EXISTS", &format!("{}:1", scene.entity())]).await;
    assert_eq!(found, 0, "it never had the write");
}

#[tokio::test]
async fn in_process_a_confirmed_write_under_redis_only_survives_a_failover() {
    let scene = Scene::in_process().await;
    scene.host.suffer(Incident::Replicate).await.unwrap();
    let plain = scene.under(Strategy::RedisOnly).await;
    let process = durable(&scene, Durability::Replicated(2), LONG).await;
    let saved = process.repo.save(&todo("1", "confirmed")).await.unwrap();
    assert_eq!(saved.replicas(), 2);
    plain.repo.save(&todo("2", "plain")).await.unwrap();
    scene.host.suffer(Incident::FailOver).await.unwrap();
    let found = process.repo.get_many(["1", "2"]).await.unwrap();
    assert_eq!(found, [Some(todo("1", "confirmed")), None]);
}

/// By those who do not ask for it.
#[tokio::test]
async fn without_a_durability_nobody_waits() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let cache: CacheBuilder = patient().no_worker();
    let process = scene.process(cache, |b| b.strategy(Strategy::RedisOnly)).await;
    let saved = process.repo.save(&todo("1", "a")).await.unwrap();
    assert_eq!((saved.replicas(), saved.is_fsynced()), (0, false));
    let stats: String = ask(&server, &["INFO", "commandstats"]).await;
    assert!(!stats.contains("cmdstat_wait"), "{stats}");
}
