//! Keeps a process' duties running: draining, and copying.

use std::sync::Arc;

use super::{
    pauses::{PASSING_FIRST, PASSING_MAX},
    run, snapshot,
};
use crate::{
    clock::{Clock, Random},
    journal::Roster,
    retry::Backoff,
};

/// Drains the journals of a roster, and copies what it says, until it is stopped, whatever happens in
/// between.
pub(crate) async fn supervise(roster: Arc<Roster>, clock: Clock, random: Random) {
    let keeping = snapshot::keep(Arc::clone(&roster), random.clone());
    tokio::join!(keeping, keep_running(roster, clock, random));
}

async fn keep_running(roster: Arc<Roster>, clock: Clock, random: Random) {
    let mut backoff = Backoff::new(PASSING_FIRST, PASSING_MAX);
    while !roster.is_stopped() {
        let running = run(Arc::clone(&roster), clock, random.clone());
        let mut running = AbortOnDrop(tokio::spawn(running));
        if let Err(error) = (&mut running.0).await {
            tracing::error!(%error, "the worker panicked and is started again");
            tokio::time::sleep(backoff.wait(&random)).await;
        }
    }
}

/// A task that ends with whoever waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
