//! E2: a drain or a recovery that fails, waits or panics at any of its points loses and repeats nothing.
//!
//! That a process dies there is tested in `kills/failpoints.rs`.

use std::time::Duration;

use cached_repo::failpoint::{Failure, Point};
use futures_util::future::join_all;

use crate::{
    campaign::{sized, tell},
    stage::{DATABASES, On},
};

mod scene;
use scene::Scene;

const ROUNDS: usize = 3;
const WRITES: usize = 20;

/// A test for each point, with every failure over every database.
macro_rules! at_each_point {
    ($($name:ident $point:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            at_point(Point::$point).await;
        }
    )*};
}

at_each_point! {
    p1_a_partition_is_claimed Claimed,
    p2_the_position_is_read PositionRead,
    p3_the_records_are_read RecordsRead,
    p4_the_position_is_moved PositionMoved,
    p5_p6_the_rows_are_written RowsWritten,
    p7_p8_the_batch_is_committed Committed,
    p9_p10_the_batch_is_acknowledged Acknowledged,
    p11_the_dead_letters_are_written LettersWritten,
    p12_the_ticket_is_placed TicketPlaced,
    p12_the_epoch_is_raised EpochRaised,
    p12_the_journal_is_repaired Repaired,
}

/// Every failure over every database; PROTOCOL's number of rounds over PostgreSQL in the long form.
async fn at_point(point: Point) {
    let delay = Failure::Delay(Duration::from_millis(sized(40, 200)));
    let mut runs = 0;
    for on in DATABASES.into_iter().chain([On::Mongo, On::MongoStandalone]) {
        let rounds = if on == On::Postgres { sized(ROUNDS, 15) } else { ROUNDS };
        let failures = [Failure::Error, delay, Failure::Panic];
        runs += failures.len() * rounds;
        join_all(failures.map(|failure| nothing_is_lost(point, failure, on, rounds))).await;
    }
    tell(
        &format!("E2 {point:?}"),
        format_args!("{runs} errors, delays and panics of a worker over 5 databases, nothing lost"),
    );
}

/// Writes while a worker meets the failure again and again; afterwards everything is where it belongs.
async fn nothing_is_lost(point: Point, failure: Failure, on: On, rounds: usize) {
    let mut scene = Scene::new(point, failure, on).await;
    for round in 1..=rounds {
        scene.flush().await;
        if Scene::is_of_a_recovery(point) {
            scene.raise_epoch().await;
        } else {
            scene.meet(round);
        }
        // Of the first batch, which is the one that meets the failure.
        scene.write_poison().await;
        scene.write(WRITES).await;
        scene.was_met().await;
    }
    scene.check().await;
}
