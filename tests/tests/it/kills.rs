//! Everything that can be killed is killed while it writes and drains; no acknowledged write is lost.
//!
//! The numbers are those of the short form; `tests/run kills` runs the long one.

use std::{
    env,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

mod scene;
use scene::{Actor, Scene};

mod history;
use history::History;

mod oracles;

mod aof;

mod failovers;
mod failpoints;
mod flushes;
mod postgres;
mod power_loss;
mod redis;
mod workers;

/// A test hangs if what it waits for takes longer.
const HANG: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// One of these tests at a time: each one uses the whole machine.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The number for the form that is run.
fn sized<T>(short: T, long: T) -> T {
    if env::var_os("CACHED_REPO_TEST_LONG").is_some() { long } else { short }
}

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
