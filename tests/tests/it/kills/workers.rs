//! E1: workers are killed and paused all the time, over each database.

use std::cell::RefCell;

use futures_util::future::join_all;
use tests::{actor::Release, private::Kind};

use super::{Actor, History, Scene, pace, scene::Writing, seed, sized, tell, turn, until};

const WORKERS: usize = 3;
/// The claim of a worker that does not answer lasts 5 s.
const LONGER_THAN_A_CLAIM_MS: std::ops::Range<u64> = 5200..6500;
const PAUSE_MS: std::ops::Range<u64> = 50..1500;
const LONG_PAUSE_MS: std::ops::Range<u64> = 1500..3000;

enum Fault {
    Kill,
    Pause(std::ops::Range<u64>),
}

/// The faults that are still to happen, and what they met.
pub(super) struct Plan {
    faults: RefCell<Vec<Fault>>,
    kills: RefCell<usize>,
    pauses: RefCell<usize>,
    claims: RefCell<usize>,
}

impl Plan {
    pub(super) fn new(kills: usize, pauses: usize) -> Self {
        let mut faults: Vec<Fault> = (0..kills).map(|_| Fault::Kill).collect();
        faults.extend((0..pauses).map(|i| match i % 10 {
            0 => Fault::Pause(LONGER_THAN_A_CLAIM_MS),
            1 => Fault::Pause(LONG_PAUSE_MS),
            _ => Fault::Pause(PAUSE_MS),
        }));
        fastrand::shuffle(&mut faults);
        let (kills, pauses, claims) = Default::default();
        Self { faults: RefCell::new(faults), kills, pauses, claims }
    }

    /// Some workers at a time, and what happens to them. Answers those that are left.
    pub(super) async fn torment_all(&self, scene: &Scene) -> Vec<Actor> {
        join_all((0..WORKERS).map(|_| self.torment(scene))).await
    }

    /// One worker at a time, and what happens to it.
    async fn torment(&self, scene: &Scene) -> Actor {
        let mut worker = scene.worker();
        loop {
            let Some(fault) = self.faults.borrow_mut().pop() else { return worker };
            // Some are killed while they start.
            if fastrand::u8(..5) > 0 {
                until("a worker is ready", async || worker.is_ready()).await;
            }
            pace(0..250).await;
            assert!(worker.process.is_running(), "a worker ended by itself");
            match fault {
                Fault::Kill => {
                    worker.process.kill();
                    *self.kills.borrow_mut() += 1;
                    worker = scene.worker();
                    // Half of the time its partitions wait for the end of its claims.
                    if fastrand::bool() {
                        *self.claims.borrow_mut() += scene.forget_claims().await;
                    }
                }
                Fault::Pause(ms) => {
                    worker.process.signal("STOP");
                    pace(ms).await;
                    worker.process.signal("CONT");
                    *self.pauses.borrow_mut() += 1;
                }
            }
        }
    }
}

/// How much of it.
#[derive(Clone, Copy)]
struct Size {
    writes: usize,
    kills: usize,
    pauses: usize,
    conflicts: u64,
}

#[tokio::test]
async fn workers_that_are_killed_and_paused_lose_and_repeat_nothing() {
    let short = Size { writes: 20_000, kills: 100, pauses: 30, conflicts: 5 };
    let long = Size { writes: 100_000, kills: 500, pauses: 150, conflicts: 50 };
    torment("E1", Kind::Postgres, sized(short, long)).await;
}

/// Without a number of their own in PROTOCOL: what PostgreSQL gets in the short form, and in their own
/// short form enough to see that they work.
async fn torment_another(kind: Kind) {
    let short = Size { writes: 2000, kills: 12, pauses: 3, conflicts: 1 };
    let long = Size { writes: 20_000, kills: 100, pauses: 30, conflicts: 5 };
    torment(&format!("E1 {}", kind.name()), kind, sized(short, long)).await;
}

#[tokio::test]
async fn over_mariadb_they_lose_and_repeat_nothing() {
    torment_another(Kind::MariaDb).await;
}

#[tokio::test]
async fn over_mongodb_they_lose_and_repeat_nothing() {
    torment_another(Kind::MongoDb).await;
}

#[tokio::test]
async fn over_sqlite_they_lose_and_repeat_nothing() {
    torment_another(Kind::Sqlite).await;
}

async fn torment(experiment: &str, kind: Kind, size: Size) {
    let _turn = turn().await;
    seed();
    let mut scene = Scene::over(kind, &[]).await;
    for _ in 0..2 {
        let writes = size.writes / 8;
        let writing = Writing { embedded: false, tasks: 4, writes, pace_us: 3000 };
        scene.writer(Release::Old, writing);
    }
    let plan = Plan::new(size.kills, size.pauses);
    let workers = plan.torment_all(&scene).await;
    scene.progress().await;
    until("workers got in each other's way", async || {
        scene.forget_claims().await;
        History::new(scene.logs()).conflicts > size.conflicts
    })
    .await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(workers);
    let (kills, pauses) = (plan.kills.into_inner(), plan.pauses.into_inner());
    let claims = plan.claims.into_inner();
    tell(
        experiment,
        format_args!(
            "{} writes over {}, {kills} kills, {pauses} pauses, {claims} claims taken away, {} conflicts; \
             0 lost, 0 resurrected, 0 out of order",
            history.acknowledged,
            kind.name(),
            history.conflicts
        ),
    );
    assert!((kills, pauses) == (size.kills, size.pauses));
    assert!(history.acknowledged >= size.writes as u64);
    assert_eq!((history.unknown, history.failed), (0, 0), "Redis was there all the time");
    assert!(history.drainers > kills / 5, "the workers were killed before they drained");
}
