//! E16: processes that are told to end, and have a deadline for it: they drain, or say what is left.

use std::time::Duration;

use tests::actor::{END_MS, ENDED, Line};
use tokio::time::sleep;

use super::{Scene, seed, sized, tell, turn, until};

/// How many writes a process makes before it is told to end.
const WRITES: std::ops::Range<usize> = 20..150;
const PACE_US: u64 = 1000;

#[tokio::test]
async fn processes_that_are_told_to_end_drain_or_say_what_is_left() {
    let _turn = turn().await;
    seed();
    let rounds = sized(6, 40);
    let mut scene = Scene::new(&[]).await;
    let (mut drained, mut left_in_all) = (0, 0);
    for round in 0..rounds {
        // In one round of three the database does not answer while it ends.
        let is_paused = round % 3 == 2;
        let deadline_ms = if is_paused { "200" } else { "60000" };
        let mut actor = scene.writer_until_told(2, PACE_US, &[(END_MS, deadline_ms)]);
        let writes = fastrand::usize(WRITES);
        until("a process writes", async || actor.acknowledged() >= writes).await;
        if is_paused {
            scene.database.server.postgres().pause();
            let begin = actor.acknowledged();
            until("it writes on", async || actor.acknowledged() >= begin + 20).await;
        }
        sleep(Duration::from_millis(fastrand::u64(0..50))).await;
        actor.process.signal("TERM");
        assert!(actor.process.ends_well(), "it did not end, or failed, in round {round}");
        let log = actor.lines();
        let Some(Line::Event { name, text }) = log.last() else { panic!("{:?}", log.last()) };
        assert_eq!(name, ENDED);
        let left: u64 = text.parse().unwrap();
        assert_eq!(scene.backlog().await, left, "round {round}: it says what is left");
        if is_paused {
            assert!(left > 0, "round {round}: it cannot have drained");
            scene.database.server.postgres().resume();
        } else {
            assert_eq!(left, 0, "round {round}: there was time enough");
            drained += 1;
        }
        left_in_all += left;
    }
    let _worker = scene.worker();
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    tell(
        "E16",
        format_args!(
            "{rounds} SIGTERMs: {drained} processes drained all, the others left {left_in_all} records; {} \
             writes acknowledged",
            history.acknowledged
        ),
    );
    assert!(drained > 0 && left_in_all > 0 && history.failed == 0);
}
