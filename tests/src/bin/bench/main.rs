//! Measures repositories beside the same work written by hand on the drivers.
//!
//! `--short` takes 20 s instead of 90; another argument is how the names of the wanted paths begin.

// A benchmark that cannot do its work has nobody to tell but its output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{env, time::Duration};

use cached_repo::{CachedEntity, Strategy};
use serde::{Deserialize, Serialize};

mod ours;
use ours::Ours;

mod by_hand;
use by_hand::ByHand;

mod drain;

mod rounds;
use rounds::{Path, Plan};

/// Rows that both sides have. No path touches the same one twice at a time.
const ROWS: u64 = 20_000;
/// Ids in one `get_many`.
const MANY: u64 = 100;
const TASKS: [usize; 3] = [1, 16, 64];
const TABLE: &str = "cached_repo_bench";

const SHORT: Plan = Plan { rounds: 3, round: Duration::from_millis(150) };
const LONG: Plan = Plan { rounds: 7, round: Duration::from_millis(320) };

/// About 310 bytes as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CachedEntity)]
#[cache(prefix = "articles", table = "cached_repo_bench")]
struct Article {
    #[cache(id)]
    id: String,
    title: String,
    body: Option<String>,
    words: i64,
    score: f64,
    published: bool,
}

impl Article {
    /// Two articles with one number differ only where `edition` shows.
    fn new(n: u64, edition: i64) -> Self {
        Self {
            id: id(n),
            title: format!("What article number {n} is about"),
            body: Some("Some words of text that go on and on. ".repeat(5)),
            words: edition,
            score: n as f64 / 7.0,
            published: n.is_multiple_of(2),
        }
    }
}

/// The id of an operation: they go round.
fn id(n: u64) -> String {
    format!("article-{}", n % ROWS)
}

#[tokio::main]
async fn main() {
    let (mut plan, mut wanted) = (LONG, String::new());
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--short" => plan = SHORT,
            path => wanted = path.to_owned(),
        }
    }
    let ours = Ours::prepare().await;
    let hand = ByHand::prepare(ours.namespace()).await;
    println!("{:20}{:>6}{:>12}{:>12}{:>8}", "path", "tasks", "ours/s", "by hand/s", "ratio");
    for path in paths(&ours, &hand).iter().filter(|path| path.name.starts_with(&wanted)) {
        for tasks in TASKS {
            plan.measure(path, tasks).await;
        }
    }
    if "drain".starts_with(&wanted) {
        drain::measure(plan.rounds, &hand).await;
    }
    hand.clean_up().await;
}

fn paths(ours: &Ours, hand: &ByHand) -> Vec<Path> {
    let aside = Strategy::CacheAside;
    let through = Strategy::WriteThrough;
    vec![
        Path::new("get, hit", ours.get(through), hand.get()),
        Path::new("get_many, 100 hits", ours.get_many(through), hand.get_many()),
        Path::new("get, miss", ours.get(aside), hand.get()).cold(hand.forget(ours.keys(aside))),
        Path::new("save, write_through", ours.save(through), hand.save_and_set()),
        Path::new("save, cache_aside", ours.save(aside), hand.save_and_delete()),
        Path::new("save, write_behind", ours.save(Strategy::WriteBehind), hand.journal()),
        Path::new("save, redis_only", ours.save(Strategy::RedisOnly), hand.set()),
    ]
}
