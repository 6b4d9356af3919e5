//! Storms: networks that fail, futures that are dropped, servers without room, records that are refused.
//!
//! The numbers are those of the short form; `tests/run campaign` runs the long one.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::campaign::{seed, sized, tell, turn};

mod history;
use history::{Fate, History};

mod table;
use table::Audited;

mod blows;
mod network;

mod calls;
mod dropped;

mod drops;

mod processes;

mod signals;

mod outage;

mod poison;

mod memory;

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

/// How many tasks there are.
fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Panics with the first of what is wrong.
#[track_caller]
fn none(what: &str, offences: Vec<String>) {
    let some = offences.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(offences.is_empty(), "{} wrong {what}:\n  {some}", offences.len());
}
