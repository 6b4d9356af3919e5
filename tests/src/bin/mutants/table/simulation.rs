//! Mutants that others of this table are too, met by the simulation alone: it must be able to fail.

use crate::mutant::{Mutant, mutant};

const LOSSLESS: &str = "simulation::any_course";

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("simulated-m18-coalescing-keeps-the-first": "of several writes of an id the first one is written",
        "cached-repo/src/worker/plan.rs",
        "                    plan.changes[*place.get()] = change;\n                    plan.sources[*place.get()] = index;\n" =>
        "                    drop((place, change));\n",
        LOSSLESS),
    mutant!("simulated-m4-unknown-is-committed": "a commit of which nobody knows is taken for one that happened",
        "cached-repo/src/worker/drain.rs",
        "            Class::Fenced | Class::Unknown => Ok(Step::Again)," =>
        "            Class::Unknown | Class::Transient => Ok(Step::Committed(Vec::new())),\n            Class::Fenced => Ok(Step::Again),",
        LOSSLESS),
    mutant!("simulated-begin-ignores-dirty": "a store-first write does not wait for the drain",
        "cached-repo/src/memory/state.rs",
        "Some(_) if self.entries.journaled_version(&slot.entry, now) > Some(meta.acked) => {\n" => "Some(_) if false => {\n",
        LOSSLESS),
];
