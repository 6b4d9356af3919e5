//! A seed is the same run again.

use super::*;

/// Two processes, faults, and everything that happened; all that is random is in it.
async fn run(seed: u64) -> Vec<String> {
    let kit = Kit::seeded(seed);
    let (first, one) = orders(&kit).await;
    let (_second, two) = orders(&kit).await;
    kit.database().slow(Duration::from_millis(3));
    kit.at(Point::After(Step::Drain)).fail();
    first.at(Point::After(Step::Acknowledge)).crash();
    for id in 0..60 {
        let repo = if id % 3 == 0 { &one } else { &two };
        let _ = repo.save(&order(id % 20, &id.to_string())).await;
        if id == 30 {
            kit.redis().restart();
        }
        if id % 5 == 0 {
            kit.database().down();
            tokio::time::sleep(Duration::from_millis(70)).await;
            kit.database().up();
        }
    }
    // Several readers of one entity, each of whom writes another one when it has it.
    kit.redis().flush_all();
    let readers = (0..8).map(|reader| {
        let two = two.clone();
        tokio::spawn(async move {
            let _ = two.get(99).await.unwrap();
            let _ = two.save(&order(100 + reader, "read")).await.unwrap();
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    kit.settle().await.unwrap();
    assert_eq!(kit.armed(), 0);
    let mut trace = kit.trace();
    trace.extend(states(&kit));
    trace
}

/// A runtime for each: what it has done before is a part of its clock.
fn alone(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(seed))
}

#[test]
fn a_seed_is_the_same_run_again() {
    for seed in 0..10 {
        let (one, other) = (alone(seed), alone(seed));
        let differs = one.iter().zip(&other).position(|(one, other)| one != other);
        let around = differs.map(|at| (&one[at.saturating_sub(3)..=at], &other[at]));
        assert_eq!((around, one.len()), (None, other.len()), "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_run() {
    assert_ne!(alone(1), alone(2));
}
