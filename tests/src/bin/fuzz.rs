//! Runs the fuzz targets, and counts what they allocate.
//!
//! `tests/run fuzz [TARGET [SECONDS]]` runs the long form.

// It has nobody to tell but its output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{env, process::ExitCode, time::Duration};

use peak_alloc::PeakAlloc;
use tests::fuzz::{Budget, Meter, Probe, TARGETS};

/// Counts for the whole process, so that nothing else may run in it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().filter(|name| !name.is_empty());
    let chosen: Vec<_> =
        TARGETS.iter().filter(|target| name.as_ref().is_none_or(|n| target.name == n)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no such target; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let is_long = env::var_os("CACHED_REPO_TEST_LONG").is_some();
    let seconds = match arguments.next().filter(|seconds| !seconds.is_empty()) {
        Some(seconds) => seconds.parse().expect("the second argument is a number of seconds"),
        None if is_long => LONG_SECONDS,
        None => SHORT_SECONDS,
    };
    let given = env::var("CACHED_REPO_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let meter = Meter {
        current: || MEMORY.current_usage(),
        peak: || MEMORY.peak_usage(),
        reset: || MEMORY.reset_peak_usage(),
    };
    let mut summary = Vec::new();
    for target in chosen {
        let budget = Budget::Time(Duration::from_secs(seconds));
        let counts = target.fuzz(budget, seed, &Probe { meter: Some(meter) });
        let line = format!(
            "{} {} inputs ({} accepted, {} refused, {} ways, {} regressions)",
            target.name,
            counts.inputs,
            counts.accepted,
            counts.refused,
            counts.ways,
            counts.regressions
        );
        println!("{line}");
        // One that never gets past the first check tests nothing.
        assert!(counts.accepted > 0 && counts.refused > 0, "{line}");
        summary.push(line);
    }
    println!("campaign E14: {}", summary.join("; "));
    ExitCode::SUCCESS
}

/// All targets together take about a minute.
const SHORT_SECONDS: u64 = 8;
/// PROTOCOL 5.2.
const LONG_SECONDS: u64 = 25;
