//! Breaks the library in one place at a time, and sees whether the tests notice.
//!
//! `tests/run mutants [NAME[,NAME…]]` runs it with the servers that the tests need. A mutant is a change of the
//! source: production code has no switches for it. A copy of the tree gets all of them at once, each
//! function beside its changed selves, and the environment chooses; those that change anything but
//! functions are built by themselves. Each meets the tests that are to notice it. It exits with 0 only
//! if every mutant was noticed.

// A table that is wrong, or a tree that does not build, ends the run: that is how it says so.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    env,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

mod mutant;
use mutant::Mutant;

mod table;
use table::TABLE;

mod tree;
use tree::Tree;

mod outline;

mod switch;
use switch::Switches;

mod cargo;
use cargo::{Cargo, Ended};

mod report;
use report::{Report, Verdict};

/// How many meet their tests at a time: tests that notice by waiting leave the machine idle.
const LANES: usize = 2;

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let is_wanted = |m: &&Mutant| wanted.split(',').any(|part| m.name.contains(part));
    let chosen: Vec<&Mutant> = TABLE.iter().copied().flatten().filter(is_wanted).collect();
    let root = root();
    let tree = Tree::copy(root);
    let mut cargo = Cargo::new(tree.path(), &root.join("target/mutants/build"));
    let report = Mutex::new(Report::of(chosen.len()));
    if let Err(why) = all(&mut cargo, &tree, &chosen, &report) {
        println!("{why}");
        return ExitCode::FAILURE;
    }
    report.into_inner().unwrap().close()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn all(
    cargo: &mut Cargo,
    tree: &Tree,
    chosen: &[&Mutant],
    report: &Mutex<Report>,
) -> Result<(), String> {
    for mutant in chosen {
        mutant.check(tree.path())?;
    }
    let mut switches = Switches::default();
    let (mut switched, mut apart) = (Vec::new(), Vec::new());
    for &mutant in chosen {
        match switches.add(tree.path(), mutant).is_err() {
            true => apart.push(mutant),
            false => switched.push(mutant),
        }
    }
    println!("{} mutants in one build, {} by themselves", switched.len(), apart.len());
    {
        let _patched = switches.write(tree);
        cargo.build().map_err(|why| format!("the tree does not build:\n{why}"))?;
        baseline(cargo, chosen)?;
        in_lanes(cargo, &switched, report);
    }
    for mutant in apart {
        let _patched = tree.patch(mutant);
        let begin = Instant::now();
        let verdict = match cargo.build() {
            Ok(()) => meet(cargo, mutant, ""),
            Err(why) => Verdict::Wrong(format!("it does not build:\n{why}")),
        };
        report.lock().unwrap().add(mutant, verdict, begin.elapsed());
    }
    Ok(())
}

/// Lets those that are built at once meet their tests.
fn in_lanes(cargo: &Cargo, mutants: &[&Mutant], report: &Mutex<Report>) {
    let next = AtomicUsize::new(0);
    let lane = || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begin = Instant::now();
            let verdict = meet(cargo, mutant, mutant.name);
            report.lock().unwrap().add(mutant, verdict, begin.elapsed());
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
}

/// What every verdict relies on: the tests pass without a mutant.
fn baseline(cargo: &mut Cargo, chosen: &[&Mutant]) -> Result<(), String> {
    if chosen.is_empty() {
        return Err("there is no such mutant".to_owned());
    }
    let known = cargo.tests();
    let mut filters: Vec<&str> = chosen.iter().flat_map(|mutant| mutant.tests).copied().collect();
    filters.sort_unstable();
    filters.dedup();
    for filter in filters {
        if !known.iter().any(|test| test.contains(filter)) {
            return Err(format!("there is no test `{filter}`"));
        }
        let begin = Instant::now();
        match cargo.learn(filter) {
            Ended::Passed => println!("ok {:>4}s  {filter}", begin.elapsed().as_secs()),
            Ended::Failed(why) | Ended::Broken(why) => {
                return Err(format!("without a mutant {filter} fails: {why}"));
            }
            Ended::Hung => return Err(format!("without a mutant {filter} hangs")),
        }
    }
    Ok(())
}

fn meet(cargo: &Cargo, mutant: &Mutant, choice: &str) -> Verdict {
    for filter in mutant.tests {
        match cargo.run(filter, choice) {
            Ended::Passed => {}
            Ended::Failed(why) => return Verdict::Killed(why),
            Ended::Broken(why) => return Verdict::Wrong(why),
            Ended::Hung => return Verdict::Killed(format!("{filter} hangs")),
        }
    }
    Verdict::Survived
}

#[test]
fn every_mutant_can_be_made_and_has_a_name_of_its_own() {
    let mutants: Vec<&Mutant> = TABLE.iter().copied().flatten().collect();
    let wrong: Vec<String> = mutants.iter().filter_map(|m| m.check(root()).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut names: Vec<&str> = mutants.iter().map(|mutant| mutant.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), mutants.len());
}
