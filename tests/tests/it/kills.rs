//! Everything that can be killed is killed while it writes and drains; no acknowledged write is lost. By
//! default these are short; `tests/run campaign` runs their long form.

use std::time::Duration;

use tokio::time::sleep;

use crate::campaign::{HANG, none, seed, sized, tell, turn, until};

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
mod outage;
mod power_loss;
mod redis;
mod releases;
mod signals;
mod workers;

/// A pause between two faults. Nothing depends on how long it is.
async fn pace(ms: std::ops::Range<u64>) {
    sleep(Duration::from_millis(fastrand::u64(ms))).await;
}
