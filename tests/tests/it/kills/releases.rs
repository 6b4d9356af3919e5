//! E15: processes of two releases write and drain side by side, and for a while the table lacks the later
//! one's column; that is waited for, nothing is lost, and nothing becomes a dead letter.

use std::time::Duration;

use tests::actor::{Line, Log, Release};
use tokio::time::sleep;

use super::{Actor, Scene, pace, scene::Writing, seed, sized, tell, turn, until};

#[tokio::test]
async fn processes_of_two_releases_lose_nothing_while_a_column_is_missing() {
    let _turn = turn().await;
    seed();
    let (rounds, missing) = sized((2, Duration::from_secs(1)), (12, Duration::from_secs(10)));
    let mut scene = Scene::new(&[]).await;
    scene.database.has_note(true).await;
    for release in [Release::Old, Release::New] {
        scene.writer(release, Writing { embedded: false, tasks: 2, writes: 500, pace_us: 5000 });
    }
    for round in 0..rounds {
        // Anew every time: one that has waited often waits for longer.
        let (mut older, mut newer) = (scene.worker_of(Release::Old), scene.worker_of(Release::New));
        // It does not start without its column.
        until("the newer worker is ready", async || newer.is_ready()).await;
        // What the later release journaled, the earlier one leaves alone, and says so.
        until("the older worker waits for the newer one", async || {
            newer.process.signal("STOP");
            scene.progress().await;
            scene.forget_claims().await;
            pace(100..200).await;
            newer.process.signal("CONT");
            paused(&older) > 0
        })
        .await;
        let before = paused(&newer);
        scene.database.has_note(false).await;
        scene.progress().await;
        until("the missing column is noticed", async || {
            scene.forget_claims().await;
            paused(&newer) > before
        })
        .await;
        // Once for as long as a migration may take.
        sleep(if round == 0 { missing } else { Duration::ZERO }).await;
        scene.database.has_note(true).await;
        // At most 15 s: for so long a worker waits that a person was to mend something.
        if round == 0 {
            until("it goes on", async || resumed(&newer)).await;
        }
        older.process.kill();
        newer.process.kill();
    }
    let newer = scene.worker_of(Release::New);
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(newer);
    let (paused, resumed) = (history.events("Paused"), history.events("Resumed"));
    tell(
        "E15",
        format_args!(
            "{rounds} times two releases side by side and a column that was missing, the first time for \
             {missing:?}; {paused} times paused, {resumed} times resumed, {} writes, 0 lost, 0 dead letters",
            history.acknowledged
        ),
    );
    assert_eq!((history.unknown, history.failed, history.events("DeadLettered")), (0, 0, 0));
    assert!(paused >= 2 * rounds && resumed > 0, "nothing was waited for");
}

/// How often a worker said that it waits for something.
fn paused(worker: &Actor) -> usize {
    told(worker, "Paused")
}

fn resumed(worker: &Actor) -> bool {
    told(worker, "Resumed") > 0
}

fn told(worker: &Actor, event: &str) -> usize {
    let is_it = |line: &Line| matches!(line, Line::Event { name, .. } if name == event);
    Log::read(&worker.log).iter().filter(|line| is_it(line)).count()
}
