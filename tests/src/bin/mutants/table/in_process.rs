//! Mutants of the in-process backend: twins of some of the scripts'.

use super::IN_PROCESS;
use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("in-process-m7-acknowledgement-ignores-the-version": "an entry that was written again goes",
        "cached-repo/src/memory/entries.rs",
        "            _ if entry.version > settled.version => {}\n" => "",
        IN_PROCESS),
    mutant!("in-process-m9-no-fence": "writes are journaled without the store's position",
        "cached-repo/src/memory/append.rs",
        "if !meta.exists() || !meta.is_at_home() || meta.sealed {" => "if !meta.exists() || meta.sealed {",
        IN_PROCESS),
    mutant!("in-process-m14-op-id-ignored": "a write that is tried again is journaled again",
        "cached-repo/src/memory/append.rs",
        "            if !found.is_empty() {\n" => "            if false {\n",
        IN_PROCESS),
    mutant!("in-process-append-ignores-intents": "an entry is dirty and intended",
        "cached-repo/src/memory/append.rs",
        ".filter(|deadline| *deadline > now)?" => ".filter(|_| false)?",
        IN_PROCESS),
    mutant!("in-process-begin-ignores-dirty": "a store-first write does not wait for the drain",
        "cached-repo/src/memory/state.rs",
        "Some(_) if self.entries.journaled_version(&slot.entry, now) > Some(meta.acked) => {\n" => "Some(_) if false => {\n",
        IN_PROCESS),
    mutant!("in-process-outdated-journal-kept": "a journal that was given up is drained",
        "cached-repo/src/memory/partition.rs",
        "let is_current = meta.epoch >= repair.settled;" => "let is_current = true;",
        IN_PROCESS),
    mutant!("in-process-acknowledgement-of-another-epoch": "versions of another epoch clean entries",
        "cached-repo/src/memory/journal.rs",
        "|| meta.epoch != ack.epoch || meta" => "|| meta",
        IN_PROCESS),
    mutant!("in-process-trimmed-under-the-reader": "what a restored store is given is trimmed before it is read",
        "cached-repo/src/memory/partition.rs",
        "if last_id < mark.id {" => "if false {",
        IN_PROCESS),
];
