//! What all experiments of the campaign share: their turn, their size, their seed, and how they tell what
//! they counted. `tests/run campaign` runs the long form of each.

use std::{
    env,
    fmt::Display,
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

/// A test hangs if what it waits for takes longer.
pub(crate) const HANG: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// One of them at a time: each one uses the whole machine.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The number for the form that is run.
pub(crate) fn sized<T>(short: T, long: T) -> T {
    if env::var_os("CACHED_REPO_TEST_LONG").is_some() { long } else { short }
}

/// Seeds this thread's random numbers: with `CACHED_REPO_TEST_SEED`, or another one each time, which is told.
pub(crate) fn seed() -> u64 {
    let given = env::var("CACHED_REPO_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    fastrand::seed(seed);
    seed
}

/// A line of the campaign's summary: what an experiment (`E1` to `E16`) provoked and counted.
pub(crate) fn tell(experiment: &str, counts: impl Display) {
    println!("campaign {experiment}: {counts}");
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    // The system's clock: a test may have paused that of tokio.
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < HANG, "waited too long until {what}");
        sleep(LOOK_INTERVAL).await;
    }
}

/// Polls a future so often, and drops it unless it has its answer by then.
pub(crate) async fn polled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Panics with the first of what is wrong.
#[track_caller]
pub(crate) fn none(what: &str, offences: Vec<String>) {
    let some = offences.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(offences.is_empty(), "{} wrong {what}:\n  {some}", offences.len());
}
