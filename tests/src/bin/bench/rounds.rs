//! Runs the two sides of a path in turns, so that what else the machine does hits both alike.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, join_all};

use super::ROWS;

/// The operation with this number.
pub(crate) type Operation = Arc<dyn Fn(u64) -> BoxFuture<'static, ()> + Send + Sync>;

/// The same work done by both sides.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    sides: [Operation; 2],
    /// Makes all entries of both sides go away, where the path is about misses.
    cold: Option<Operation>,
}

impl Path {
    pub(crate) fn new(name: &'static str, ours: Operation, by_hand: Operation) -> Self {
        Self { name, sides: [ours, by_hand], cold: None }
    }

    pub(crate) fn cold(self, cold: Operation) -> Self {
        Self { cold: Some(cold), ..self }
    }
}

/// How long a benchmark takes.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
}

impl Plan {
    /// Measures one path with so many tasks, and prints a line.
    pub(crate) async fn measure(&self, path: &Path, tasks: usize) {
        let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
        for side in &path.sides {
            // Connections are opened, statements prepared, scripts loaded.
            run(side, tasks, self.round / 5).await;
        }
        for _ in 0..self.rounds {
            let mut pair = [0.0; 2];
            for (side, rate) in path.sides.iter().zip(&mut pair) {
                if let Some(cold) = &path.cold {
                    cold(0).await;
                }
                *rate = run(side, tasks, self.round).await;
            }
            rates[0].push(pair[0]);
            rates[1].push(pair[1]);
            ratios.push(pair[0] / pair[1]);
        }
        let [ours, by_hand] = rates.map(median);
        let (name, ratio) = (path.name, median(ratios));
        println!("{name:20}{tasks:>6}{ours:>12.0}{by_hand:>12.0}{ratio:>8.2}");
    }
}

/// Operations per second. Ends early when every row had its turn, so that a miss stays one.
async fn run(operation: &Operation, tasks: usize, time: Duration) -> f64 {
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let workers = (0..tasks).map(|_| {
        let (operation, next) = (Arc::clone(operation), Arc::clone(&next));
        tokio::spawn(async move {
            let mut done = 0;
            while start.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= ROWS {
                    break;
                }
                operation(n).await;
                done += 1;
            }
            done
        })
    });
    let workers: Vec<_> = workers.collect();
    let done: u64 = join_all(workers).await.into_iter().map(|done| done.unwrap()).sum();
    done as f64 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
