//! What receipts say: the order of writes, and when a write is in the store.

use std::{pin::pin, time::Duration};

use cached_repo::{CacheStep, Durable, ErrorKind, Incident, store::StoreError};
use futures_util::poll;
use tests::Point;

use super::scene::{Scene, patient};
use crate::stage::{On, Over, todo};

over_both!(versions_grow_with_every_write_of_any_process, |scene| {
    let (one, two) = (scene.writer().await, scene.writer().await);
    let mut versions = Vec::new();
    for round in 0..5 {
        let saved = one.repo.save(&todo("1", &round.to_string())).await.unwrap();
        assert_eq!((saved.durable(), saved.cache()), (Durable::Journaled, CacheStep::Done));
        versions.push(saved.version().unwrap());
        versions.push(two.repo.delete("2").await.unwrap().version().unwrap());
        let many = [todo("1", "a"), todo("2", "b"), todo("1", "c")];
        let many = two.repo.save_many(&many).await.unwrap();
        versions.extend(many.iter().map(|saved| saved.version().unwrap()));
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
});

over_both!(a_write_is_persisted_when_the_store_has_it_and_not_before, |scene| {
    let (writer, worker) = (scene.writer().await, scene.worker().await);
    let held = scene.gate.hold(Point::BeforeApply, "1");
    let saved = writer.repo.save(&todo("1", "a")).await.unwrap();
    let token = saved.token().unwrap();
    held.arrived().await;
    let (mut here, mut there) = (pin!(saved.persisted()), pin!(worker.repo.persisted(&token)));
    for _ in 0..3 {
        assert!(poll!(&mut here).is_pending() && poll!(&mut there).is_pending());
        tokio::task::yield_now().await;
    }
    held.release();
    here.await.unwrap();
    there.await.unwrap();
    assert_eq!(scene.row("1").await, "a");
    // And ever after, also for a process that comes later.
    saved.persisted().await.unwrap();
    scene.writer().await.repo.persisted(&token).await.unwrap();
});

over_both!(what_is_no_token_of_this_journal_is_refused, |scene| {
    let writer = scene.writer().await;
    let token = writer.repo.save(&todo("1", "a")).await.unwrap().token().unwrap();
    let (prefix, rest) = token.split_once('/').unwrap();
    let partition_away = format!("{prefix}/1/{}", rest.split_once('/').unwrap().1);
    for bad in ["", "nonsense", &token[1..], &partition_away, &format!("other/{rest}")] {
        let error = writer.repo.persisted(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}: {error}");
    }
});

#[tokio::test(start_paused = true)]
async fn a_receipt_from_before_a_recovery_says_that_nobody_knows() {
    let scene = Scene::in_process().await;
    let writer = scene.writer().await;
    let saved = writer.repo.save(&todo("1", "a")).await.unwrap();
    scene.host.suffer(Incident::Restart).await.unwrap();
    assert_eq!(saved.persisted().await.unwrap_err().kind(), ErrorKind::Recovered);
    let later = writer.repo.save(&todo("1", "b")).await.unwrap();
    // Not even for a drain.
    let known = tokio::time::timeout(Duration::from_secs(60), saved.persisted()).await;
    assert_eq!(known.unwrap().unwrap_err().kind(), ErrorKind::Recovered);
    let worker = scene.worker().await;
    later.persisted().await.unwrap();
    let error = saved.persisted().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Recovered, "{error}");
    let error = worker.repo.persisted(&saved.token().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Recovered, "{error}");
    assert_eq!(scene.row("1").await, "b");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_write_outlasts_an_outage_of_the_store() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let worker = scene.worker().await;
    scene.gate.down();
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    let patience = Duration::from_secs(3600);
    assert!(tokio::time::timeout(patience, saved.persisted()).await.is_err());
    assert!(tokio::time::timeout(patience, worker.repo.flush()).await.is_err());
    scene.gate.up();
    worker.repo.flush().await.unwrap();
    saved.persisted().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_what_was_journaled_before_it_and_for_nothing_else() {
    let scene = Scene::in_process().await;
    let (writer, worker) = (scene.writer().await, scene.worker().await);
    let first = scene.gate.hold(Point::BeforeApply, "1");
    writer.repo.save(&todo("1", "a")).await.unwrap();
    first.arrived().await;
    let mut flush = pin!(worker.repo.flush());
    let mut flush_id = pin!(worker.repo.flush_id("1"));
    assert!(poll!(&mut flush).is_pending() && poll!(&mut flush_id).is_pending());
    // A writer that does not stop.
    let second = scene.gate.hold(Point::BeforeApply, "2");
    writer.repo.save(&todo("2", "b")).await.unwrap();
    first.release();
    flush.await.unwrap();
    flush_id.await.unwrap();
    assert_eq!((scene.row("1").await, scene.row("2").await), ("a".into(), "none".into()));
    second.arrived().await;
    second.release();
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.row("2").await, "b");
}

#[tokio::test(start_paused = true)]
async fn flush_of_an_id_does_not_wait_for_other_partitions() {
    let scene = Scene::in_process().await;
    let worker = scene.process(patient(), |builder| builder.partitions(16)).await;
    let held = scene.gate.hold(Point::BeforeApply, "1");
    worker.repo.save(&todo("1", "a")).await.unwrap();
    held.arrived().await;
    let ids: Vec<_> = (2..30).map(|id| id.to_string()).collect();
    for id in &ids {
        worker.repo.save(&todo(id, "b")).await.unwrap();
    }
    let patience = Duration::from_secs(1);
    let mut flushed = 0;
    for id in &ids {
        let flushing = tokio::time::timeout(patience, worker.repo.flush_id(id));
        flushed += usize::from(flushing.await.is_ok());
    }
    assert!((1..ids.len()).contains(&flushed), "{flushed} of {} partitions are free", ids.len());
    held.release();
    worker.repo.flush().await.unwrap();
}

over_both!(
    /// A store-first write is there at once, and what was never journaled is no reason to wait.
    flush_of_nothing_returns_at_once, |scene| {
    let writer = scene.writer().await;
    writer.repo.flush().await.unwrap();
    let stored = scene.under(cached_repo::Strategy::CacheAside).await;
    stored.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    stored.repo.flush().await.unwrap();
});

#[tokio::test(start_paused = true)]
async fn a_commit_of_which_nobody_knows_is_persisted_once() {
    let scene = Scene::in_process().await;
    let worker = scene.worker().await;
    scene.gate.fail(Point::AfterApply, "1", StoreError::unknown("the answer was lost"));
    let saved = worker.repo.save(&todo("1", "a")).await.unwrap();
    saved.persisted().await.unwrap();
    assert_eq!((scene.gate.batches(), scene.row("1").await), (1, "a".into()));
    assert_eq!(worker.repo.counts().drain_conflicts, 1);
    assert_eq!(scene.offset().await.applied, 1);
}
