//! Storms: networks that fail, futures that are dropped, a Redis without room, records that are refused.
//!
//! The numbers are those of the short form; `tests/run campaign` runs the long one.

use crate::campaign::{HANG, none, polled, seed, sized, tell, turn, until};

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

mod poison;

mod given_pool;
mod pools;

mod memory;

/// How many tasks there are.
fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
