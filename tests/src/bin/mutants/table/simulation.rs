//! Mutants that others of this table are too, met by the simulation alone: it must be able to fail.

use crate::mutant::{Mutant, mutant};

const LOSSLESS: &str = "simulation::any_course";
const LOSSY: &str = "simulation::after_a_loss";

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("simulated-m18-coalescing-keeps-the-first": "of several writes of an id the first one is written",
        "cached-repo/src/worker/plan.rs",
        "                    plan.changes[*place.get()] = change;\n                    plan.sources[*place.get()] = index;\n" =>
        "                    drop((place, change));\n",
        LOSSLESS),
    mutant!("simulated-m2-no-compare-and-set": "a batch is written twice, or behind a later one",
        "cached-repo/src/store/journaled.rs",
        "&& offset.last_id == self.from\n" => "&& (offset.last_id == self.from || true)\n",
        LOSSLESS, LOSSY),
    mutant!("simulated-m4-unknown-is-committed": "a commit of which nobody knows is taken for one that happened",
        "cached-repo/src/worker/drain.rs",
        "            Class::Fenced | Class::Unknown => Ok(Step::Again)," =>
        "            Class::Unknown | Class::Transient => Ok(Step::Committed(Vec::new())),\n            Class::Fenced => Ok(Step::Again),",
        LOSSLESS),
    mutant!("simulated-m7-acknowledgement-ignores-the-version": "an entry that was written again goes",
        "cached-repo/src/memory/entries.rs",
        "            _ if entry.version > settled.version => {}\n" => "",
        LOSSLESS),
    mutant!("simulated-append-ignores-intents": "an entry is dirty and intended",
        "cached-repo/src/memory/journal.rs",
        ".filter(|deadline| *deadline > now)?" => ".filter(|_| false)?",
        LOSSLESS),
    mutant!("simulated-begin-ignores-dirty": "a store-first write does not wait for the drain",
        "cached-repo/src/memory/state.rs",
        "Some(_) if self.entries.journaled_version(&slot.entry, now) > Some(meta.acked) => {\n" => "Some(_) if false => {\n",
        LOSSLESS),
];
