//! Draining a journal beside the loop that people write: XRANGE, one UNNEST, XTRIM.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use cached_repo::{Cache, Repository, Strategy, store};
use futures_util::future::{Either, select};
use redis::{aio::MultiplexedConnection, cmd};
use tests::{isolate, servers};

use super::{Article, ROWS, by_hand::ByHand};

const BATCH: usize = 500;

/// Prints one line: records per second, drained by one worker, and by hand.
pub(crate) async fn measure(rounds: usize, hand: &ByHand) {
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    let journal = Journal::prepare().await;
    for _ in 0..rounds {
        ours.push(rate(journal.drain().await));
        by_hand.push(rate(drain_by_hand(hand).await));
    }
    let mut ratios: Vec<f64> = ours.iter().zip(&by_hand).map(|(o, h)| o / h).collect();
    for rates in [&mut ours, &mut by_hand, &mut ratios] {
        rates.sort_unstable_by(f64::total_cmp);
    }
    let middle = rounds / 2;
    let (ours, by_hand, ratio) = (ours[middle], by_hand[middle], ratios[middle]);
    println!("{:20}{:>6}{ours:>12.0}{by_hand:>12.0}{ratio:>8.2}", "drain", 1);
}

fn rate(time: Duration) -> f64 {
    ROWS as f64 / time.as_secs_f64()
}

/// A repository whose process does not drain by itself.
struct Journal {
    cache: Cache,
    repository: Repository<Article>,
}

impl Journal {
    async fn prepare() -> Self {
        let cache = Cache::builder().namespace(isolate::unique("bench-drain")).no_worker();
        let cache = cache.connect(&servers::redis_url()).await.unwrap();
        let db = store::connect(&servers::postgres_url()).await.unwrap();
        let builder = Repository::<Article>::builder(&cache).store(&db);
        let repository = builder.strategy(Strategy::WriteBehind).build().await.unwrap();
        Self { cache, repository }
    }

    /// Journals every row, and times the drain alone.
    async fn drain(&self) -> Duration {
        let articles: Vec<_> = (0..ROWS).map(|n| Article::new(n, 2)).collect();
        for chunk in articles.chunks(BATCH) {
            self.repository.save_many(chunk).await.unwrap();
        }
        let start = Instant::now();
        let flushed = pin!(self.repository.flush());
        match select(flushed, pin!(self.cache.drain())).await {
            Either::Left((flushed, _)) => flushed.unwrap(),
            Either::Right(_) => panic!("the worker ended"),
        }
        start.elapsed()
    }
}

/// One stream, drained by one loop without a thought for crashes.
async fn drain_by_hand(hand: &ByHand) -> Duration {
    let stream = format!("{}:stream", hand.namespace());
    let mut redis = hand.redis();
    for n in 0..ROWS {
        let json = serde_json::to_string(&Article::new(n, 2)).unwrap();
        let mut add = cmd("XADD");
        add.arg(&stream).arg("*").arg("data").arg(json);
        let _: String = add.query_async(&mut redis).await.unwrap();
    }
    let start = Instant::now();
    loop {
        let records = read(&mut redis, &stream).await;
        let Some((last, _)) = records.last() else { return start.elapsed() };
        let last = last.clone();
        let articles: Vec<_> =
            records.iter().map(|(_, fields)| serde_json::from_str(&fields[1]).unwrap()).collect();
        hand.upsert_many(&articles).await;
        let mut trim = cmd("XTRIM");
        trim.arg(&stream).arg("MINID").arg(last);
        let _: u64 = trim.query_async(&mut redis).await.unwrap();
        let mut done = cmd("XDEL");
        done.arg(&stream).arg(&records[records.len() - 1].0);
        let _: u64 = done.query_async(&mut redis).await.unwrap();
    }
}

async fn read(redis: &mut MultiplexedConnection, stream: &str) -> Vec<(String, Vec<String>)> {
    let mut read = cmd("XRANGE");
    read.arg(stream).arg("-").arg("+").arg("COUNT").arg(BATCH);
    read.query_async(redis).await.unwrap()
}
