//! Mutants that only networks which fail, futures that are dropped, and full servers show.

use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("owed-hides-what-is-journaled": "a process that owes an invalidation reads rows past the journal",
        "cached-repo/src/strategy/loader.rs",
        "owed.contains(id) && !matches!(entry, Entry::Unstored(_));" => "owed.contains(id);",
        "faults::a8_a_journaled_write_is_read_by_a_process_that_owes"),
    mutant!("owed-passes-over-other-formats": "the same where another process writes another format",
        "cached-repo/src/strategy/loader.rs",
        "match closely || !owed.is_empty() {" => "match closely {",
        "faults::a8_a_journaled_write_is_read_by_a_process_that_owes"),
];
