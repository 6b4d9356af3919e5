//! A journal without room, and writes that go to the store instead: in order, and back again.

use cached_repo::{Cache, Durable, ErrorKind, OnFull, Outcome, RepositoryBuilder};
use tests::{Mode, Point, Proxy, servers};

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, Todo, name, save, todo};

fn settings(builder: RepositoryBuilder<Todo>) -> RepositoryBuilder<Todo> {
    builder.max_backlog(2).on_full(OnFull::WriteThrough)
}

/// A writer whose journal is full, of the ids `1` and `2`.
async fn full(scene: &Scene) -> Process {
    scene.open().await;
    let writer = scene.process(patient().no_worker(), settings).await;
    for id in ["1", "2"] {
        let saved = writer.repo.save(&todo(id, "journaled")).await.unwrap();
        assert_eq!(saved.durable(), Durable::Journaled);
    }
    writer
}

over_both!(what_has_no_room_in_the_journal_is_written_through, |scene| {
    let writer = full(&scene).await;
    let saved = writer.repo.save(&todo("3", "through")).await.unwrap();
    assert_eq!((saved.durable(), saved.token()), (Durable::Stored, None));
    saved.persisted().await.unwrap();
    assert_eq!((scene.row("3").await, scene.row("1").await), ("through".into(), "none".into()));
    let loads = scene.gate.loads();
    assert_eq!(name(writer.repo.get("3").await.unwrap()), "through");
    assert_eq!(scene.gate.loads(), loads, "it was put into the cache");
    let _ = writer.repo.delete("3").await.unwrap();
    assert_eq!(scene.row("3").await, "none");
    // Once there is room, it is journaled again.
    scene.worker().await.repo.flush().await.unwrap();
    let saved = writer.repo.save(&todo("3", "behind")).await.unwrap();
    assert_eq!(saved.durable(), Durable::Journaled);
});

over_both!(a_write_through_of_a_journaled_entity_comes_behind_it, |scene| {
    let writer = full(&scene).await;
    let saving = save(&writer.repo, todo("1", "later"));
    let worker = scene.worker().await;
    let saved = saving.await.unwrap().unwrap();
    saved.persisted().await.unwrap();
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.row("1").await, "later");
    assert_eq!(scene.written("1"), ["journaled", "later"]);
    assert_eq!(name(writer.repo.get("1").await.unwrap()), "later");
});

over_both!(writes_are_refused_where_neither_journal_nor_store_takes_them, |scene| {
    let writer = full(&scene).await;
    scene.gate.down();
    let error = writer.repo.save(&todo("3", "nowhere")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::StoreUnavailable, Outcome::NotApplied));
    assert!(error.is_retryable());
    scene.gate.up();
    scene.worker().await.repo.flush().await.unwrap();
    let rows = [scene.row("1").await, scene.row("2").await, scene.row("3").await];
    assert_eq!(rows, ["journaled", "journaled", "none"]);
});

/// While a write through is under way a journaled write of the entity waits, with room or without.
#[tokio::test]
async fn a_journaled_write_waits_for_a_write_through() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let writer = full(&scene).await;
    let held = scene.gate.hold(Point::BeforeApply, "3");
    let through = save(&writer.repo, todo("3", "through"));
    held.arrived().await;
    let wide = scene.process(patient().no_worker(), |builder| builder.max_backlog(100)).await;
    let behind = save(&wide.repo, todo("3", "behind"));
    let other = wide.repo.save(&todo("4", "other")).await.unwrap();
    assert_eq!(other.durable(), Durable::Journaled);
    assert!(!behind.is_finished());
    held.release();
    through.await.unwrap().unwrap();
    assert_eq!(behind.await.unwrap().unwrap().durable(), Durable::Journaled);
    scene.worker().await.repo.flush().await.unwrap();
    assert_eq!(scene.written("3"), ["through", "behind"]);
}

#[tokio::test]
async fn an_attempt_that_may_be_on_its_way_is_not_written_through() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    full(&scene).await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let near = Cache::builder().no_worker().namespace(&*scene.namespace);
    let near = near.connect(&proxy.url()).await.unwrap();
    let repo = settings(scene.builder(&near)).build().await.unwrap();
    proxy.set(Mode::BlackHole);
    let saving = save(&repo, todo("3", "lost"));
    while proxy.swallowed_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    proxy.set(Mode::Pass);
    proxy.cut();
    let error = saving.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::BacklogFull, Outcome::Unknown));
    assert_eq!(scene.row("3").await, "none");
    // The next one is another write.
    let saved = repo.save(&todo("3", "through")).await.unwrap();
    assert_eq!((saved.durable(), scene.row("3").await), (Durable::Stored, "through".into()));
}
