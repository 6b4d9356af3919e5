//! Redis slow, cut, refused, away and back: what reads and writes do meanwhile and afterwards.

use std::time::Duration;

use cached_repo::{Cache, CacheStep, ErrorKind, Format, Outage, Outcome, Repository, Strategy};
use tests::{Mode, Point, Proxy, servers, servers::PrivateRedis};

use crate::stage::{On, Over, STORE_FIRST, Stage, Todo, get, name, todo};

mod waiting;

/// A stage over Redis, and a process of it that reaches Redis through a proxy.
async fn behind_proxy(strategy: Strategy, outage: Outage) -> (Stage, Proxy, Repository<Todo>) {
    let stage = Stage::new(strategy, Format::Json, On::Memory, Over::Redis).await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let process = stage.process_at(&proxy.url(), outage).await;
    (stage, proxy, process)
}

fn faults() -> [Mode; 3] {
    [Mode::Refuse, Mode::BlackHole, Mode::CutAfter(0)]
}

#[tokio::test]
async fn a7_with_redis_down_reads_are_served_by_the_store() {
    for strategy in STORE_FIRST {
        for fault in faults() {
            let (stage, proxy, process) = behind_proxy(strategy, Outage::Available).await;
            let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
            proxy.set(fault);
            proxy.cut();
            // An answer that was on its way may still arrive.
            while process.counts().cache_failures == 0 {
                assert_eq!(name(process.get("1").await.unwrap()), "a", "{fault:?}");
            }
            let (loads, failures) = (stage.gate.loads(), process.counts().cache_failures);
            for _ in 0..3 {
                // One that happens once has happened, and the breaker may let the next call through.
                proxy.set(fault);
                assert_eq!(name(process.get("1").await.unwrap()), "a", "{fault:?}");
            }
            assert_eq!(stage.gate.loads(), loads + 3);
            assert!(process.counts().cache_failures >= failures + 3, "the fault did not happen");
            proxy.set(Mode::Pass);
            proxy.cut();
            // The breaker lets a caller through after its backoff.
            while process.counts().fills + process.counts().hits == 0 {
                assert_eq!(name(process.get("1").await.unwrap()), "a");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn a7_with_redis_down_only_so_many_reads_ask_the_store_at_a_time() {
    let (stage, proxy, _) = behind_proxy(Strategy::ReadThrough, Outage::Available).await;
    let cache = Cache::builder().namespace(stage.table()).outage_loads_max(2);
    let cache = cache.connect(&proxy.url()).await.unwrap();
    let settings = stage.builder(&cache);
    let capped = settings.store_timeout(Duration::from_millis(400)).build().await.unwrap();
    proxy.set(Mode::Refuse);
    proxy.cut();
    let held: Vec<_> = (0..3).map(|_| stage.gate.hold(Point::BeforeLoad, None)).collect();
    let reads: Vec<_> = ["1", "2", "3"]
        .map(|id| {
            let repo = capped.clone();
            tokio::spawn(async move { repo.get(id).await })
        })
        .into();
    held[0].arrived().await;
    held[1].arrived().await;
    // The third gives up after `store_timeout`; the first two are held until it did.
    let mut refused = 0;
    let mut left = Vec::new();
    let (first, rest) = futures_util::future::select_all(reads).await.into_first();
    refused += usize::from(first.unwrap().unwrap_err().kind() == ErrorKind::Overloaded);
    left.extend(rest);
    assert_eq!((refused, stage.gate.loads()), (1, 2));
    held.into_iter().for_each(tests::Held::release);
    for read in left {
        assert_eq!(read.await.unwrap().unwrap(), None);
    }
}

/// `select_all`'s answer without the index.
trait IntoFirst<T, F> {
    fn into_first(self) -> (T, Vec<F>);
}

impl<T, F> IntoFirst<T, F> for (T, usize, Vec<F>) {
    fn into_first(self) -> (T, Vec<F>) {
        (self.0, self.2)
    }
}

#[tokio::test]
async fn a8_strict_writes_fail_before_the_store_is_touched() {
    for strategy in STORE_FIRST {
        for fault in faults() {
            let (stage, proxy, process) = behind_proxy(strategy, Outage::Strict).await;
            let _ = process.save(&todo("1", "old")).await.unwrap();
            let batches = stage.gate.batches();
            proxy.set(fault);
            proxy.cut();
            let error = process.save(&todo("1", "new")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CacheUnavailable, "{fault:?}: {error}");
            assert_eq!((error.outcome(), error.is_retryable()), (Outcome::NotApplied, true));
            assert_eq!(stage.gate.batches(), batches);
            assert_eq!(name(stage.repo.get("1").await.unwrap()), "old");
        }
    }
}

#[tokio::test]
async fn a8_available_writes_succeed_and_are_invalidated_when_redis_is_back() {
    for strategy in STORE_FIRST {
        for fault in faults() {
            let (stage, proxy, process) = behind_proxy(strategy, Outage::Available).await;
            let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
            let _ = stage.repo.get("1").await.unwrap();
            proxy.set(fault);
            proxy.cut();
            let saved = process.save(&todo("1", "new")).await.unwrap();
            assert_eq!(saved.cache(), CacheStep::Pending, "{fault:?}");
            proxy.set(fault);
            assert_eq!(name(process.get("1").await.unwrap()), "new", "it reads its own write");
            assert_eq!(name(stage.repo.get("1").await.unwrap()), "old", "what pending means");
            proxy.set(Mode::Pass);
            proxy.cut();
            assert_eq!(name(process.get("1").await.unwrap()), "new", "also right after the outage");
            while name(stage.repo.get("1").await.unwrap()) != "new" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(process.counts().invalidations_lost, 0);
        }
    }
}

#[tokio::test]
async fn a8_a_read_after_a_pending_write_does_not_join_a_load_from_before_it() {
    let (stage, proxy, process) = behind_proxy(Strategy::ReadThrough, Outage::Available).await;
    let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let early = get(&process, "1");
    loaded.arrived().await;
    proxy.set(Mode::Refuse);
    proxy.cut();
    let saved = process.save(&todo("1", "new")).await.unwrap();
    assert_eq!(saved.cache(), CacheStep::Pending);
    let late = get(&process, "1");
    // It looks at the cache, which fails, and then boards the flight that has read the old row.
    while process.counts().cache_failures < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    proxy.set(Mode::Pass);
    loaded.release();
    assert_eq!(name(late.await.unwrap()), "new");
    let _ = early.await.unwrap();
}

/// What is owed sends readers to the store, which does not have what is journaled.
#[tokio::test]
async fn a8_a_journaled_write_is_read_by_a_process_that_owes_an_invalidation() {
    let (stage, proxy, process) = behind_proxy(Strategy::WriteThrough, Outage::Strict).await;
    proxy.set(Mode::Refuse);
    proxy.cut();
    for id in ["1", "2"] {
        assert!(process.save(&todo(id, "refused")).await.is_err());
    }
    assert_eq!(process.counts().invalidations_owed, 2);
    // As long as one cannot be settled, the debts stay.
    let (mut raw, key) = (stage.raw().await, stage.repo.key("2").unwrap());
    let intents = key.replace("todos:", "todos:@intents:");
    let _: i64 = redis::cmd("LPUSH").arg(intents).arg("x").query_async(&mut raw).await.unwrap();
    proxy.set(Mode::Pass);
    for format in [Format::Json, Format::Hash] {
        let writer = stage.builder(stage.cache()).strategy(Strategy::WriteBehind).format(format);
        let writer = writer.build().await.unwrap();
        // The first write needs the store.
        writer.save(&todo("1", "first")).await.unwrap();
        stage.gate.down();
        writer.save(&todo("1", "journaled")).await.unwrap();
        let read = loop {
            let failures = process.counts().cache_failures;
            match process.get("1").await {
                // Not before the breaker lets a caller through.
                Err(_) if process.counts().cache_failures > failures => {}
                found => break found,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(name(read.unwrap()), "journaled", "{format}");
        stage.gate.up();
        writer.flush().await.unwrap();
    }
}

#[tokio::test]
async fn t1_a_cache_step_that_fails_leaves_the_entry_empty_and_the_save_done() {
    for strategy in STORE_FIRST {
        let (stage, proxy, process) = behind_proxy(strategy, Outage::Strict).await;
        let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
        let held = stage.gate.hold(Point::AfterApply, "1");
        let (repo, entity) = (process.clone(), todo("1", "new"));
        let saving = tokio::spawn(async move { repo.save(&entity).await });
        held.arrived().await;
        proxy.set(Mode::Refuse);
        proxy.cut();
        held.release();
        let saved = saving.await.unwrap().unwrap();
        assert_eq!(saved.cache(), CacheStep::Done, "the entry was removed before the write");
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "new");
        assert_eq!(name(process.get("1").await.unwrap()), "new");
        assert!(process.counts().cache_failures > 0, "the fault did not happen");
    }
}

#[tokio::test]
async fn under_redis_only_everything_fails_while_redis_is_down() {
    let (_stage, proxy, process) = behind_proxy(Strategy::RedisOnly, Outage::Available).await;
    let _ = process.save(&todo("1", "a")).await.unwrap();
    proxy.set(Mode::Refuse);
    proxy.cut();
    assert_eq!(process.get("1").await.unwrap_err().kind(), ErrorKind::CacheUnavailable);
    let error = process.save(&todo("1", "b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CacheUnavailable);
    assert_eq!(error.outcome(), Outcome::NotApplied, "it was never sent");
    proxy.set(Mode::Pass);
    proxy.cut();
    while process.get("1").await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(name(process.get("1").await.unwrap()), "a");
}

#[tokio::test]
async fn a_slow_redis_costs_a_read_its_timeout_and_no_more_than_a_few_reads() {
    let (stage, proxy, process) = behind_proxy(Strategy::CacheAside, Outage::Available).await;
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    proxy.set(Mode::BlackHole);
    // After three timeouts the connection counts as dead, and the reads after it do not wait.
    for _ in 0..10 {
        assert_eq!(name(process.get("1").await.unwrap()), "a");
    }
    assert!(proxy.connections() >= 2, "the dead connection was replaced");
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_found_again() {
    let mut server = PrivateRedis::start(&[]).await;
    let stage = Stage::new(Strategy::WriteThrough, Format::Json, On::Memory, Over::InProcess).await;
    let process = stage.process_over(&server.url(), Outage::Available).await;
    let _ = process.save(&todo("1", "a")).await.unwrap();
    server.kill();
    assert_eq!(name(process.get("1").await.unwrap()), "a");
    server.restart().await;
    let hits = process.counts().hits;
    while process.counts().hits == hits {
        assert_eq!(name(process.get("1").await.unwrap()), "a");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A failover to a replica that lacks the delete, as far as one server can show it.
#[tokio::test]
async fn a9_what_a_failover_brings_back_lives_for_its_time_to_live_at_most() {
    for strategy in STORE_FIRST {
        let stage = Stage::new(strategy, Format::Json, On::Memory, Over::Redis).await;
        stage.repo.save(&todo("1", "deleted")).await.unwrap();
        stage.repo.get("1").await.unwrap();
        let (mut raw, key) = (stage.raw().await, stage.repo.key("1").unwrap());
        let ttl_ms: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut raw).await.unwrap();
        assert!((1..=3_600_000).contains(&ttl_ms), "no copy lives for ever: {ttl_ms}");
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut raw).await.unwrap();
        stage.repo.delete("1").await.unwrap();
        let mut restore = redis::cmd("RESTORE");
        // One millisecond stands for the rest of its time.
        let _: () = restore.arg(&key).arg(1).arg(dump).query_async(&mut raw).await.unwrap();
        while stage.repo.get("1").await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.process().await.get("1").await.unwrap(), None);
    }
}
