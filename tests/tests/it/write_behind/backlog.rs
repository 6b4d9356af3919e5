//! The journal's bound, and copies beside it.

use std::time::Duration;

use cached_repo::{Cache, CachedEntity, ErrorKind, OnFull, Outcome, Repository, Strategy, store};
use futures_util::future::join_all;
use tests::{Gated, Mode, Point, Proxy, servers};

use super::scene::{Scene, patient};
use crate::stage::{On, Over, Todo, name, save, todo};

/// One whose attributes say how much may wait.
#[derive(Clone, Debug, CachedEntity)]
#[cache(prefix = "bounded", strategy = "write_behind", partitions = 1, max_backlog = 2)]
#[cache(on_full = "reject", coalesce = false, batch = 1)]
struct Bounded {
    #[cache(id)]
    id: u8,
}

#[tokio::test]
async fn the_attributes_bound_the_backlog_and_the_builder_wins() {
    let gate = Gated::new(store::memory());
    let cache = Cache::builder().no_worker().in_memory();
    let builder =
        || Repository::<Bounded>::builder(&cache).store(&(gate.clone() as store::SharedStore));
    let bounded = builder().build().await.unwrap();
    for _ in 0..2 {
        bounded.save(&Bounded { id: 1 }).await.unwrap();
    }
    let error = bounded.save(&Bounded { id: 1 }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BacklogFull, "{error}");
    let wider = builder().max_backlog(3).build().await.unwrap();
    wider.save(&Bounded { id: 1 }).await.unwrap();
    let draining = tokio::spawn(cache.drain());
    bounded.flush().await.unwrap();
    draining.abort();
    assert_eq!((gate.batches(), gate.rows()), (3, 3), "each by itself");
}

over_both!(a_full_backlog_refuses_at_once_and_what_it_holds_is_read, |scene| {
    let settings =
        |b: cached_repo::RepositoryBuilder<Todo>| b.max_backlog(3).on_full(OnFull::Reject);
    scene.open().await;
    let worker = scene.process(patient(), settings).await;
    scene.gate.down();
    for id in ["1", "2", "3"] {
        worker.repo.save(&todo(id, "a")).await.unwrap();
    }
    for _ in 0..2 {
        let error = worker.repo.save(&todo("1", "b")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::BacklogFull, Outcome::NotApplied));
        assert!(error.is_retryable());
        assert!(worker.repo.delete("4").await.is_err());
    }
    let loads = scene.gate.loads();
    for id in ["1", "2", "3"] {
        assert_eq!(name(worker.repo.get(id).await.unwrap()), "a", "the store is down");
    }
    assert_eq!(scene.gate.loads(), loads);
    scene.gate.up();
    worker.repo.flush().await.unwrap();
    worker.repo.save(&todo("1", "b")).await.unwrap().persisted().await.unwrap();
});

#[tokio::test(start_paused = true)]
async fn a_full_backlog_is_waited_for_until_the_store_is_back_or_patience_ends() {
    let scene = Scene::in_process().await;
    let patience = Duration::from_secs(30);
    let settings =
        |b: cached_repo::RepositoryBuilder<Todo>| b.max_backlog(2).on_full(OnFull::Block(patience));
    scene.open().await;
    let worker = scene.process(patient(), settings).await;
    scene.gate.down();
    worker.repo.save_many(&[todo("1", "a"), todo("2", "a")]).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = worker.repo.save(&todo("3", "late")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::BacklogFull, Outcome::NotApplied));
    let waited = start.elapsed();
    assert!((patience..patience + Duration::from_secs(1)).contains(&waited), "{waited:?}");
    let waiting = save(&worker.repo, todo("3", "in time"));
    tokio::time::sleep(patience / 2).await;
    assert!(!waiting.is_finished());
    scene.gate.up();
    waiting.await.unwrap().unwrap().persisted().await.unwrap();
    assert_eq!(scene.row("3").await, "in time");
}

over_both!(the_backlog_is_never_above_its_bound, |scene| {
    for bytes in [false, true] {
        let settings = |b: cached_repo::RepositoryBuilder<Todo>| match bytes {
            // Of so many bytes one todo's data has more than a third, and less than a half.
            true => b.max_backlog_bytes(300).on_full(OnFull::Reject),
            false => b.max_backlog(5).on_full(OnFull::Reject),
        };
        let writers = [
            scene.process(patient().no_worker(), settings).await,
            scene.process(patient().no_worker(), settings).await,
        ];
        let saves = (0..20).map(|i| save(&writers[i % 2].repo, todo(&i.to_string(), "a")));
        let saves = join_all(saves.collect::<Vec<_>>()).await;
        let (accepted, refused): (Vec<_>, Vec<_>) =
            saves.into_iter().map(Result::unwrap).partition(Result::is_ok);
        assert_eq!(accepted.len(), if bytes { 2 } else { 5 });
        for error in refused {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::BacklogFull);
        }
        scene.worker().await.repo.flush().await.unwrap();
    }
});

over_both!(save_cached_writes_a_copy_and_no_row, |scene| {
    let (writer, reader) = (scene.writer().await, scene.writer().await);
    assert!(writer.repo.save_cached(&todo("1", "copy")).await.unwrap());
    assert_eq!(name(reader.repo.get("1").await.unwrap()), "copy");
    assert_eq!((scene.row("1").await, scene.gate.batches()), ("none".into(), 0));
    assert!(writer.repo.evict("1").await.unwrap(), "it is a copy");
    writer.repo.save(&todo("1", "dirty")).await.unwrap();
    assert!(!writer.repo.save_cached(&todo("1", "copy")).await.unwrap());
    assert_eq!(name(reader.repo.get("1").await.unwrap()), "dirty");
    // Nor beside a store-first write that is under way.
    let stored = scene.under(Strategy::WriteThrough).await;
    let held = scene.gate.hold(Point::BeforeApply, "2");
    let saving = save(&stored.repo, todo("2", "stored"));
    held.arrived().await;
    assert!(!writer.repo.save_cached(&todo("2", "copy")).await.unwrap());
    held.release();
    saving.await.unwrap().unwrap();
    assert_eq!(name(reader.repo.get("2").await.unwrap()), "stored");
    let kept = scene.under(Strategy::RedisOnly).await;
    let error = kept.repo.save_cached(&todo("3", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
});

/// How long it has waited before says nothing about how long the server needs to come back.
#[tokio::test]
async fn a_write_that_waited_for_room_is_as_patient_as_others_when_its_answer_is_lost() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let near = patient().timeout(Duration::from_secs(300)).no_worker();
    let near = near.namespace(&*scene.namespace);
    let near = near.connect(&proxy.url()).await.unwrap();
    let settings = scene.builder::<Todo>(&near).max_backlog(1);
    let repo = settings.on_full(OnFull::Block(Duration::from_secs(600))).build().await.unwrap();
    repo.save(&todo("1", "a")).await.unwrap();
    let asked = proxy.request_bytes();
    let saving = save(&repo, todo("2", "a"));
    while proxy.request_bytes() == asked {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    // Less than the interval of the probe, which uses the same connection.
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    // The attempt that was under way at that moment, and the one behind it.
    for _ in 0..2 {
        let answered = proxy.reply_bytes();
        while proxy.reply_bytes() == answered {
            tokio::task::yield_now().await;
        }
    }
    let cuts = proxy.cuts();
    proxy.set(Mode::CutAfter(0));
    while proxy.cuts() == cuts {
        tokio::task::yield_now().await;
    }
    let worker = scene.worker().await;
    saving.await.unwrap().unwrap().persisted().await.unwrap();
    worker.repo.flush().await.unwrap();
    assert_eq!((scene.row("2").await, scene.offset().await.applied), ("a".into(), 2));
}
