//! The write path: whole or nothing, once, and never beyond the bound.

use std::pin::pin;

use cached_repo::{Cache, ErrorKind, Event, Health, Incident, Outcome, Repository};
use futures_util::{future::join_all, poll};
use tests::{Mode, Point, Proxy, servers, servers::PrivateRedis};

use super::scene::{Scene, patient};
use crate::stage::{On, Over, Todo, name, save, todo};

async fn length(scene: &Scene) -> u64 {
    let mut raw = scene.raw().await;
    redis::cmd("XLEN").arg(scene.own_key("journal")).query_async(&mut raw).await.unwrap()
}

#[tokio::test]
async fn b2_a_write_whose_answer_was_lost_is_journaled_once() {
    for lost in [Mode::CutAfter(0), Mode::BlackHole] {
        let scene = Scene::new(On::Memory, Over::Redis).await;
        let proxy = Proxy::start(servers::redis_url()).await;
        let near = Cache::builder().no_worker().namespace(&*scene.namespace);
        let near = near.connect(&proxy.url()).await.unwrap();
        let repo: Repository<Todo> = scene.builder(&near).build().await.unwrap();
        repo.save(&todo("0", "warm")).await.unwrap();
        let (cuts, requests) = (proxy.cuts(), proxy.request_bytes());
        proxy.set(lost);
        let saving = save(&repo, todo("1", "a"));
        if lost == Mode::BlackHole {
            while proxy.swallowed_bytes() == 0 {
                tokio::task::yield_now().await;
            }
            proxy.set(Mode::Pass);
            proxy.cut();
        }
        let saved = saving.await.unwrap().unwrap();
        assert!(proxy.cuts() > cuts && proxy.request_bytes() > requests, "no fault happened");
        assert_eq!(length(&scene).await, 2, "{lost:?}");
        proxy.set(lost);
        proxy.cut();
        proxy.set(Mode::CutAfter(0));
        let many = repo.save_many(&[todo("2", "b"), todo("3", "c")]).await.unwrap();
        assert!(many[0].version() > saved.version() && many[1].version() > many[0].version());
        assert_eq!(length(&scene).await, 4, "{lost:?}");
        let worker = scene.worker().await;
        worker.repo.flush().await.unwrap();
        assert_eq!((scene.row("1").await, scene.offset().await.applied), ("a".into(), 4));
    }
}

over_both!(b3_a_save_that_was_begun_and_dropped_happens_whole, |scene| {
    let writer = scene.writer().await;
    for polls in 1..12_usize {
        let (one, two) = (todo(&polls.to_string(), "one"), todo(&format!("{polls}+"), "two"));
        let both = [one, two];
        {
            let mut saving = pin!(writer.repo.save_many(&both));
            for _ in 0..polls {
                if poll!(&mut saving).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        while writer.repo.counts().journaled < 2 * polls as u64 {
            tokio::task::yield_now().await;
        }
        for each in both {
            assert_eq!(writer.repo.get(&each.id).await.unwrap(), Some(each));
        }
    }
    scene.worker().await.repo.flush().await.unwrap();
    assert_eq!(scene.row("11+").await, "two");
    assert_eq!(scene.offset().await.applied, 22);
});

#[tokio::test]
async fn b4_a_server_that_may_not_write_changes_nothing_and_says_so() {
    let server = PrivateRedis::start(&["--enable-protected-configs", "yes"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let writer = scene.writer().await;
    writer.repo.save(&todo("1", "old")).await.unwrap();
    let mut raw = scene.raw().await;
    // Where no snapshot can be made, a server that is to make some takes no writes.
    let directory = server.directory().to_str().unwrap();
    let faults: [(&[&str], &[&str]); 3] = [
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (
            &["CONFIG", "SET", "save", "3600 1", "dir", "/proc"],
            &["CONFIG", "SET", "dir", directory],
        ),
    ];
    for (round, (fault, cure)) in faults.into_iter().enumerate() {
        let before = length(&scene).await;
        command(&mut raw, fault).await;
        if fault.contains(&"save") {
            snapshot(&mut raw, "err").await;
        }
        let error = writer.repo.save(&todo("1", "new")).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotApplied, "{fault:?}: {error}");
        assert!(error.is_retryable(), "{fault:?}: {error}");
        let expected = [ErrorKind::CacheUnavailable, ErrorKind::Cache];
        assert!(expected.contains(&error.kind()), "{fault:?}: {error}");
        assert!(writer.repo.delete("1").await.is_err(), "{fault:?}");
        assert_eq!(length(&scene).await, before, "{fault:?}");
        let found = name(writer.repo.get("1").await.unwrap());
        assert_eq!(found, if round == 0 { "old" } else { "cured" }, "{fault:?}");
        command(&mut raw, cure).await;
        if fault.contains(&"save") {
            snapshot(&mut raw, "ok").await;
        }
        writer.repo.save(&todo("1", "cured")).await.unwrap();
    }
    scene.worker().await.repo.flush().await.unwrap();
    assert_eq!(scene.row("1").await, "cured");
}

/// Makes a snapshot, which must end so.
async fn snapshot(raw: &mut redis::aio::MultiplexedConnection, status: &str) {
    command(raw, &["BGSAVE"]).await;
    let expected = format!("rdb_last_bgsave_status:{status}");
    loop {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(raw).await.unwrap();
        if info.contains("rdb_bgsave_in_progress:0") && info.contains(&expected) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A script of somebody else runs for ever, until it is ended.
#[tokio::test]
async fn b4_a_server_that_is_busy_is_waited_for() {
    let server = PrivateRedis::start(&["--busy-reply-threshold", "1"]).await;
    let proxy = Proxy::start(server.url()).await;
    let scene = Scene::at(On::Memory, Over::Redis, proxy.url()).await;
    let writer = scene.writer().await;
    writer.repo.save(&todo("1", "old")).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let mut other = client.get_multiplexed_async_connection().await.unwrap();
    let script = redis::cmd("EVAL").arg("while true do end").arg(0).clone();
    let running = tokio::spawn(async move { script.query_async::<()>(&mut other).await });
    let ping = redis::cmd("PING");
    while ping.query_async::<String>(&mut raw).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let before = proxy.reply_bytes();
    let repo = writer.repo.clone();
    let saving = tokio::spawn(async move { repo.save(&todo("1", "new")).await });
    while proxy.reply_bytes() == before {
        tokio::task::yield_now().await;
    }
    command(&mut raw, &["SCRIPT", "KILL"]).await;
    saving.await.unwrap().unwrap();
    assert_eq!((length(&scene).await, running.await.unwrap().is_err()), (2, true));
}

/// Draining makes room, so it must not need any.
#[tokio::test]
async fn b4_a_server_without_memory_left_is_drained() {
    let server = PrivateRedis::start(&[]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    scene.open().await;
    let worker = scene.worker().await;
    scene.gate.down();
    for id in 0..20 {
        worker.repo.save(&todo(&id.to_string(), "a")).await.unwrap();
    }
    command(&mut scene.raw().await, &["CONFIG", "SET", "maxmemory", "1"]).await;
    assert!(worker.repo.save(&todo("20", "a")).await.is_err());
    scene.gate.up();
    worker.repo.flush().await.unwrap();
    assert_eq!((scene.row("19").await, scene.offset().await.applied), ("a".into(), 21));
}

async fn command(raw: &mut redis::aio::MultiplexedConnection, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    let _: redis::Value = command.arg(&words[1..]).query_async(raw).await.unwrap();
}

#[tokio::test]
async fn b5_b6_a_server_that_evicts_is_refused_also_when_it_begins_later() {
    let server = PrivateRedis::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    let cache = scene.cache(patient()).await;
    let built = scene.builder::<Todo>(&cache).build().await;
    let error = built.expect_err("it was accepted");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("allkeys-lru"), "{error}");
    let mut raw = scene.raw().await;
    command(&mut raw, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("1", "a")).await.unwrap();
    command(&mut raw, &["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).await;
    // Asking looks.
    let health = worker.cache.health().await;
    assert!(
        matches!(&health, Health::Down(why) if why[0].contains("allkeys-random")),
        "{health:?}"
    );
    let error = worker.repo.save(&todo("1", "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Configuration, Outcome::NotApplied));
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.row("1").await, "a", "what is journaled is drained all the same");
    command(&mut raw, &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    assert_eq!(worker.cache.health().await, Health::Ok);
    worker.repo.save(&todo("1", "b")).await.unwrap().persisted().await.unwrap();
}

#[tokio::test]
async fn b7_after_a_flush_of_redis_the_loss_is_reported_and_later_writes_reach_the_store() {
    for over in [Over::InProcess, Over::Redis] {
        let server = PrivateRedis::start(&[]).await;
        let scene = Scene::at(On::Memory, over, server.url()).await;
        let worker = scene.worker().await;
        let kept = worker.repo.save(&todo("1", "kept")).await.unwrap();
        kept.persisted().await.unwrap();
        let held = scene.gate.hold(Point::BeforeApply, "2");
        worker.repo.save(&todo("2", "lost")).await.unwrap();
        held.arrived().await;
        match over {
            Over::InProcess => scene.host.suffer(Incident::Wipe).await.unwrap(),
            Over::Redis | Over::RedisJson => command(&mut scene.raw().await, &["FLUSHALL"]).await,
        }
        let later = worker.repo.save(&todo("3", "later")).await.unwrap();
        assert!(later.version() > kept.version());
        held.release();
        later.persisted().await.unwrap();
        let lost = worker.events.until(|e| matches!(e, Event::JournalLost { .. })).await;
        let Event::JournalLost { entity, partition, last_id, .. } = lost else { unreachable!() };
        assert_eq!((entity, partition, Some(last_id)), (scene.entity(), 0, kept.version()));
        assert_eq!(worker.repo.counts().journals_lost, 1);
        for (id, row) in [("1", "kept"), ("2", "none"), ("3", "later")] {
            assert_eq!(scene.row(id).await, row, "{over:?}");
            assert_eq!(name(worker.repo.get(id).await.unwrap()), row, "{over:?}");
        }
    }
}

#[tokio::test]
async fn b8_a_key_of_the_wrong_type_is_an_error_and_nothing_is_changed() {
    for planted in ["journal", "meta", "backlog"] {
        let scene = Scene::new(On::Memory, Over::Redis).await;
        let writer = scene.writer().await;
        // The partition has its home.
        writer.repo.save(&todo("1", "old")).await.unwrap();
        let mut raw = scene.raw().await;
        let key = match planted {
            "backlog" => format!("{}:@backlog", scene.namespace),
            _ => scene.own_key(planted),
        };
        let aside = format!("{key}:aside");
        command(&mut raw, &["RENAME", &key, &aside]).await;
        command(&mut raw, &["SET", &key, "planted"]).await;
        let error = writer.repo.save(&todo("1", "new")).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotApplied, "{planted}: {error}");
        assert_eq!(error.kind(), ErrorKind::Cache, "{planted}: {error}");
        assert_eq!(name(writer.repo.get("1").await.unwrap()), "old", "{planted}");
        command(&mut raw, &["RENAME", &aside, &key]).await;
        assert_eq!(length(&scene).await, 1, "{planted}");
        let saved = writer.repo.save(&todo("1", "new")).await.unwrap();
        scene.worker().await.repo.flush().await.unwrap();
        saved.persisted().await.unwrap();
        assert_eq!(scene.row("1").await, "new", "{planted}");
    }
}

over_both!(b12_a_process_with_other_partitions_is_refused, |scene| {
    let _writer = scene.writer().await;
    let cache = scene.cache(patient()).await;
    let error = scene.builder::<Todo>(&cache).partitions(2).build().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("partitions = 1"), "{error}");
});

over_both!(
    b16_the_store_sees_the_writes_of_all_processes_in_the_order_of_their_versions,
    |scene| {
        scene.open().await;
        let worker = scene.process(patient(), |b| b.coalesce(false).batch(7)).await;
        let writers = [scene.writer().await, scene.writer().await, scene.writer().await];
        let writing = writers.iter().enumerate().map(async |(writer, process)| {
            let mut written = Vec::new();
            for round in 0..20 {
                let name = format!("{writer}.{round}");
                let saved = match (writer + round) % 3 {
                    0 => (process.repo.delete("1").await.unwrap(), "none".to_owned()),
                    _ => (process.repo.save(&todo("1", &name)).await.unwrap(), name),
                };
                written.push((saved.0.version().unwrap(), saved.1));
            }
            written
        });
        let mut all: Vec<_> = join_all(writing).await.into_iter().flatten().collect();
        all.sort();
        let order: Vec<String> = all.into_iter().map(|(_, name)| name).collect();
        worker.repo.flush().await.unwrap();
        assert_eq!(scene.written("1"), order);
        assert_eq!(name(writers[0].repo.get("1").await.unwrap()), *order.last().unwrap());
    }
);
