//! The interleavings T1 to T6 of the failure catalogue: writers beside writers, held at sync points.
//!
//! T1 needs a Redis that fails and stands with the faults; T6 concerns optimistic locks.

use std::time::Duration;

use cached_repo::{ErrorKind, Format, Outcome, Strategy, store::StoreError};
use tests::Point;

use crate::stage::{DATABASES, On, Over, STORE_FIRST, Stage, name, save, todo};

each_store_first!(t2_nothing_is_in_the_cache_before_the_store_has_committed, |stage| {
    let held = stage.gate.hold(Point::BeforeApply, "1");
    let writing = save(&stage.repo, todo("1", "new"));
    held.arrived().await;
    let reader = stage.process().await;
    assert_eq!(reader.get("1").await.unwrap(), None);
    held.fail(StoreError::record("refused"));
    assert!(writing.await.unwrap().is_err());
    assert_eq!(reader.get("1").await.unwrap(), None);
});

each_store_first!(t3_cache_steps_that_arrive_in_the_wrong_order_leave_no_older_value, |stage| {
    let (one, two, reader) = (stage.process().await, stage.process().await, stage.process().await);
    let committed = stage.gate.hold(Point::AfterApply, "1");
    let first = save(&one, todo("1", "first"));
    committed.arrived().await;
    let _ = two.save(&todo("1", "second")).await.unwrap();
    committed.release();
    let _ = first.await.unwrap().unwrap();
    assert_eq!(name(reader.get("1").await.unwrap()), "second");
});

#[tokio::test(start_paused = true)]
async fn t5_an_unknown_commit_is_said_to_be_unknown_and_blocks_the_entry() {
    for strategy in STORE_FIRST {
        let stage = Stage::in_process(strategy).await;
        let _ = stage.repo.save(&todo("1", "old")).await.unwrap();
        stage.gate.fail(Point::AfterApply, "1", StoreError::unknown("the connection was lost"));
        let error = stage.repo.save(&todo("1", "new")).await.unwrap_err();
        assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, true));
        let reader = stage.process().await;
        assert_eq!(name(reader.get("1").await.unwrap()), "new");
        assert_eq!(reader.counts().fills, 0);
        tokio::time::advance(Duration::from_secs(11)).await;
        let _ = reader.get("1").await.unwrap();
        assert_eq!(reader.counts().fills, 1);
    }
}

each_store_first!(a_fenced_store_is_asked_again_and_then_refused, |stage| {
    for _ in 0..2 {
        stage.gate.fail(Point::BeforeApply, "1", StoreError::fenced("the epoch moved"));
    }
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    for _ in 0..3 {
        stage.gate.fail(Point::BeforeApply, "1", StoreError::fenced("the epoch moved"));
    }
    let error = stage.repo.save(&todo("1", "b")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Fenced, Outcome::NotApplied));
    assert_eq!(name(stage.process().await.get("1").await.unwrap()), "a");
});

#[tokio::test]
async fn t4_what_the_database_made_of_a_row_is_what_is_cached() {
    for on in DATABASES {
        for strategy in STORE_FIRST {
            let stage = Stage::new(strategy, Format::Json, on, Over::Redis).await;
            stage.let_a_trigger_shout().await;
            let _ = stage.repo.save(&todo("1", "quiet")).await.unwrap();
            let loads = stage.gate.loads();
            assert_eq!(name(stage.repo.get("1").await.unwrap()), "QUIET", "{on:?} {strategy}");
            let put = strategy == Strategy::WriteThrough;
            assert_eq!(stage.gate.loads(), loads + usize::from(!put), "{on:?} {strategy}");
        }
    }
}

#[tokio::test]
async fn a_write_that_is_refused_in_one_partition_leaves_no_token_in_the_others() {
    for over in [Over::InProcess, Over::Redis] {
        let stage = Stage::new(Strategy::WriteThrough, Format::Json, On::Memory, over).await;
        let keeper =
            stage.builder(stage.cache()).strategy(Strategy::RedisOnly).build().await.unwrap();
        let _ = keeper.save(&todo("kept", "x")).await.unwrap();
        let mut all: Vec<_> = (0..20).map(|i| todo(&i.to_string(), "x")).collect();
        all.push(todo("kept", "y"));
        let error = stage.repo.save_many(&all).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Dirty, Outcome::NotApplied));
        assert!(error.to_string().contains("\"kept\""), "{error}");
        let ids: Vec<_> = (0..20).map(|i| i.to_string()).collect();
        let _ = stage.repo.get_many(&ids).await.unwrap();
        assert_eq!(stage.repo.counts().fills, 20, "{over:?}");
        assert_eq!(name(keeper.get("kept").await.unwrap()), "x");
    }
}

/// What recovery of a journal does to store-first writers that did not see it.
#[tokio::test]
async fn a_write_that_does_not_know_of_the_journals_epoch_begins_again_after_a_recovery() {
    for on in [On::Memory, On::Sqlite, On::Postgres, On::MySql, On::Mongo] {
        let stage = Stage::new(Strategy::WriteThrough, Format::Json, on, Over::InProcess).await;
        stage.repo.save(&todo("1", "before")).await.unwrap();
        for partition in 0..16 {
            stage.raise_epoch(partition).await;
        }
        let recovered = stage.repo.save(&todo("1", "after")).await;
        assert!(recovered.is_ok(), "{recovered:?}");
        assert_eq!(name(stage.process().await.get("1").await.unwrap()), "after", "{on:?}");
    }
}
