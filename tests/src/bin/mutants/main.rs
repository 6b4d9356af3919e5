//! Breaks the library in one place at a time, and sees whether the tests notice.
//!
//! `tests/run mutants [NAME]` runs it with the servers that the tests need. A mutant is a change of the
//! source: production code has no switches for it. Each is built in a copy of the tree, and meets the
//! tests that are to notice it. It exits with 0 only if every mutant was noticed.

// A table that is wrong, or a tree that does not build, ends the run: that is how it says so.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{env, path::Path, process::ExitCode, time::Instant};

mod mutant;
use mutant::Mutant;

mod table;
use table::TABLE;

mod tree;
use tree::Tree;

mod cargo;
use cargo::{Cargo, Ended};

/// What became of a mutant.
enum Verdict {
    Killed(String),
    Survived,
    /// The table is wrong.
    Wrong(String),
}

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let chosen: Vec<&Mutant> =
        TABLE.iter().copied().flatten().filter(|m| m.name.contains(&wanted)).collect();
    let root = root();
    let tree = Tree::copy(root);
    let mut cargo = Cargo::new(tree.path(), &root.join("target/mutants/build"));
    if let Err(why) = baseline(&mut cargo, &tree, &chosen) {
        println!("{why}");
        return ExitCode::FAILURE;
    }
    let begin = Instant::now();
    let (mut killed, mut others) = (0, Vec::new());
    for (index, mutant) in chosen.iter().enumerate() {
        let started = Instant::now();
        let verdict = meet(&cargo, &tree, mutant);
        let (word, why) = match verdict {
            Verdict::Killed(by) => ("killed", by),
            Verdict::Survived => ("SURVIVED", mutant.breaks.to_owned()),
            Verdict::Wrong(why) => ("ERROR", why),
        };
        let seconds = started.elapsed().as_secs();
        let (number, of) = (index + 1, chosen.len());
        println!("{number:>3}/{of} {word:<8} {seconds:>4}s  {:<40} {why}", mutant.name);
        match word {
            "killed" => killed += 1,
            _ => others.push(mutant.name),
        }
    }
    let minutes = begin.elapsed().as_secs() / 60;
    println!("\n{killed} of {} mutants killed in {minutes} min; not: {others:?}", chosen.len());
    if others.is_empty() && killed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Everything that a verdict relies on: the table fits the sources, and the tests pass without a mutant.
fn baseline(cargo: &mut Cargo, tree: &Tree, chosen: &[&Mutant]) -> Result<(), String> {
    if chosen.is_empty() {
        return Err("there is no such mutant".to_owned());
    }
    for mutant in chosen {
        mutant.check(tree.path())?;
    }
    cargo.build().map_err(|why| format!("the tree does not build:\n{why}"))?;
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

fn meet(cargo: &Cargo, tree: &Tree, mutant: &Mutant) -> Verdict {
    let _patched = tree.patch(mutant);
    if let Err(why) = cargo.build() {
        return Verdict::Wrong(format!("it does not build:\n{why}"));
    }
    for filter in mutant.tests {
        match cargo.run(filter) {
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
