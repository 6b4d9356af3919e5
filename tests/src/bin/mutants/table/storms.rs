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
    mutant!("writes-end-with-their-callers": "a caller that goes away leaves half a write and its token",
        "cached-repo/src/strategy/mod.rs",
        "    match tokio::spawn(work).await {\n" =>
        "    match Ok::<_, tokio::task::JoinError>(work.await) {\n",
        "storms::dropped::a_call_that_is_dropped"),
    mutant!("loads-end-with-their-callers": "a reader that goes away leaves a lease",
        "cached-repo/src/strategy/loader.rs",
        "            tokio::spawn(async move { loader.fetch(leads).await });\n" =>
        "            loader.fetch(leads).await;\n",
        "storms::dropped::a_call_that_is_dropped"),
    mutant!("places-are-not-given-back": "reads without Redis come to an end for ever",
        "cached-repo/src/strategy/fetch.rs",
        "            Ok(_permit) => {\n" => "            Ok(permit) => {\n                permit.forget();\n",
        "storms::drops::a_dropped_read_gives_its_place"),
];
