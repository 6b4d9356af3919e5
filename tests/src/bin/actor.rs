//! A process of the kill tests: it writes or drains, and logs what it did, until it is stopped or killed.

// It has nobody to tell but the one who reads its output.
#![allow(clippy::unwrap_used)]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cached_repo::{Cache, Repository, Shutdown};
use tests::actor::{COLD, END_MS, HOT, Item, Line, Log, Orders, Role, arm, connect};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

const RETRY_INTERVAL: Duration = Duration::from_millis(50);
const REPORT_INTERVAL: Duration = Duration::from_millis(20);
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// One write in so many is a delete.
const DELETE_EVERY: u8 = 5;
/// One write in so many is of a cold id.
const COLD_EVERY: u8 = 4;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut termination = signal(SignalKind::terminate()).unwrap();
    let orders: Orders = serde_json::from_str(&env::args().nth(1).unwrap()).unwrap();
    let log = Log::new(&orders.log);
    arm();
    let (cache, repository) = connected(&orders, &log).await;
    log.write(&Line::Ready);
    let is_told = Arc::new(AtomicBool::new(false));
    let mut working =
        tokio::spawn(work(orders, cache.clone(), repository, log.clone(), is_told.clone()));
    tokio::select! {
        ended = &mut working => ended.unwrap(),
        _ = termination.recv() => {
            is_told.store(true, SeqCst);
            end(&cache, working, &log).await;
        }
    }
}

/// Drains, or says what is left. Writers make an end of what they have begun before that.
async fn end(cache: &Cache, mut working: JoinHandle<()>, log: &Log) {
    let deadline =
        env::var(END_MS).map_or(SHUTDOWN_MAX, |ms| Duration::from_millis(ms.parse().unwrap()));
    // One that only drains does so until the shutdown.
    drop(timeout(deadline, &mut working).await);
    let left = match cache.shutdown(deadline).await.unwrap() {
        Shutdown::Drained => 0,
        Shutdown::Left(left) => left,
    };
    log.write(&Line::ended(left));
}

async fn work(
    orders: Orders,
    cache: Cache,
    repository: Repository<Item>,
    log: Log,
    is_told: Arc<AtomicBool>,
) {
    let report = report(repository.clone(), log.clone());
    match orders.role {
        Role::Worker | Role::Reader => {
            tokio::join!(cache.drain(), report);
        }
        Role::Writer { embedded, .. } => {
            let reporting = tokio::spawn(report);
            write_all(&orders, &repository, &log, &is_told).await;
            if embedded && !is_told.load(SeqCst) {
                // What is left is for others to drain.
                drop(cache.shutdown(SHUTDOWN_MAX).await);
            }
            reporting.abort();
            log.write(&Line::counts(&repository.counts()));
        }
    }
}

/// Tries until the servers answer, as a supervisor would by starting the process again.
async fn connected(orders: &Orders, log: &Log) -> (Cache, Repository<Item>) {
    loop {
        match connect(orders, log).await {
            Ok(connected) => return connected,
            Err(error) => {
                eprintln!("not connected: {error}");
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

async fn report(repository: Repository<Item>, log: Log) {
    let mut last = repository.counts();
    loop {
        sleep(REPORT_INTERVAL).await;
        let counts = repository.counts();
        let told = (counts.drained, counts.drain_conflicts, counts.drain_failures);
        if told != (last.drained, last.drain_conflicts, last.drain_failures) {
            log.write(&Line::counts(&counts));
            last = counts;
        }
    }
}

async fn write_all(
    orders: &Orders,
    repository: &Repository<Item>,
    log: &Log,
    is_told: &Arc<AtomicBool>,
) {
    let Role::Writer { tasks, .. } = orders.role else { return };
    let mut writing = JoinSet::new();
    for task in 0..tasks as u64 {
        writing.spawn(write(
            orders.clone(),
            repository.clone(),
            log.clone(),
            is_told.clone(),
            task,
        ));
    }
    while let Some(ended) = writing.join_next().await {
        ended.unwrap();
    }
}

async fn write(
    orders: Orders,
    repository: Repository<Item>,
    log: Log,
    is_told: Arc<AtomicBool>,
    task: u64,
) {
    let Role::Writer { seed, writes, pace_us, .. } = orders.role else { return };
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + task);
    for turn in 0.. {
        if is_told.load(SeqCst) || turn >= writes && orders.stop.exists() {
            return;
        }
        let id = match random.u8(..COLD_EVERY) {
            0 => HOT + random.i64(0..COLD),
            _ => random.i64(0..HOT),
        };
        let name = (random.u8(..DELETE_EVERY) > 0).then(|| format!("{seed}-{task}-{turn}"));
        let written = match &name {
            Some(name) => repository.save(&Item { id, name: name.clone() }).await,
            None => repository.delete(id).await,
        };
        log.write(&Line::written(id, name, written));
        sleep(Duration::from_micros(random.u64(..=2 * pace_us))).await;
    }
}
