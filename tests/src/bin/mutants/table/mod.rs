//! The mutants.
//!
//! A name has the number that PROTOCOL 5.4 gives it, if it has one: `m1` to `m18`.

use crate::mutant::Mutant;

mod drain;

mod order;

mod durability;

mod scripts;

mod in_process;

mod formats;

mod simulation;

mod stores;

mod pools;

mod refusals;

mod types;

mod snapshots;

mod testing;

mod writing;

mod moves;

mod storms;
mod retiring;
mod fuzz;

pub(crate) const TABLE: &[&[Mutant]] = &[
    drain::MUTANTS,
    order::MUTANTS,
    writing::MUTANTS,
    durability::MUTANTS,
    stores::MUTANTS,
    pools::MUTANTS,
    refusals::MUTANTS,
    types::MUTANTS,
    scripts::MUTANTS,
    in_process::MUTANTS,
    formats::MUTANTS,
    moves::MUTANTS,
    retiring::MUTANTS,
    simulation::MUTANTS,
    snapshots::MUTANTS,
    storms::MUTANTS,
    fuzz::MUTANTS,
    testing::MUTANTS,
];

/// What every backend passes.
const REDIS: &str = "backends::redis_conforms";
const IN_PROCESS: &str = "backends::the_in_process_backend_conforms";
/// What every store passes.
const SQLITE: &str = "stores::sqlite_in_a_file_keeps_the_contract";
const MEMORY: &str = "stores::memory_keeps_the_contract";
