//! Everything that can be killed is killed while it writes and drains; no acknowledged write is lost. By
//! default these are short; `tests/run campaign` runs their long form.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::campaign::{seed, sized, tell, turn};

mod database;
use database::Database;

mod scene;
use scene::{Actor, Scene};

mod history;
use history::History;

mod oracles;

mod aof;

mod clients;
mod databases;
mod failovers;
mod failpoints;
mod flushes;
mod power_loss;
mod redis;
mod releases;
mod workers;

/// A test hangs if what it waits for takes longer.
const HANG: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Waits for a condition.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    // The system's clock: a test may have paused that of tokio.
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < HANG, "waited too long until {what}");
        sleep(LOOK_INTERVAL).await;
    }
}

/// A pause between two faults. Nothing depends on how long it is.
async fn pace(ms: std::ops::Range<u64>) {
    sleep(Duration::from_millis(fastrand::u64(ms))).await;
}
