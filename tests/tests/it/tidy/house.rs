//! Rules about what stands at the top of the repository.

use std::{collections::BTreeSet, fs};

use super::{none, source::root};

const EXPECTED: [&str; 15] = [
    "Cargo.toml",
    "README.md",
    "ARCHITECTURE.md",
    "GUARANTEES.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "compose.yaml",
    ".ci/run",
    "cached-repo",
    "cached-repo-derive",
    "examples",
    "tests",
    "tests/run",
];
/// Made by cargo.
const TOLERATED: [&str; 2] = ["Cargo.lock", "target"];

#[test]
fn the_top_level_holds_what_is_expected_and_nothing_else() {
    let entries = fs::read_dir(root()).unwrap().flatten();
    let entries = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    let missing = EXPECTED.iter().filter(|name| !root().join(name).exists());
    let missing = missing.map(|name| format!("{name} is missing"));
    none("the top level is as expected", missing.chain(unexpected(entries)));
}

fn unexpected(entries: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let known: BTreeSet<&str> = EXPECTED.into_iter().chain(TOLERATED).collect();
    let is_unknown = move |name: &String| !known.contains(name.as_str()) && !name.starts_with('.');
    entries.filter(is_unknown).map(|name| format!("{name} does not belong here"))
}

#[test]
fn unexpected_entries_are_found() {
    let entries = ["README.md", "target", ".git", "notes.txt"].map(str::to_owned);
    assert_eq!(unexpected(entries.into_iter()).count(), 1);
}
