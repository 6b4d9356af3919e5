//! The interleavings A1 to A20 of the failure catalogue: readers beside writers, held at sync points.
//!
//! Each runs on the in-process backend with virtual time and, where no time has to pass, on Redis.

use std::time::Duration;

use cached_repo::{CacheStep, ErrorKind, Format, Outcome, Strategy, store::StoreError};
use tests::Point;
use tokio::time::Instant;

use crate::stage::{On, Over, STORE_FIRST, Stage, get, name, save, todo};

each_store_first!(a1_a_row_that_was_loaded_before_a_write_is_never_cached, |stage| {
    let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let (reader, writer) = (stage.process().await, stage.process().await);
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let reading = get(&reader, "1");
    loaded.arrived().await;
    let _ = writer.save(&todo("1", "new")).await.unwrap();
    loaded.release();
    assert_eq!(name(reading.await.unwrap()), "old", "it began before the write was acknowledged");
    for repo in [&reader, &writer, &stage.repo] {
        assert_eq!(name(repo.get("1").await.unwrap()), "new");
    }
});

each_store_first!(a2_a_read_during_a_write_fills_nothing_however_long_it_takes, |stage| {
    let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
    let reader = stage.process().await;
    let writing_held = stage.gate.hold(Point::BeforeApply, "1");
    let writing = save(&stage.repo, todo("1", "new"));
    writing_held.arrived().await;
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let reading = get(&reader, "1");
    loaded.arrived().await;
    writing_held.release();
    let _ = writing.await.unwrap().unwrap();
    loaded.release();
    assert_eq!(name(reading.await.unwrap()), "old");
    assert_eq!(name(reader.get("1").await.unwrap()), "new");
});

each_store_first!(a3_a_row_that_was_loaded_before_a_delete_is_never_cached, |stage| {
    let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let reader = stage.process().await;
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let reading = get(&reader, "1");
    loaded.arrived().await;
    let _ = stage.repo.delete("1").await.unwrap();
    loaded.release();
    let _ = reading.await.unwrap();
    assert_eq!(name(reader.get("1").await.unwrap()), "none");
});

#[tokio::test(start_paused = true)]
async fn a4_a_writer_that_dies_after_its_commit_blocks_fills_until_its_deadline() {
    for strategy in STORE_FIRST {
        let stage = Stage::in_process(strategy).await;
        let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
        let committed = stage.gate.hold(Point::AfterApply, "1");
        let _dead = save(&stage.repo, todo("1", "new"));
        committed.arrived().await;
        committed.abandon();
        let reader = stage.process().await;
        for _ in 0..3 {
            assert_eq!(name(reader.get("1").await.unwrap()), "new");
        }
        assert_eq!(reader.counts().fills, 0, "nobody fills while the token lives");
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(name(reader.get("1").await.unwrap()), "new");
        assert_eq!(reader.counts().fills, 1, "the token ends by its deadline");
    }
}

each_store_first!(a5_the_entry_stays_away_until_the_last_of_several_writers_is_done, |stage| {
    let (one, two, reader) = (stage.process().await, stage.process().await, stage.process().await);
    let held = stage.gate.hold(Point::BeforeApply, "1");
    let first = save(&one, todo("1", "first"));
    held.arrived().await;
    let _ = two.save(&todo("1", "second")).await.unwrap();
    assert_eq!(name(reader.get("1").await.unwrap()), "second");
    assert_eq!((reader.counts().fills, two.counts().puts), (0, 0));
    held.release();
    let _ = first.await.unwrap().unwrap();
    assert_eq!(one.counts().puts, 0, "it overlapped");
    assert_eq!(name(reader.get("1").await.unwrap()), "first");
    assert_eq!(reader.counts().fills, 1);
});

#[tokio::test(start_paused = true)]
async fn a6_a_write_takes_effect_before_its_deadline_or_not_at_all() {
    for strategy in STORE_FIRST {
        let stage = Stage::in_process(strategy).await;
        let held = stage.gate.hold(Point::BeforeApply, "1");
        let late = save(&stage.repo, todo("1", "late"));
        held.arrived().await;
        tokio::time::advance(Duration::from_secs(6)).await;
        held.release();
        let error = late.await.unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
        assert_eq!(stage.process().await.get("1").await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a10_of_many_readers_of_a_missing_entry_one_a_process_asks_the_store() {
    for strategy in STORE_FIRST {
        let asked = stampede(Stage::in_process(strategy).await).await;
        assert!((1..=4).contains(&asked), "{asked} loads by 4 processes");
    }
}

#[tokio::test]
async fn a10_over_redis_many_readers_of_a_missing_entry_are_no_stampede() {
    let stage = Stage::new(Strategy::ReadThrough, Format::Json, On::Memory, Over::Redis).await;
    // On a busy machine a process may give up waiting for another one, and ask a second time.
    let asked = stampede(stage).await;
    assert!((1..=16).contains(&asked), "{asked} loads by 500 readers");
}

/// How often the store is asked by 500 readers in 4 processes.
async fn stampede(stage: Stage) -> usize {
    stage.repo.save(&todo("1", "hot")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let loads = stage.gate.loads();
    let first = stage.gate.hold(Point::BeforeLoad, "1");
    let mut readers = Vec::new();
    for _ in 0..4 {
        let process = stage.process().await;
        readers.extend((0..125).map(|_| get(&process, "1")));
    }
    first.arrived().await;
    first.release();
    for reader in readers {
        assert_eq!(name(reader.await.unwrap()), "hot");
    }
    stage.gate.loads() - loads
}

#[tokio::test(start_paused = true)]
async fn a11_a_filler_that_dies_delays_others_by_at_most_50_ms() {
    let stage = Stage::in_process(Strategy::ReadThrough).await;
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    let (dying, waiting) = (stage.process().await, stage.process().await);
    let held = stage.gate.hold(Point::AfterLoad, "1");
    let _dead = get(&dying, "1");
    held.arrived().await;
    held.abandon();
    let start = Instant::now();
    assert_eq!(name(waiting.get("1").await.unwrap()), "a");
    // Virtual time: exactly what was slept.
    assert!(start.elapsed() <= Duration::from_millis(60), "{:?}", start.elapsed());
    assert_eq!(waiting.counts().fills, 0, "the lease is not its own");
    tokio::time::advance(Duration::from_secs(4)).await;
    let _ = waiting.get("1").await.unwrap();
    assert_eq!(waiting.counts().fills, 1, "a dead filler's lease ends");
}

each_store_first!(a11_a_failed_load_is_an_error_and_is_not_remembered, |stage| {
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    stage.gate.fail(Point::BeforeLoad, "1", StoreError::transient("asleep"));
    let error = stage.repo.get("1").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::StoreUnavailable, true));
    assert!(error.to_string().starts_with("get todos"), "{error}");
    assert_eq!(name(stage.repo.get("1").await.unwrap()), "a");
});

each_store_first!(a12_a_leader_that_is_cancelled_leaves_no_follower_waiting, |stage| {
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let held = stage.gate.hold(Point::BeforeLoad, "1");
    let leader = get(&stage.repo, "1");
    held.arrived().await;
    let follower = get(&stage.repo, "1");
    tokio::task::yield_now().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    held.release();
    assert_eq!(name(follower.await.unwrap()), "a");
});

each_store_first!(a13_an_absence_that_was_loaded_before_an_insert_is_never_cached, |stage| {
    let reader = stage.process().await;
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let reading = get(&reader, "1");
    loaded.arrived().await;
    let _ = stage.repo.save(&todo("1", "born")).await.unwrap();
    loaded.release();
    let _ = reading.await.unwrap();
    assert_eq!(name(reader.get("1").await.unwrap()), "born");
});

#[tokio::test(start_paused = true)]
async fn a14_absences_are_forgotten_after_their_own_time() {
    for strategy in STORE_FIRST {
        let stage = Stage::in_process(strategy).await;
        assert_eq!(stage.repo.get("flood").await.unwrap(), None);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(stage.repo.get("flood").await.unwrap(), None);
        assert_eq!(stage.gate.loads(), 2);
        let off = stage.builder(stage.cache()).negative_ttl(Duration::ZERO).build().await.unwrap();
        for _ in 0..2 {
            assert_eq!(off.get("other").await.unwrap(), None);
        }
        assert_eq!(stage.gate.loads(), 4, "zero turns it off");
    }
}

#[tokio::test(start_paused = true)]
async fn a16_a_row_that_was_changed_outside_is_stale_for_the_time_to_live_at_most() {
    for strategy in STORE_FIRST {
        let stage = Stage::in_process(strategy).await;
        let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
        let _ = stage.repo.get("1").await.unwrap();
        // Another namespace is another program, as far as this cache can tell.
        let outside = cached_repo::Cache::in_memory();
        let outside = stage.builder(&outside).build().await.unwrap();
        let _ = outside.save(&todo("1", "new")).await.unwrap();
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "old", "documented");
        tokio::time::advance(Duration::from_secs(3601)).await;
        assert_eq!(name(stage.repo.get("1").await.unwrap()), "new");
    }
}

each_store_first!(a18_with_the_store_down_hits_are_served_and_misses_are_errors, |stage| {
    let _ = stage.repo.save_many(&[todo("1", "a"), todo("2", "b")]).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    stage.repo.evict("2").await.unwrap();
    stage.gate.down();
    assert_eq!(name(stage.repo.get("1").await.unwrap()), "a");
    let miss = stage.repo.get("2").await.unwrap_err();
    assert_eq!((miss.kind(), miss.is_retryable()), (ErrorKind::StoreUnavailable, true));
    let write = stage.repo.save(&todo("1", "c")).await.unwrap_err();
    assert_eq!(write.outcome(), Outcome::NotApplied);
    stage.gate.up();
    assert_eq!(name(stage.repo.get("2").await.unwrap()), "b", "the error was not remembered");
    assert_eq!(name(stage.repo.get("1").await.unwrap()), "a");
});

each_store_first!(a_late_follower_never_gets_a_row_from_before_an_acknowledged_write, |stage| {
    let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
    stage.repo.evict("1").await.unwrap();
    let loaded = stage.gate.hold(Point::AfterLoad, "1");
    let early = get(&stage.repo, "1");
    loaded.arrived().await;
    let saved = stage.process().await.save(&todo("1", "new")).await.unwrap();
    assert_eq!(saved.cache(), CacheStep::Done);
    // It joins the flight that has read the old row already.
    let late = get(&stage.repo, "1");
    tokio::task::yield_now().await;
    loaded.release();
    assert_eq!(name(late.await.unwrap()), "new");
    let _ = early.await.unwrap();
});

#[tokio::test]
async fn a15_entries_that_were_made_together_do_not_expire_together() {
    let stage = Stage::new(Strategy::WriteThrough, Format::Json, On::Memory, Over::Redis).await;
    let spread = stage.builder(stage.cache()).jitter_percent(10).build().await.unwrap();
    let all: Vec<_> = (0..200).map(|i| todo(&i.to_string(), "x")).collect();
    let _ = spread.save_many(&all).await.unwrap();
    let mut raw = stage.raw().await;
    let mut lifetimes = Vec::new();
    for each in &all {
        let key = spread.key(&each.id).unwrap();
        let ms: i64 = redis::cmd("PTTL").arg(key).query_async(&mut raw).await.unwrap();
        lifetimes.push(ms);
    }
    let (low, high) = (*lifetimes.iter().min().unwrap(), *lifetimes.iter().max().unwrap());
    // An hour, more or less a tenth; a minute for a machine that is busy.
    assert!(low > 3_240_000 - 60_000 && high <= 3_960_000, "{low} to {high}");
    assert!(high - low > 540_000, "spread over at least 15 percent: {low} to {high}");
}
