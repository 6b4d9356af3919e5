//! Workers are killed and paused all the time.

use std::cell::RefCell;

use futures_util::future::join_all;
use tests::servers::PrivatePostgres;

use super::{Actor, History, Scene, pace, seed, sized, tell, turn, until};

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
struct Plan {
    faults: RefCell<Vec<Fault>>,
    kills: RefCell<usize>,
    pauses: RefCell<usize>,
    claims: RefCell<usize>,
}

impl Plan {
    fn new(kills: usize, pauses: usize) -> Self {
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

    /// One worker at a time, and what happens to it.
    async fn torment(&self, scene: &Scene) -> Actor {
        let mut worker = scene.worker();
        loop {
            let Some(fault) = self.faults.borrow_mut().pop() else { return worker };
            // Some are killed while they start.
            if fastrand::u8(..5) > 0 {
                until("a worker is ready", async || worker.is_ready()).await;
            }
            pace(0..300).await;
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

#[tokio::test]
async fn workers_that_are_killed_and_paused_lose_and_repeat_nothing() {
    let _turn = turn().await;
    seed();
    let (writes, kills, pauses) = sized((20_000, 100, 30), (100_000, 500, 150));
    let mut scene = Scene::new(&[], PrivatePostgres::start().await).await;
    scene.write([false, false], writes / 4, 3000);
    let plan = Plan::new(kills, pauses);
    let workers = join_all((0..WORKERS).map(|_| plan.torment(&scene))).await;
    scene.progress().await;
    until("workers got in each other's way", async || {
        scene.forget_claims().await;
        History::new(scene.logs()).conflicts > 0
    })
    .await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(workers);
    let (kills, pauses) = (plan.kills.into_inner(), plan.pauses.into_inner());
    let claims = plan.claims.into_inner();
    let writes = history.acknowledged;
    tell(
        "E1",
        format_args!("{writes} writes, {kills} kills, {pauses} pauses, {claims} claims taken away"),
    );
    assert!(kills >= 100 && pauses >= 30 && history.acknowledged >= 20_000);
    assert_eq!((history.unknown, history.failed), (0, 0), "Redis was there all the time");
    assert!(history.drainers > kills / 5, "the workers were killed before they drained");
}
