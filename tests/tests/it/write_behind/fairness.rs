//! Partitions with much to drain, or with something in the way, keep no other ones waiting for long.

use std::{collections::BTreeMap, time::Duration};

use cached_repo::{CachedEntity, Repository, store::StoreError};
use tests::{Point, hoard::Told, servers::PrivateRedis};
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::scene::{Process, Scene, patient};
use crate::stage::{On, Over, save, todo};

/// What little is written of.
#[derive(Clone, Debug, CachedEntity)]
#[cache(prefix = "others", strategy = "write_behind", partitions = 1)]
struct Other {
    #[cache(id)]
    id: i64,
    name: String,
}

const HANG: Duration = Duration::from_secs(120);
/// A hundred times as long as a worker takes between two looks.
const LOOKED_AT_BY_THEN: Duration = Duration::from_secs(20);

async fn others(scene: &Scene, process: &Process) -> Repository<Other> {
    scene.builder(&process.cache).partitions(1).build().await.unwrap()
}

fn other(id: i64) -> Other {
    Other { id, name: "a".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn c16_a_trickle_is_drained_beside_partitions_with_a_huge_backlog() {
    const PARTITIONS: u32 = 8;
    const WRITES: usize = 20_000;
    // A session drains 16 batches, and four of them run at a time: two rounds of the others, and what
    // happens until the answer is seen. One partition has more than a thousand.
    const BATCHES_MAX: usize = 4 * 4 * 16;
    let scene = Scene::in_process().await;
    let settings = |b: cached_repo::RepositoryBuilder<_>| b.partitions(PARTITIONS).batch(2);
    let hot = scene.process(patient().no_worker(), settings).await;
    let all: Vec<_> = (0..WRITES).map(|id| todo(&id.to_string(), "a")).collect();
    for some in all.chunks(5000) {
        hot.repo.save_many(some).await.unwrap();
    }
    // So that few are drained between two looks at a receipt.
    scene.gate.slow(Duration::from_millis(10));
    let worker = scene.process(patient(), settings).await;
    let others = others(&scene, &worker).await;
    others.save(&other(0)).await.unwrap().persisted().await.unwrap();
    let mut trickled = 0;
    while scene.gate.rows() < WRITES / 2 {
        let before = scene.gate.batches();
        let saved = others.save(&other(trickled)).await.unwrap();
        timeout(HANG, saved.persisted()).await.unwrap().unwrap();
        let meanwhile = scene.gate.batches() - before;
        assert!(meanwhile <= BATCHES_MAX, "{meanwhile} batches of others came first");
        trickled += 1;
    }
    let left = worker.cache.backlog().await.unwrap();
    assert!(trickled > 10 && left > 0, "{trickled} writes trickled, {left} are left");
}

/// What refers to rows that are not there waits for a while, which others must not.
#[tokio::test(start_paused = true)]
async fn partitions_that_wait_for_a_row_leave_their_places_to_others() {
    // Many more than there are sessions at a time.
    const PARTITIONS: u32 = 24;
    let scene = Scene::in_process().await;
    let settings = |b: cached_repo::RepositoryBuilder<_>| b.partitions(PARTITIONS);
    let worker = scene.process(patient(), settings).await;
    let others = others(&scene, &worker).await;
    others.save(&other(0)).await.unwrap().persisted().await.unwrap();
    // One of each partition, which the receipt names.
    let mut ids = BTreeMap::new();
    for id in (0..).map(|id: u32| id.to_string()) {
        let saved = worker.repo.save(&todo(&id, "a")).await.unwrap();
        let token = saved.token().unwrap();
        ids.entry(token.split('/').nth(1).unwrap().to_owned()).or_insert(id);
        if ids.len() == PARTITIONS as usize {
            break;
        }
    }
    worker.repo.flush().await.unwrap();
    let before = scene.gate.batches();
    for id in ids.values() {
        for _ in 0..4 {
            let error = StoreError::reference("no such row");
            scene.gate.fail(Point::BeforeApply, id.as_str(), error);
        }
        worker.repo.save(&todo(id, "b")).await.unwrap();
    }
    // As many as can are waiting then.
    sleep(Duration::from_millis(10)).await;
    let saved = others.save(&other(1000)).await.unwrap();
    timeout(HANG, saved.persisted()).await.unwrap().unwrap();
    assert_eq!(scene.gate.batches(), before + 1, "it came first");
    worker.repo.flush().await.unwrap();
    assert_eq!(scene.gate.batches(), before + 1 + ids.len(), "and all the others later");
}

/// A worker looks for what others have journaled also while its own process writes all the time.
#[tokio::test]
async fn a_process_that_writes_all_the_time_drains_what_others_journaled() {
    for over in [Over::InProcess, Over::Redis] {
        let scene = Scene::new(On::Memory, over).await;
        let busy = scene.process(patient(), |b| b.partitions(4)).await;
        let elsewhere = scene.process(patient().no_worker(), |b| b.partitions(4)).await;
        let (here, quiet) = (others(&scene, &busy).await, others(&scene, &elsewhere).await);
        here.save(&other(0)).await.unwrap().persisted().await.unwrap();
        let saved = quiet.save(&other(1)).await.unwrap();
        let waiting = tokio::spawn(async move { saved.persisted().await });
        let writing = async {
            let mut id = 0;
            while !waiting.is_finished() {
                save(&busy.repo, todo(&(id % 100).to_string(), "a")).await.unwrap().unwrap();
                id += 1;
            }
        };
        timeout(LOOKED_AT_BY_THEN, writing).await.unwrap();
        waiting.await.unwrap().unwrap();
    }
}

/// Redis holds what waits, and no process does: neither those that write nor those that cannot drain it.
#[tokio::test]
async fn memory_stays_flat_while_a_store_takes_nothing_and_the_drain_catches_up_in_full_batches() {
    let redis = PrivateRedis::start(&[]).await;
    let mut hoarder = Command::new(env!("CARGO_BIN_EXE_hoarder"));
    let hoarder = hoarder.arg(redis.url()).output().await.unwrap();
    let error = String::from_utf8_lossy(&hoarder.stderr);
    assert!(hoarder.status.success(), "{error}");
    let told: Told = serde_json::from_slice(&hoarder.stdout).unwrap();
    let grown = told.late.saturating_sub(told.early);
    assert!(grown < told.bytes / 4, "{grown} bytes more while {} were written", told.bytes);
    assert!(told.full > told.rows / 2, "{} of {} rows in full batches", told.full, told.rows);
}
