//! E8: networks between processes, Redis and the database that fail in every way that TCP can.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    time::Duration,
};

use cached_repo::{Cache, ErrorKind, Outage, Repository, Strategy, store};
use futures_util::future::join_all;
use tests::{Mode, Proxy, actor::Item, isolate, servers};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Fate, HANG, History, alive, blows::Deck, none, seed, sized, table::Table, tell, turn, until,
};
use crate::{databases::On, stage::STORE_FIRST, write_behind::scene::Events};

const IDS: i64 = 24;
const PARTITIONS: u32 = 4;
/// Of each process.
const CLIENTS: usize = 2;
/// That each client makes at least in one storm.
const OPERATIONS: usize = 30;
/// In one storm.
const FAULTS: usize = 6;
pub(super) const REDIS_TIMEOUT: Duration = Duration::from_millis(100);
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
const INTENT_GRACE: Duration = Duration::from_secs(1);
/// How long a fault lasts at most: nothing depends on it.
const FAULT_MAX_MS: std::ops::Range<u64> = 50..400;
/// Longer than a journaled write is tried again of which nobody knows.
const LONG_FAULT_MS: std::ops::Range<u64> = 2200..2600;

/// What the storms of one run came to.
#[derive(Default)]
struct Sum {
    storms: usize,
    writes: usize,
    pending: usize,
    unknown: usize,
    failed: usize,
    reads: usize,
    failed_reads: usize,
    changes: usize,
    longest: Duration,
}

/// A process of one storm.
struct Process {
    cache: Cache,
    repo: Repository<Item>,
    events: Events,
}

struct Storm {
    table: Table,
    namespace: String,
    redis: Proxy,
    database: Proxy,
    history: History,
    processes: Vec<Process>,
    /// How many operations have ended, and how many reads failed.
    ended: Cell<usize>,
    reads: Cell<usize>,
    failed_reads: Cell<usize>,
    longest: Cell<Duration>,
    is_over: Cell<bool>,
    offences: RefCell<Vec<String>>,
}

#[tokio::test]
async fn no_fault_of_a_network_loses_a_write_or_hangs_a_call() {
    let _turn = turn().await;
    seed();
    let storms = sized(6, 40);
    let baseline = alive();
    let (mut deck, mut sum) = (Deck::default(), Sum::default());
    for number in 0..storms {
        let on = if number % 3 == 2 { On::MySql } else { On::Postgres };
        let storm = Storm::new(on, &strategies(number)).await;
        storm.rage(&mut deck, number % 2 == 0).await;
        storm.calm().await;
        storm.check(&mut sum).await;
        drop(storm);
        until("no task is left", async || alive() <= baseline).await;
    }
    let Sum { writes, pending, unknown, failed, reads, failed_reads, changes, .. } = sum;
    let timeouts = sum.longest.as_secs_f64() / (REDIS_TIMEOUT + STORE_TIMEOUT).as_secs_f64();
    tell(
        "E8",
        format_args!(
            "{} storms of {FAULTS} faults, each kind met {} times or more; {writes} writes acknowledged \
             ({pending} pending), {unknown} unknown, {failed} failed; {reads} reads, {failed_reads} failed; \
             {changes} changes of rows; the longest call took {timeouts:.1} of its timeouts",
            sum.storms,
            deck.met.values().min().unwrap(),
        ),
    );
    let missing = deck.missing();
    assert!(missing.is_empty(), "these met nothing: {missing:?}");
    assert!(unknown > 0 && failed > 0 && failed_reads > 0, "nothing was under way in a fault");
}

/// Whose processes there are: of all strategies side by side, of one that journals, and of those that do not.
fn strategies(number: usize) -> Vec<(Strategy, Outage)> {
    let behind = (Strategy::WriteBehind, Outage::Available);
    match number % 4 {
        0 | 1 => vec![
            behind,
            (Strategy::WriteThrough, Outage::Strict),
            (Strategy::CacheAside, Outage::Available),
        ],
        2 => vec![behind; 3],
        _ => STORE_FIRST.map(|strategy| (strategy, Outage::Available)).to_vec(),
    }
}

impl Storm {
    async fn new(on: On, strategies: &[(Strategy, Outage)]) -> Self {
        let table = Table::new(on).await;
        let redis = Proxy::start(servers::redis_url()).await;
        let database = Proxy::start(table.url()).await;
        let mut storm = Self {
            table,
            namespace: isolate::unique("storm"),
            redis,
            database,
            history: History::default(),
            processes: Vec::new(),
            ended: Cell::new(0),
            reads: Cell::new(0),
            failed_reads: Cell::new(0),
            longest: Cell::new(Duration::ZERO),
            is_over: Cell::new(false),
            offences: RefCell::default(),
        };
        for (strategy, outage) in strategies {
            let process = storm.process(*strategy, *outage).await;
            storm.processes.push(process);
        }
        storm
    }

    /// One with a connection and a pool of its own.
    async fn process(&self, strategy: Strategy, outage: Outage) -> Process {
        let events = Events::default();
        let cache = events.listen(Cache::builder().namespace(&*self.namespace));
        // Not while it connects: others use this machine too.
        let cache = cache.timeout(REDIS_TIMEOUT).connect_timeout(HANG);
        let cache = cache.connect(&self.redis.url()).await.unwrap();
        let store = store::connect(&self.database.url()).await.unwrap();
        let builder = Repository::builder(&cache).store(&store).strategy(strategy).outage(outage);
        let builder = builder.table(&*self.table.name).partitions(PARTITIONS);
        let build = || builder.store_timeout(STORE_TIMEOUT).intent_grace(INTENT_GRACE).build();
        let repo = build().await.unwrap();
        Process { cache, repo, events }
    }

    /// Clients work, and blows come, until each client has done its part and each blow has come. One of
    /// them may be long: then it is one to Redis that leaves nobody knowing.
    async fn rage(&self, deck: &mut Deck, is_long: bool) {
        let clients = self.processes.iter().flat_map(|process| (0..CLIENTS).map(move |_| process));
        let clients = join_all(clients.enumerate().map(|(number, p)| self.work(number, p)));
        let blows = async {
            for number in 0..FAULTS {
                self.pause().await;
                let is_long = is_long && number == 0;
                let blow = deck.draw(is_long);
                let proxy = if blow.0 { &self.redis } else { &self.database };
                let before = blow.1.effects(proxy);
                blow.1.strike(proxy);
                match is_long {
                    true => sleep(Duration::from_millis(fastrand::u64(LONG_FAULT_MS))).await,
                    false => self.pause().await,
                }
                proxy.set(Mode::Pass);
                deck.put_away(blow, blow.1.effects(proxy) > before);
            }
            self.is_over.set(true);
        };
        tokio::join!(clients, blows);
    }

    /// Some operations, or a moment.
    async fn pause(&self) {
        let until = self.ended.get() + fastrand::usize(3..20);
        let end = Instant::now() + Duration::from_millis(fastrand::u64(FAULT_MAX_MS));
        while self.ended.get() < until && Instant::now() < end {
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn work(&self, client: usize, process: &Process) {
        for turn in 0.. {
            if turn >= OPERATIONS && self.is_over.get() {
                return;
            }
            let id = fastrand::i64(0..IDS);
            match fastrand::u8(..10) {
                0..5 => self.save(process, id, &format!("{client}-{turn}")).await,
                5 => self.delete(process, id).await,
                6 => self.read(process, &[id, (id + 1) % IDS, (id + 2) % IDS]).await,
                7 => drop(self.call("evict", process.repo.evict(id)).await),
                _ => self.read(process, &[id]).await,
            }
            self.ended.set(self.ended.get() + 1);
        }
    }

    /// A call, which comes to an end.
    async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = cached_repo::Result<T>>,
    ) -> cached_repo::Result<T> {
        let began = Instant::now();
        let Ok(answer) = timeout(HANG, call).await else { panic!("{what} hangs") };
        self.longest.set(self.longest.get().max(began.elapsed()));
        if let Err(error) = &answer {
            let expected = [
                ErrorKind::CacheUnavailable,
                ErrorKind::StoreUnavailable,
                ErrorKind::Overloaded,
                ErrorKind::Dirty,
                ErrorKind::Intended,
                ErrorKind::Fenced,
            ];
            if !expected.contains(&error.kind()) {
                self.offences.borrow_mut().push(format!("{what}: {:?}: {error}", error.kind()));
            }
        }
        answer
    }

    async fn save(&self, process: &Process, id: i64, name: &str) {
        let ticket = self.history.begin(id, Some(name));
        let item = Item { id, name: name.to_owned() };
        let saved = self.call("save", process.repo.save(&item)).await;
        self.history.end(ticket, Fate::of(&saved));
    }

    async fn delete(&self, process: &Process, id: i64) {
        let ticket = self.history.begin(id, None);
        let deleted = self.call("delete", process.repo.delete(id)).await;
        self.history.end(ticket, Fate::of(&deleted));
    }

    async fn read(&self, process: &Process, ids: &[i64]) {
        let (began, failures) = (self.history.now(), process.repo.counts().cache_failures);
        let found = self.call("get_many", process.repo.get_many(ids.iter().copied())).await;
        self.reads.set(self.reads.get() + 1);
        let Ok(found) = found else { return self.failed_reads.set(self.failed_reads.get() + 1) };
        // Without Redis a store-first process reads the store, which may not have what is journaled.
        let past_redis = process.repo.strategy() != Strategy::WriteBehind
            && process.repo.counts().cache_failures > failures;
        if past_redis {
            return;
        }
        for (id, found) in ids.iter().zip(found) {
            let found = found.map(|item| item.name);
            if let Some(offence) = self.history.judge_read(*id, began, found.as_deref()) {
                let strategy = process.repo.strategy();
                self.offences.borrow_mut().push(format!("{strategy} read: {offence}"));
            }
        }
    }

    /// Everything that was under way comes to its end.
    async fn calm(&self) {
        for proxy in [&self.redis, &self.database] {
            proxy.set(Mode::Pass);
            proxy.cut();
        }
        for process in &self.processes {
            until("the journal is drained", async || process.repo.flush().await.is_ok()).await;
        }
        let ids: Vec<i64> = (0..IDS).collect();
        until("every process reads what the database has", async || {
            let rows = self.table.rows().await;
            for process in &self.processes {
                let Ok(found) = process.repo.get_many(ids.iter().copied()).await else {
                    return false;
                };
                let found = ids.iter().zip(found).filter_map(|(id, i)| Some((*id, i?.name)));
                if found.collect::<std::collections::HashMap<_, _>>() != rows {
                    return false;
                }
            }
            let backlog = self.processes[0].cache.backlog().await;
            backlog.is_ok_and(|left| left == 0) && self.table.rows().await == rows
        })
        .await;
    }

    async fn check(&self, sum: &mut Sum) {
        none("answers", self.offences.take());
        none("rows", self.history.judge_rows(&self.table.rows().await));
        let trail = self.table.trail().await;
        none("changes of rows", self.history.judge_trail(&trail));
        for process in &self.processes {
            let counts = process.repo.counts();
            assert_eq!((counts.drain_panics, counts.invalidations_lost), (0, 0));
            // The servers were there all the time, and the database refused nothing.
            assert_eq!(process.events.all(), []);
        }
        let count = |fate| self.history.count(fate);
        sum.storms += 1;
        sum.pending += count(Fate::Pending);
        sum.writes += count(Fate::Acknowledged) + count(Fate::Pending);
        sum.unknown += count(Fate::Unknown);
        sum.failed += count(Fate::Failed);
        sum.reads += self.reads.get();
        sum.failed_reads += self.failed_reads.get();
        sum.changes += trail.len();
        sum.longest = sum.longest.max(self.longest.get());
    }
}
