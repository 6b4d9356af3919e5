//! One run: clients of several processes, their faults, and what must hold when they are over.

use std::{cell::RefCell, rc::Rc, time::Duration};

use cached_repo::{
    Cache, Incident, OnFull, Outcome, Repository, Strategy,
    store::{SharedStore, StoreError, memory},
};
use tests::{Gated, Point};
use tokio::{
    runtime::Builder,
    task::LocalSet,
    time::{sleep, timeout},
};

use super::{Histories, Todo, Value, value};
use crate::stage::todo;

const PARTITIONS: u32 = 2;
const IDS: usize = 3;
const CLIENTS: u64 = 3;
/// Operations of each client.
const OPERATIONS: usize = 6;
/// What every id is in the beginning.
const FIRST: u32 = 999;
/// Longer than a worker keeps its right to drain.
const PAUSED: Duration = Duration::from_secs(20);
/// Longer than anything waits.
const HANG: Duration = Duration::from_secs(60 * 60);

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Stores that fail and answers that are lost, restarts, workers that die, other strategies.
    Lossless,
    /// In between Redis loses what it had: a failover to a replica that lags, or everything.
    Lossy,
}

/// What the tasks of one run share. They all run on one thread.
struct World {
    random: RefCell<fastrand::Rng>,
    histories: RefCell<Histories<usize, Value>>,
    /// Everything that happened.
    trace: RefCell<Vec<String>>,
    gate: std::sync::Arc<Gated>,
    host: Cache,
    processes: RefCell<Vec<Process>>,
}

/// A process: its handle to the cache, and a repository.
#[derive(Clone)]
struct Process {
    cache: Cache,
    repo: Repository<Todo>,
    strategy: Strategy,
}

/// Runs a seed; answers what happened, in order.
pub(super) fn simulate(seed: u64, course: Course) -> Vec<String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let run = async {
            let world = Rc::new(World::new(seed).await);
            world.run(course).await;
            let trace = world.trace.take();
            (world.histories.borrow().offences(), trace)
        };
        match timeout(HANG, run).await {
            Ok((offences, trace)) if offences.is_empty() => trace,
            Ok((offences, trace)) => panic!(
                "seed {seed}, {course:?}: no order explains what was seen of {offences:?}\n{}",
                trace.join("\n")
            ),
            Err(_) => panic!("seed {seed}, {course:?}: it hangs"),
        }
    })
}

impl World {
    async fn new(seed: u64) -> Self {
        let random = RefCell::new(fastrand::Rng::with_seed(seed));
        let (histories, trace) = (RefCell::default(), RefCell::default());
        let host = Cache::builder().seeded(seed).no_worker().in_memory();
        let gate = Gated::new(memory());
        let processes = RefCell::default();
        let world = Self { random, histories, trace, gate, host, processes };
        // One drains whatever happens to the others.
        for strategy in [Strategy::WriteBehind, Strategy::WriteBehind] {
            world.start(strategy).await;
        }
        let strategy = world.any_strategy();
        world.start(strategy).await;
        world.open().await;
        world
    }

    /// Gives every partition a journal: what a failover brings back is noticed by that.
    async fn open(&self) {
        let first = self.processes.borrow()[0].clone();
        for id in 0..IDS {
            let _ = first.repo.save(&todo(&id.to_string(), &FIRST.to_string())).await.unwrap();
            self.histories.borrow_mut().start(id, Some(FIRST));
        }
        first.repo.flush().await.unwrap();
    }

    fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().usize(..bound)
    }

    fn any_strategy(&self) -> Strategy {
        let all = [
            Strategy::WriteBehind,
            Strategy::WriteThrough,
            Strategy::ReadThrough,
            Strategy::CacheAside,
        ];
        all[self.below(all.len())]
    }

    async fn start(&self, strategy: Strategy) {
        let seed = self.random.borrow_mut().u64(..);
        let cache = Cache::builder().seeded(seed).beside(&self.host);
        let on_full = [OnFull::WriteThrough, OnFull::Block(Duration::from_secs(1))][self.below(2)];
        let building = Repository::builder(&cache)
            .store(&(self.gate.clone() as SharedStore))
            .strategy(strategy)
            .partitions(PARTITIONS)
            .max_backlog(8)
            .on_full(on_full)
            .batch(3)
            .build();
        // One that meets a fault does not start.
        if let Ok(repo) = building.await {
            self.processes.borrow_mut().push(Process { cache, repo, strategy });
        }
    }

    fn tell(&self, what: String) {
        self.trace.borrow_mut().push(what);
    }

    async fn run(self: &Rc<Self>, course: Course) {
        self.phase(true).await;
        if course == Course::Lossy {
            self.gate.calm();
            self.lose().await;
            self.phase(false).await;
        }
        self.settle().await;
        self.look().await;
    }

    /// Clients and faults, until the clients are done.
    async fn phase(self: &Rc<Self>, replicates: bool) {
        let faults = {
            let world = Rc::clone(self);
            tokio::task::spawn_local(async move { world.faults(replicates).await })
        };
        let client = |number| {
            let world = Rc::clone(self);
            tokio::task::spawn_local(async move { world.client(number).await })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        for client in clients {
            client.await.unwrap();
        }
        faults.abort();
        drop(faults.await);
    }

    async fn client(&self, number: u64) {
        for turn in 0..OPERATIONS as u32 {
            self.pause(200).await;
            let process = self.any_process();
            let (id, name) = (self.below(IDS), number as u32 * 100 + turn);
            match self.below(10) {
                0..4 => self.write(&process, id, Some(name)).await,
                4 => self.write(&process, id, None).await,
                5 => drop(process.repo.evict(id.to_string()).await),
                6 => drop(timeout(Duration::from_secs(5), process.repo.flush()).await),
                _ => self.read(&process, id).await,
            }
        }
    }

    fn any_process(&self) -> Process {
        let count = self.processes.borrow().len();
        let index = self.below(count);
        self.processes.borrow()[index].clone()
    }

    async fn pause(&self, longest_ms: usize) {
        sleep(Duration::from_millis(self.below(longest_ms) as u64)).await;
    }

    async fn write(&self, process: &Process, id: usize, name: Value) {
        let begun = self.histories.borrow_mut().begin(id, Some(name));
        let written = match name {
            Some(name) => process.repo.save(&todo(&id.to_string(), &name.to_string())).await,
            None => process.repo.delete(id.to_string()).await,
        };
        let strategy = process.strategy;
        self.tell(format!("{strategy} writes {name:?} to {id}: {:?}", written.as_ref().map(drop)));
        match written {
            Ok(_) => self.histories.borrow_mut().end(begun, None),
            // It never happens, as if it had not begun.
            Err(error) if error.outcome() == Outcome::NotApplied => {
                self.histories.borrow_mut().forget(begun);
            }
            Err(_) => {}
        }
    }

    async fn read(&self, process: &Process, id: usize) {
        let begun = self.histories.borrow_mut().begin(id, None);
        let read = process.repo.get(id.to_string()).await;
        let strategy = process.strategy;
        match read {
            Ok(found) => {
                let value = value(found);
                self.tell(format!("{strategy} reads {value:?} from {id}"));
                self.histories.borrow_mut().end(begun, Some(value));
            }
            Err(error) => {
                self.tell(format!("{strategy} cannot read {id}: {error}"));
                self.histories.borrow_mut().forget(begun);
            }
        }
    }

    /// One fault after another, for as long as clients are at work.
    async fn faults(&self, replicates: bool) {
        loop {
            self.pause(300).await;
            let fault = self.below(11);
            self.tell(format!("fault {fault}"));
            match fault {
                0 => self.gate.fail(Point::BeforeApply, None, StoreError::transient("a fault")),
                1 => self.gate.fail(Point::AfterApply, None, StoreError::unknown("a fault")),
                2 => self.gate.fail(Point::AfterLedger, None, StoreError::unknown("a fault")),
                3 => {
                    self.gate.down();
                    self.pause(500).await;
                    self.gate.up();
                }
                4 => self.host.suffer(Incident::Restart).await.unwrap(),
                5 => {
                    let strategy = self.any_strategy();
                    self.start(strategy).await;
                }
                6 => self.gate.slow(Duration::from_millis(self.below(100) as u64)),
                7 => self.hold().await,
                8 if replicates => self.host.suffer(Incident::Replicate).await.unwrap(),
                // The first one stays.
                _ => {
                    let count = self.processes.borrow().len();
                    if count > 1 {
                        let index = 1 + self.below(count - 1);
                        drop(self.processes.borrow_mut().remove(index));
                    }
                }
            }
        }
    }

    /// One call of a store is stopped in its tracks for longer than a worker keeps its right to drain.
    async fn hold(&self) {
        let points =
            [Point::BeforeApply, Point::AfterApply, Point::BeforeLedger, Point::AfterLedger];
        let held = self.gate.hold(points[self.below(points.len())], None);
        tokio::task::spawn_local(async move {
            sleep(PAUSED).await;
            held.release();
        });
    }

    /// Redis loses something, and whatever the ids are then is what the rest begins with.
    async fn lose(&self) {
        let incident = [Incident::FailOver, Incident::Wipe][self.below(2)];
        self.tell(format!("{incident:?}"));
        self.host.suffer(incident).await.unwrap();
        self.settle().await;
        let first = self.processes.borrow()[0].clone();
        for id in 0..IDS {
            let left = value(first.repo.get(id.to_string()).await.unwrap());
            self.tell(format!("{id} is {left:?}"));
            self.histories.borrow_mut().start(id, left);
        }
    }

    /// Everything works again, and everything is drained.
    async fn settle(&self) {
        self.gate.calm();
        let first = self.processes.borrow()[0].clone();
        while first.repo.flush().await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(first.cache.backlog().await.unwrap(), 0);
    }

    /// Every process sees the same, and so does who reads the store.
    async fn look(&self) {
        let processes = self.processes.borrow().clone();
        for id in 0..IDS {
            for process in &processes {
                self.read(process, id).await;
            }
            let cache = Cache::builder().no_worker().in_memory();
            let rows: Repository<Todo> = Repository::builder(&cache)
                .store(&(self.gate.clone() as SharedStore))
                .strategy(Strategy::CacheAside)
                .partitions(PARTITIONS)
                .build()
                .await
                .unwrap();
            let begun = self.histories.borrow_mut().begin(id, None);
            let row = value(rows.get(id.to_string()).await.unwrap());
            self.tell(format!("the row of {id} is {row:?}"));
            self.histories.borrow_mut().end(begun, Some(row));
        }
    }
}
