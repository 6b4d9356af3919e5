//! E12: a Redis that evicts, or has no memory left: what is journaled stays, and nothing is done by half.

use std::{collections::HashMap, time::Duration};

use cached_repo::{Cache, ErrorKind, Health, Outcome, Repository, Strategy, store};
use redis::aio::MultiplexedConnection;
use tests::servers::PrivateRedis;
use tokio::time::sleep;

use super::{Audited, Fate, History, none, seed, sized, tell, turn, until};
use crate::{
    stage::{On, Over, Todo, WITH_STORE, name, todo},
    write_behind::scene::{Process, Scene},
};

/// Of a copy.
const COPY_BYTES: usize = 20_000;
const MEMORY_BYTES: usize = 8_000_000;
const IDS: i64 = 12;

/// A scene over a Redis of its own, which nobody is refused anything by yet.
async fn scene(arguments: &[&str]) -> (PrivateRedis, Scene) {
    let server = PrivateRedis::start(arguments).await;
    let scene = Scene::at(On::Memory, Over::Redis, server.url()).await;
    (server, scene)
}

async fn set(raw: &mut MultiplexedConnection, setting: &str, value: &str) {
    let set = redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).clone();
    set.query_async::<()>(raw).await.unwrap();
}

async fn info(raw: &mut MultiplexedConnection, field: &str) -> u64 {
    let info: String = redis::cmd("INFO").query_async(raw).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap().trim().parse().unwrap()
}

fn large(id: &str, name: &str) -> Todo {
    Todo { description: Some("x".repeat(COPY_BYTES)), ..todo(id, name) }
}

#[tokio::test]
async fn an_evicting_server_is_refused_by_those_who_would_lose_by_it() {
    let (_server, scene) = scene(&["--maxmemory-policy", "allkeys-lru"]).await;
    for strategy in Strategy::ALL {
        let cache = scene.cache(Cache::builder().no_worker()).await;
        let built = scene.builder::<Todo>(&cache).strategy(*strategy).build().await;
        let loses = matches!(strategy, Strategy::WriteBehind | Strategy::RedisOnly);
        assert_eq!(
            built.as_ref().err().map(cached_repo::Error::kind),
            loses.then_some(ErrorKind::Configuration)
        );
    }
}

#[tokio::test]
async fn a_policy_that_is_changed_at_run_time_stops_writes_and_loses_none() {
    let _turn = turn().await;
    let (_server, scene) = scene(&[]).await;
    let worker = scene.worker().await;
    let mut raw = scene.raw().await;
    let asks = sized(true, false);
    let mut saved = 0;
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"].into_iter().take(sized(3, 1)) {
        scene.gate.slow(Duration::from_millis(2));
        for n in 0..50 {
            worker.repo.save(&todo(&n.to_string(), policy)).await.unwrap();
        }
        saved += 50;
        set(&mut raw, "maxmemory-policy", policy).await;
        // The long form waits until the worker sees by itself.
        if asks {
            assert!(matches!(worker.cache.health().await, Health::Down(_)));
        }
        until("writes are refused", async || {
            let written = worker.repo.save(&todo("new", policy)).await;
            saved += u64::from(written.is_ok());
            sleep(Duration::from_millis(20)).await;
            written.is_err_and(|error| error.outcome() == Outcome::NotApplied)
        })
        .await;
        worker.repo.flush().await.unwrap();
        assert_eq!(
            (scene.row("49").await, scene.offset().await.applied + scene.offset().await.coalesced),
            (policy.into(), saved)
        );
        set(&mut raw, "maxmemory-policy", "noeviction").await;
        assert_eq!(worker.cache.health().await, Health::Ok);
    }
    tell("E12", format_args!("{saved} writes beside changes of the policy, all drained"));
}

#[tokio::test]
async fn memory_pressure_evicts_copies_and_nothing_that_is_journaled() {
    let _turn = turn().await;
    let memory = MEMORY_BYTES.to_string();
    let (_server, scene) =
        scene(&["--maxmemory", &memory, "--maxmemory-policy", "volatile-lru"]).await;
    scene.open().await;
    let worker = scene.worker().await;
    let copies = scene.under(Strategy::ReadThrough).await;
    let mut raw = scene.raw().await;
    scene.gate.down();
    let journaled = sized(200, 600);
    let pressure = sized(3, 10) * MEMORY_BYTES / COPY_BYTES;
    for n in 0..pressure {
        assert!(copies.repo.save_cached(&large(&format!("copy {n}"), "copy")).await.unwrap());
        if n * journaled / pressure != (n + 1) * journaled / pressure {
            let id = (n * journaled / pressure).to_string();
            worker.repo.save(&todo(&id, "journaled")).await.unwrap();
            worker.repo.delete(format!("deleted {id}")).await.unwrap();
        }
    }
    let evicted = info(&mut raw, "evicted_keys").await;
    for n in 0..journaled {
        assert_eq!(name(worker.repo.get(n.to_string()).await.unwrap()), "journaled");
        assert_eq!(name(worker.repo.get(format!("deleted {n}")).await.unwrap()), "none");
    }
    assert_eq!(worker.cache.backlog().await.unwrap(), 2 * journaled as u64);
    scene.gate.up();
    worker.repo.flush().await.unwrap();
    for n in 0..journaled {
        assert_eq!(scene.row(&n.to_string()).await, "journaled");
    }
    let offset = scene.offset().await;
    assert_eq!(offset.applied + offset.coalesced, 2 * journaled as u64 + 1);
    assert_eq!(worker.events.all(), []);
    tell(
        "E12",
        format_args!(
            "{evicted} copies evicted beside {} journaled writes, all drained",
            2 * journaled
        ),
    );
    assert!(evicted as usize > pressure / 2, "there was no pressure");
}

/// What all clients of a server that runs out of memory share.
struct Shortage {
    scene: Scene,
    processes: Vec<Process>,
    history: History,
    refused: usize,
}

impl Shortage {
    async fn operate(&mut self, turn: usize) {
        let process = fastrand::choice(&self.processes).unwrap();
        let id = fastrand::i64(0..IDS);
        if fastrand::u8(..3) == 0 {
            let began = self.history.now();
            let Ok(found) = process.repo.get(id.to_string()).await else { return };
            let found = found.map(|todo| todo.name);
            let offence = self.history.judge_read(id, began, found.as_deref());
            return none("reads", offence.into_iter().collect());
        }
        let name = (fastrand::u8(..5) > 0).then(|| format!("write {turn}"));
        let ticket = self.history.begin(id, name.as_deref());
        let written = match &name {
            Some(name) => process.repo.save(&todo(&id.to_string(), name)).await,
            None => process.repo.delete(id.to_string()).await,
        };
        if let Err(error) = &written {
            self.refused += 1;
            let expected = [ErrorKind::Cache, ErrorKind::CacheUnavailable, ErrorKind::Dirty];
            assert!(expected.contains(&error.kind()), "{:?}: {error}", error.kind());
        }
        self.history.end(ticket, Fate::of(&written));
    }
}

#[tokio::test]
async fn a_server_without_memory_refuses_whole_writes_and_keeps_what_it_has() {
    let _turn = turn().await;
    seed();
    let (_server, scene) = scene(&[]).await;
    let mut processes = vec![scene.worker().await];
    for strategy in WITH_STORE {
        processes.push(scene.under(strategy).await);
    }
    let mut raw = scene.raw().await;
    let mut shortage = Shortage { scene, processes, history: History::default(), refused: 0 };
    let shortages = sized(15, 100);
    let mut turn = 0;
    for _ in 0..shortages {
        for memory in ["0", "1"] {
            set(&mut raw, "maxmemory", memory).await;
            for _ in 0..fastrand::usize(5..25) {
                turn += 1;
                shortage.operate(turn).await;
            }
        }
    }
    set(&mut raw, "maxmemory", "0").await;
    let Shortage { scene, processes, history, refused } = &shortage;
    processes[0].repo.flush().await.unwrap();
    let ids = history.ids();
    until("every process reads what the store has", async || {
        let mut rows = HashMap::new();
        for id in &ids {
            let row = scene.row(&id.to_string()).await;
            rows.extend((row != "none").then_some((*id, row)));
        }
        none("rows", history.judge_rows(&rows));
        for process in processes {
            let found = process.repo.get_many(ids.iter().map(i64::to_string)).await.unwrap();
            let found = ids.iter().zip(found).filter_map(|(id, todo)| Some((*id, todo?.name)));
            if found.collect::<HashMap<_, _>>() != rows {
                return false;
            }
        }
        true
    })
    .await;
    none("changes of rows", history.judge_trail(&Audited::written(&scene.gate)));
    assert_eq!(processes[0].events.all(), []);
    let acknowledged = history.count(Fate::Acknowledged) + history.count(Fate::Pending);
    tell(
        "E12",
        format_args!(
            "{shortages} shortages of memory: {acknowledged} writes acknowledged, {refused} refused"
        ),
    );
    assert!(*refused > shortages && acknowledged > shortages);
}

#[tokio::test]
async fn what_only_redis_has_is_as_it_was_when_there_is_no_memory_to_change_it() {
    let (server, _scene) = scene(&[]).await;
    let cache = Cache::builder().namespace("only").timeout(Duration::from_secs(30));
    let cache = cache.connect(&server.url()).await.unwrap();
    let builder = Repository::<Todo>::builder(&cache).store(&store::memory());
    let repo = builder.strategy(Strategy::RedisOnly).build().await.unwrap();
    let all: Vec<Todo> = (0..40).map(|n: u32| todo(&n.to_string(), "old")).collect();
    let new: Vec<Todo> =
        all.iter().map(|old| Todo { name: "new".to_owned(), ..old.clone() }).collect();
    repo.save_many(&all).await.unwrap();
    let mut raw = tests::raw(server.url()).await;
    set(&mut raw, "maxmemory", "1").await;
    let error = repo.save(&new[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Cache, Outcome::NotApplied), "{error}");
    assert!(repo.save_many(&new).await.is_err());
    let ids = || all.iter().map(|todo| todo.id.clone());
    let found = repo.get_many(ids()).await.unwrap();
    assert!(found.into_iter().all(|found| name(found) == "old"));
    set(&mut raw, "maxmemory", "0").await;
    repo.save_many(&new).await.unwrap();
    let found = repo.get_many(ids()).await.unwrap();
    assert!(found.into_iter().all(|found| name(found) == "new"));
}
