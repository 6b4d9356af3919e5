//! Changing the number of partitions is cut off, cannot go on, is done by two, or meets writers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cached_repo::{
    CachedEntity, Error, ErrorKind, Incident, Outcome, Repository, Strategy,
    failpoint::{self, Failure, Point as Step},
    store::StoreError,
};
use futures_util::future::join_all;
use tests::Point;
use tokio::task::JoinSet;

use super::{
    repartition::{LONG, build_error, check_all, repartition, save_all, with, worker_with},
    scene::{Scene, patient},
};
use crate::stage::{On, Over, Todo, name, todo};

/// Every step, in order.
pub(super) const STEPS: [Step; 8] = [
    Step::LayoutAnnounced,
    Step::PartitionSealed,
    Step::PartitionDrained,
    Step::PartitionClosed,
    Step::PartitionRaised,
    Step::PositionSet,
    Step::PartitionOpened,
    Step::LayoutChanged,
];

/// Cuts the change off behind a step; then it is made again.
async fn cut_off(on: On, over: Over, step: Step, failure: Failure) {
    let what = format!("{failure:?} at {step:?} over {on:?} {over:?}");
    let scene = Scene::new(on, over).await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    let first = with(&scene, 3, Strategy::WriteThrough).await;
    save_all(&old, "old").await;
    failpoint::arm(step, &scene.entity(), failure, 1);
    let moving = async { repartition(&scene, 5, LONG).await };
    match failure {
        Failure::Panic => {
            let moving = std::panic::AssertUnwindSafe(moving);
            let panicked = futures_util::FutureExt::catch_unwind(moving).await;
            assert!(panicked.is_err(), "{what}");
        }
        _ => assert_eq!(moving.await.unwrap_err().kind(), ErrorKind::StoreUnavailable, "{what}"),
    }
    assert_eq!(failpoint::left(step, &scene.entity()), 0, "{what}");
    if step == Step::LayoutChanged {
        check_all(&scene, &worker_with(&scene, 5).await, "old").await;
    } else {
        for partitions in [3, 5, 4] {
            let why = build_error(&scene, partitions).await;
            assert!(why.contains("is being changed from 3 to 5"), "{what}: {why}");
        }
        let other = repartition(&scene, 4, LONG).await.unwrap_err().to_string();
        assert!(other.contains("is being changed from 3 to 5"), "{what}: {other}");
    }
    // What is acknowledged in this state arrives as well.
    let mut acknowledged = HashMap::new();
    for (process, text) in [(&old, "behind"), (&first, "first")] {
        for id in 0..8 {
            let id = format!("{text}-{id}");
            match process.repo.save(&todo(&id, text)).await {
                Ok(_) => drop(acknowledged.insert(id, text)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration, "{what}: {error}"),
            }
        }
    }
    repartition(&scene, 5, LONG).await.unwrap();
    let new = worker_with(&scene, 5).await;
    check_all(&scene, &new, "old").await;
    for (id, text) in acknowledged {
        assert_eq!(name(new.repo.get(&*id).await.unwrap()), text, "{what}");
        assert_eq!(scene.row(&id).await, text, "{what}");
    }
    save_all(&new, "new").await;
    new.repo.flush().await.unwrap();
    check_all(&scene, &new, "new").await;
    assert_eq!(new.events.all(), [], "{what}: nothing was lost");
}

#[tokio::test]
async fn it_may_be_cut_off_at_each_step_and_is_made_again() {
    for step in STEPS {
        for (on, over) in [
            (On::Memory, Over::InProcess),
            (On::Sqlite, Over::Redis),
            (On::Postgres, Over::Redis),
            (On::Mongo, Over::Redis),
            (On::MongoStandalone, Over::Redis),
        ] {
            join_all([Failure::Error, Failure::Panic].map(|f| cut_off(on, over, step, f))).await;
        }
    }
}

/// An incident behind a step: what was acknowledged in an old partition is not what Redis lost.
#[tokio::test(start_paused = true)]
async fn redis_may_restart_at_each_step() {
    for step in STEPS {
        let scene = Scene::in_process().await;
        let old = with(&scene, 3, Strategy::WriteBehind).await;
        save_all(&old, "old").await;
        failpoint::arm(step, &scene.entity(), Failure::Error, 1);
        repartition(&scene, 5, LONG).await.unwrap_err();
        scene.host.suffer(Incident::Restart).await.unwrap();
        let late = old.repo.save(&todo("late", "late")).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Configuration, "{step:?}");
        repartition(&scene, 5, LONG).await.unwrap();
        let new = worker_with(&scene, 5).await;
        check_all(&scene, &new, "old").await;
        save_all(&new, "new").await;
        new.repo.flush().await.unwrap();
        check_all(&scene, &new, "new").await;
    }
}

/// Partitions that were never journaled are known to the store only, when they are closed.
#[tokio::test(start_paused = true)]
async fn without_a_journal_it_may_be_cut_off_as_well() {
    for step in [Step::LayoutAnnounced, Step::PartitionClosed, Step::PartitionRaised] {
        for is_wiped in [false, true] {
            let scene = Scene::in_process().await;
            save_all(&with(&scene, 3, Strategy::WriteThrough).await, "old").await;
            failpoint::arm(step, &scene.entity(), Failure::Error, 1);
            repartition(&scene, 5, LONG).await.unwrap_err();
            if is_wiped {
                scene.host.suffer(Incident::Wipe).await.unwrap();
            }
            repartition(&scene, 5, LONG).await.unwrap();
            let new = with(&scene, 5, Strategy::WriteThrough).await;
            check_all(&scene, &new, "old").await;
            save_all(&new, "new").await;
            check_all(&scene, &new, "new").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_journaled_after_it_began_is_drained_as_well() {
    let scene = Scene::in_process().await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    save_all(&old, "old").await;
    let (step, entity) = (Step::LayoutAnnounced, scene.entity());
    failpoint::arm(step, &entity, Failure::Delay(Duration::from_secs(1)), 1);
    let writing = async {
        while failpoint::left(step, &entity) > 0 {
            tokio::task::yield_now().await;
        }
        save_all(&old, "late").await;
    };
    let (moved, ()) = tokio::join!(repartition(&scene, 5, LONG), writing);
    moved.unwrap();
    check_all(&scene, &with(&scene, 5, Strategy::WriteBehind).await, "late").await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_drained_in_time_stays_where_it_is() {
    let scene = Scene::in_process().await;
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    save_all(&old, "old").await;
    for _ in 0..3 {
        scene.gate.fail(Point::BeforeApply, None, StoreError::transient("not now"));
    }
    let held = scene.gate.hold(Point::BeforeApply, None);
    let error = repartition(&scene, 5, Duration::from_secs(3)).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Dirty, true), "{error}");
    assert!(error.to_string().contains("of 3 old partitions"), "{error}");
    held.release();
    repartition(&scene, 5, LONG).await.unwrap();
    check_all(&scene, &worker_with(&scene, 5).await, "old").await;
}

/// A later version of the struct.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "todos")]
struct Later {
    #[cache(id)]
    id: String,
    rank: i64,
    more: String,
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_is_met_before_anything_is_changed() {
    let scene = Scene::in_process().await;
    let cache = scene.cache(patient().no_worker()).await;
    let later: Repository<Later> = scene.builder(&cache).partitions(3).build().await.unwrap();
    let (id, more) = ("1".to_owned(), "new".to_owned());
    later.save(&Later { id, rank: 1, more }).await.unwrap();
    let error = repartition(&scene, 5, LONG).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Dirty, false), "{error}");
    assert!(error.to_string().contains("a newer version of this struct"), "{error}");
    let old = with(&scene, 3, Strategy::WriteBehind).await;
    old.repo.save(&todo("2", "written")).await.unwrap();
}

over_both!(two_may_change_it_at_a_time, |scene| {
    let old = with(&scene, 4, Strategy::WriteBehind).await;
    save_all(&old, "old").await;
    let both = join_all([0, 1].map(|_| repartition(&scene, 6, LONG))).await;
    assert!(both.iter().any(Result::is_ok), "{both:?}");
    repartition(&scene, 6, LONG).await.unwrap();
    check_all(&scene, &worker_with(&scene, 6).await, "old").await;
});

const WRITERS: usize = 6;
/// Ids of one writer.
const IDS: usize = 5;
/// So many that each of a few partitions has some.
const OPENED: usize = 300;
/// So many writes are acknowledged before the number is changed.
const WRITES: usize = 200;

/// Writes until it is refused; answers what was acknowledged, and whether it may be that a later write
/// happened all the same.
async fn write(repo: Repository<Todo>, who: usize, progress: Arc<Progress>) -> (Ends, Error) {
    let mut ends = Ends::default();
    for round in 0.. {
        let (id, text) = (format!("{who}-{}", round % IDS), format!("{who} {round}"));
        match repo.save(&todo(&id, &text)).await {
            Ok(_) => {
                let is_first = ends.acknowledged.insert(id, text).is_none();
                progress.writes.fetch_add(1, Ordering::SeqCst);
                progress.ids.fetch_add(usize::from(is_first), Ordering::SeqCst);
            }
            Err(error) if error.kind() == ErrorKind::Configuration => {
                assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
                return (ends, error);
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                ends.unknown.entry(id).or_default().push(text);
            }
        }
    }
    unreachable!("it writes for ever")
}

/// What was acknowledged to all writers.
#[derive(Default)]
struct Progress {
    writes: AtomicUsize,
    ids: AtomicUsize,
}

impl Progress {
    fn is_enough(&self) -> bool {
        let ids = self.ids.load(Ordering::SeqCst);
        self.writes.load(Ordering::SeqCst) >= WRITES && ids == WRITERS * IDS
    }
}

#[derive(Default)]
struct Ends {
    acknowledged: HashMap<String, String>,
    unknown: HashMap<String, Vec<String>>,
}

async fn under_load(on: On, over: Over, from: u32, to: u32) {
    let what = format!("{from} to {to} over {on:?} {over:?}");
    let scene = Scene::new(on, over).await;
    let worker = worker_with(&scene, from).await;
    // Each partition is open, so that no recovery comes between the writers.
    let all: Vec<_> = (0..OPENED).map(|id| todo(&format!("first-{id}"), "first")).collect();
    worker.repo.save_many(&all).await.unwrap();
    worker.repo.flush().await.unwrap();
    let (mut writers, progress) = (JoinSet::new(), Arc::new(Progress::default()));
    for who in 0..WRITERS {
        let strategy = if who % 2 == 0 { Strategy::WriteBehind } else { Strategy::WriteThrough };
        let process = with(&scene, from, strategy).await;
        let progress = Arc::clone(&progress);
        writers.spawn(async move { write(process.repo.clone(), who, progress).await });
    }
    while !progress.is_enough() {
        tokio::task::yield_now().await;
    }
    repartition(&scene, to, LONG).await.unwrap();
    let new = worker_with(&scene, to).await;
    let mut acknowledged = 0;
    while let Some(ended) = writers.join_next().await {
        let (ends, error) = ended.unwrap();
        assert!(error.to_string().contains("number of partitions"), "{what}: {error}");
        for (id, text) in ends.acknowledged {
            let found = name(new.repo.get(&*id).await.unwrap());
            let unknown = ends.unknown.get(&id).is_some_and(|all| all.contains(&found));
            assert!(found == text || unknown, "{what}: {id} is {found}, acknowledged {text}");
            assert_eq!(scene.row(&id).await, found, "{what}");
            acknowledged += 1;
        }
    }
    assert_eq!(acknowledged, WRITERS * IDS, "{what}");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_the_old_number_are_refused_and_what_was_acknowledged_arrives() {
    for (on, over) in [
        (On::Sqlite, Over::InProcess),
        (On::Sqlite, Over::Redis),
        (On::Postgres, Over::InProcess),
        (On::Postgres, Over::Redis),
        (On::Mongo, Over::Redis),
    ] {
        for (from, to) in [(4, 9), (9, 2)] {
            under_load(on, over, from, to).await;
        }
    }
}
