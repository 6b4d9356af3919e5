//! A process that writes while its store takes nothing, and says what memory that took.

// It has nobody to tell but the one who reads its output.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{env, fs};

use cached_repo::{
    Cache, CachedEntity, ErrorKind, OnFull, Repository,
    store::{self, SharedStore},
};
use tests::{Gated, hoard::Told};

/// A write has so many bytes, and a call so many writes.
const WRITE_BYTES: usize = 8 * 1024;
const AT_A_TIME: usize = 50;
/// A quarter of what may wait.
const QUARTER: usize = 2000;
const BATCH: usize = 20;

#[derive(Clone, Debug, CachedEntity)]
#[cache(prefix = "hoard", strategy = "write_behind", partitions = 4)]
struct Hoarded {
    #[cache(id)]
    id: u64,
    body: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cache = Cache::connect(&env::args().nth(1).unwrap()).await.unwrap();
    let gate = Gated::new(store::memory());
    let builder = Repository::<Hoarded>::builder(&cache).store(&(gate.clone() as SharedStore));
    let builder = builder.max_backlog(4 * QUARTER as u64).on_full(OnFull::Reject).batch(BATCH);
    let repo = builder.build().await.unwrap();
    // The store is asked for the first write of each partition.
    write(&repo, AT_A_TIME).await;
    repo.flush().await.unwrap();
    // It answers where it stands, so that workers read what is journaled again and again, and writes nothing.
    gate.manage(0);
    write(&repo, QUARTER).await;
    let early = resident_bytes();
    let writes = write_until_full(&repo).await;
    let late = resident_bytes();
    let written = gate.batches();
    gate.calm();
    gate.manage(usize::MAX);
    repo.flush().await.unwrap();
    let rows = |batch: &Vec<_>| batch.len();
    let sizes: Vec<usize> = gate.written()[written..].iter().map(rows).collect();
    let full = sizes.iter().filter(|size| **size == BATCH).sum();
    let told = Told { early, late, bytes: writes * WRITE_BYTES, full, rows: sizes.iter().sum() };
    println!("{}", serde_json::to_string(&told).unwrap());
}

/// Writes of ids of their own.
fn some(count: usize) -> Vec<Hoarded> {
    let body = "x".repeat(WRITE_BYTES);
    (0..count).map(|_| Hoarded { id: fastrand::u64(..), body: body.clone() }).collect()
}

async fn write(repo: &Repository<Hoarded>, count: usize) {
    for _ in 0..count / AT_A_TIME {
        repo.save_many(&some(AT_A_TIME)).await.unwrap();
    }
}

/// Writes for as long as there is room; answers how many.
async fn write_until_full(repo: &Repository<Hoarded>) -> usize {
    for calls in 0.. {
        if let Err(error) = repo.save_many(&some(AT_A_TIME)).await {
            assert_eq!(error.kind(), ErrorKind::BacklogFull, "{error}");
            return calls * AT_A_TIME;
        }
    }
    unreachable!("there is room for so many")
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
