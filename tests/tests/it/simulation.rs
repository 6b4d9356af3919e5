//! Random processes, strategies and faults over the in-process backend with virtual time; of every id a
//! history is recorded that must be linearizable. A seed that fails is run again by its number:
//! `CACHED_REPO_TEST_SEED=7 cargo test -p tests --test it -- simulation`.

use std::env;

use crate::{histories::Histories, stage::Todo};

mod run;
use run::{Course, simulate};

/// How many seeds, by default and in the long form.
const SEEDS: u64 = 400;
const SEEDS_LONG: u64 = 20_000;

/// What an entity is: its name, or nothing.
type Value = Option<u32>;

fn value(found: Option<Todo>) -> Value {
    found.map(|todo| todo.name.parse().unwrap())
}

/// Runs half of the seeds: there are two courses.
fn seeds(course: Course) {
    if let Ok(seed) = env::var("CACHED_REPO_TEST_SEED") {
        let seed = seed.parse().unwrap();
        println!("{}", simulate(seed, course).join("\n"));
        return;
    }
    let count = if env::var_os("CACHED_REPO_TEST_LONG").is_some() { SEEDS_LONG } else { SEEDS };
    let mut steps = 0;
    for seed in 0..count / 2 {
        steps += simulate(seed, course).len();
    }
    println!("{} seeds, {steps} operations and faults", count / 2);
    assert!(steps as u64 > count, "nothing happened");
}

#[test]
fn any_course_of_faults_that_lose_nothing_leaves_histories_linearizable() {
    seeds(Course::Lossless);
}

#[test]
fn after_a_loss_everything_is_as_if_it_had_begun_with_what_was_left() {
    seeds(Course::Lossy);
}

#[test]
fn a_seed_is_the_same_run_again() {
    for course in [Course::Lossless, Course::Lossy] {
        for seed in 0..20 {
            assert_eq!(simulate(seed, course), simulate(seed, course), "seed {seed}");
        }
    }
}
