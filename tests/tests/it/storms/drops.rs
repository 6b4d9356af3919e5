//! E16: thousands of futures that are dropped at random, of several strategies side by side.

use cached_repo::{
    Cache, Format, Outage, Repository, Strategy,
    store::{Entry, Ledger, Store},
};
use futures_util::future::{BoxFuture, join_all};
use tests::{Mode, Point, Proxy, servers};
use tokio::time::timeout;

use super::{
    HANG, History, alive,
    calls::{Asked, CALLS, start},
    dropped::{check, entity},
    none, polled, seed, sized, tell, turn, until,
};
use crate::stage::{On, Over, Stage, Todo};

const IDS: i64 = 12;
const CLIENTS: usize = 6;
const POLLS_MAX: usize = 12;
/// One call in so many gets its answer.
const WHOLE_EVERY: u8 = 4;
const PARTITIONS: u32 = 16;

#[tokio::test]
async fn thousands_of_dropped_calls_lose_nothing_and_leave_nothing_behind() {
    let _turn = turn().await;
    seed();
    let drops = sized(300, 2500);
    let mut told = String::new();
    for (on, over) in [(On::Memory, Over::InProcess), (On::Postgres, Over::Redis)] {
        let baseline = alive();
        let stage = Stage::new(Strategy::WriteBehind, Format::Json, on, over).await;
        let mut repos = vec![stage.repo.clone(), stage.process().await];
        for strategy in [Strategy::WriteThrough, Strategy::CacheAside, Strategy::ReadThrough] {
            let builder = stage.builder(stage.cache()).strategy(strategy);
            repos.push(builder.build().await.unwrap());
        }
        let history = History::default();
        let clients =
            (0..CLIENTS).map(|number| work(number, &history, &stage, &repos, drops / CLIENTS + 1));
        let done: Vec<(usize, usize)> = join_all(clients).await;
        check(&history, &stage, &repos).await;
        let journaled: u64 = repos.iter().map(|repo| repo.counts().journaled).sum();
        assert_eq!(drained(&stage).await, journaled, "each journaled write is drained once");
        let (dropped, whole): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let (dropped, whole): (usize, usize) = (dropped.iter().sum(), whole.iter().sum());
        told +=
            &format!("{dropped} drops, {whole} whole calls, {journaled} journaled over {over:?}; ");
        assert!(dropped >= drops && whole > 0);
        drop((stage, repos));
        until("no task is left", async || alive() <= baseline).await;
    }
    tell("E16", told.trim_end_matches("; "));
}

/// Makes calls until so many were dropped. Answers how many were, and how many were not.
async fn work(
    number: usize,
    history: &History,
    stage: &Stage,
    repos: &[Repository<Todo>],
    drops: usize,
) -> (usize, usize) {
    let (mut dropped, mut whole) = (0, 0);
    while dropped < drops {
        let first = fastrand::i64(0..IDS);
        let ids = [0, 1, 2].map(|n| (first + n) % IDS);
        let asked = Asked { ids, name: format!("{number}-{}", dropped + whole) };
        let repo = fastrand::choice(repos).unwrap();
        let call = fastrand::choice(CALLS).unwrap();
        let polls = match fastrand::u8(..WHOLE_EVERY) {
            0 => usize::MAX,
            _ => fastrand::usize(1..=POLLS_MAX),
        };
        let started = start(history, stage, repo, call, &asked);
        let Ok(is_whole) = timeout(HANG, started.polled(polls)).await else {
            panic!("{call:?} hangs")
        };
        if is_whole {
            whole += 1
        } else {
            dropped += 1
        }
        let began = history.now();
        let reader = fastrand::choice(repos).unwrap();
        let Ok(found) = timeout(HANG, reader.get(first.to_string())).await else {
            panic!("get hangs")
        };
        let found = found.unwrap().map(|todo| todo.name);
        let offence = history.judge_read(first, began, found.as_deref());
        none(&format!("reads under {}", reader.strategy()), offence.into_iter().collect());
    }
    (dropped, whole)
}

/// How many journaled writes the store has, has left out, or has refused.
async fn drained(stage: &Stage) -> u64 {
    let entity = &entity(stage);
    let mut sum = 0;
    for partition in 0..PARTITIONS {
        let offset = stage.gate.ledger(Ledger::Offset { entity, partition }).await.unwrap();
        let Entry::Offset(Some(offset)) = offset else { continue };
        sum += offset.applied + offset.coalesced + offset.dead_lettered;
    }
    sum
}

/// While Redis is down so many reads ask the store at a time; those that are dropped give their place back.
#[tokio::test]
async fn a_dropped_read_gives_its_place_at_the_store_back() {
    let stage = Stage::new(Strategy::ReadThrough, Format::Json, On::Memory, Over::Redis).await;
    let proxy = Proxy::start(servers::redis_url()).await;
    let cache = Cache::builder().namespace(stage.table()).outage_loads_max(2);
    let cache = cache.connect(&proxy.url()).await.unwrap();
    let builder = stage.builder(&cache).outage(Outage::Available);
    let repo = builder.store_timeout(HANG).build().await.unwrap();
    proxy.set(Mode::Refuse);
    proxy.cut();
    let get = |id: usize| -> BoxFuture<'static, _> {
        let repo = repo.clone();
        Box::pin(async move { repo.get(id.to_string()).await })
    };
    let mut polls = 1;
    while polled(get(polls), polls).await.is_none() {
        polls += 1;
    }
    for dropped in 1..10 {
        // Both places are free, and taken now.
        let held = [(); 2].map(|()| stage.gate.hold(Point::BeforeLoad, None));
        let reads = [0, 1].map(|n| tokio::spawn(get(1000 + 10 * dropped + n)));
        for held in &held {
            let arrived = timeout(HANG, held.arrived()).await;
            assert!(arrived.is_ok(), "behind {dropped} polls a place is not free");
        }
        // Callers go away while they wait for a place, and while they have one.
        let third = tokio::spawn(get(1008 + 10 * dropped));
        for _ in 0..dropped {
            tokio::task::yield_now().await;
        }
        third.abort();
        let [first, second] = reads;
        first.abort();
        held.into_iter().for_each(tests::Held::release);
        assert_eq!(second.await.unwrap().unwrap(), None);
    }
    assert!(polls > 2 && cache.health().await != cached_repo::Health::Ok);
}
