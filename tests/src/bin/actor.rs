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

use cached_repo::{Cache, Outcome, Repository, Result, Saved, Shutdown};
use tests::actor::{
    Answer, Burden, COLD, END_MS, HOT, Item, Line, Log, Named, NewItem, Operation, Orders, Release,
    Role, arm, connect,
};
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
/// After so many writes of its first task a process has everything that it needs.
const WARM: usize = 100;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let orders: Orders = serde_json::from_str(&env::args().nth(1).unwrap()).unwrap();
    match orders.release {
        Release::Old => run::<Item>(orders).await,
        Release::New => run::<NewItem>(orders).await,
    }
}

async fn run<E: Named>(orders: Orders) {
    let mut termination = signal(SignalKind::terminate()).unwrap();
    let log = Log::new(&orders.log);
    arm();
    let (cache, repository) = connected::<E>(&orders, &log).await;
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

async fn work<E: Named>(
    orders: Orders,
    cache: Cache,
    repository: Repository<E>,
    log: Log,
    is_told: Arc<AtomicBool>,
) {
    let report = report(repository.clone(), log.clone());
    match orders.role {
        Role::Worker | Role::Reader => {
            tokio::join!(cache.drain(), report);
        }
        Role::Writer { embedded, tasks, .. } => {
            let reporting = tokio::spawn(report);
            let task = |task| {
                write(orders.clone(), repository.clone(), log.clone(), is_told.clone(), task)
            };
            all((0..tasks as u64).map(task)).await;
            if embedded && !is_told.load(SeqCst) {
                // What is left is for others to drain.
                drop(cache.shutdown(SHUTDOWN_MAX).await);
            }
            reporting.abort();
            log.write(&Line::Burden(Burden::now()));
            log.write(&Line::counts(&repository.counts()));
        }
        Role::Client { tasks, .. } => {
            let task = |task| operate(orders.clone(), repository.clone(), log.clone(), task);
            all((0..tasks).map(task)).await;
        }
    }
}

/// Tries until the servers answer, as a supervisor would by starting the process again.
async fn connected<E: Named>(orders: &Orders, log: &Log) -> (Cache, Repository<E>) {
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

async fn report<E: Named>(repository: Repository<E>, log: Log) {
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

/// Runs tasks until each of them has ended.
async fn all<F: Future<Output = ()> + Send + 'static>(tasks: impl Iterator<Item = F>) {
    let mut running: JoinSet<()> = tasks.collect();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

async fn write<E: Named>(
    orders: Orders,
    repository: Repository<E>,
    log: Log,
    is_told: Arc<AtomicBool>,
    task: u64,
) {
    let Role::Writer { number, seed, writes, pace_us, .. } = orders.role else { return };
    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(task));
    for turn in 0.. {
        if is_told.load(SeqCst) || turn >= writes && orders.stop.exists() {
            return;
        }
        if (task, turn) == (0, WARM) {
            log.write(&Line::Burden(Burden::now()));
        }
        let id = match random.u8(..COLD_EVERY) {
            0 => HOT + random.i64(0..COLD),
            _ => random.i64(0..HOT),
        };
        let name = (random.u8(..DELETE_EVERY) > 0).then(|| format!("{number}-{task}-{turn}"));
        let written = written(&repository, id, name.as_deref()).await;
        log.write(&Line::written(id, name, written));
        sleep(Duration::from_micros(random.u64(..=2 * pace_us))).await;
    }
}

async fn written<E: Named>(
    repository: &Repository<E>,
    id: i64,
    name: Option<&str>,
) -> Result<Saved> {
    match name {
        Some(name) => repository.save(&E::new(id, name)).await,
        None => repository.delete(id).await,
    }
}

/// One client: an operation after the other. What nobody knows the end of is the last thing that its
/// number did, and it goes on under another one.
async fn operate<E: Named>(orders: Orders, repository: Repository<E>, log: Log, task: u64) {
    let Role::Client { number, seed, tasks, operations, ids } = orders.role else { return };
    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(task));
    let mut client = number * tasks + task;
    for turn in 0.. {
        if turn >= operations && orders.stop.exists() {
            return;
        }
        let id = random.i64(0..ids);
        let operation = match random.u8(..10) {
            0..4 => Operation::Save(format!("{number}-{task}-{turn}")),
            4 => Operation::Delete,
            5 => {
                // The next read loads it, unless it is dirty.
                repository.evict(id).await.unwrap();
                continue;
            }
            _ => Operation::Get,
        };
        log.write(&Line::Began { client, id, operation: operation.clone() });
        match perform(&repository, id, operation, &log).await {
            Some(answer) => log.write(&Line::Ended { client, answer }),
            None => client += CLIENTS_MAX,
        }
        sleep(Duration::from_micros(random.u64(..2000))).await;
    }
}

/// Without an answer where nobody knows whether it took place.
async fn perform<E: Named>(
    repository: &Repository<E>,
    id: i64,
    operation: Operation,
    log: &Log,
) -> Option<Answer> {
    let name = match operation {
        Operation::Get => {
            let found = repository.get(id).await.ok();
            return Some(found.map_or(Answer::NotDone, |item| {
                Answer::Found(item.map(|item| item.name().to_owned()))
            }));
        }
        Operation::Save(name) => Some(name),
        Operation::Delete => None,
    };
    let written = written(repository, id, name.as_deref()).await;
    let answer = match &written {
        Ok(_) => Some(Answer::Done),
        Err(error) if error.outcome() == Outcome::NotApplied => Some(Answer::NotDone),
        Err(_) => None,
    };
    log.write(&Line::written(id, name, written));
    answer
}

/// More than there are at a time.
const CLIENTS_MAX: u64 = 1000;
