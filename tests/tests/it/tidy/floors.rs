//! Rules about who may import what.

use super::{
    none,
    source::{NamedPath, Source, library},
};

/// The modules of `cached-repo`, by floor. A file imports from a lower floor or from its own folder.
const FLOORS: [&[&str]; 8] = [
    &["error", "clock", "retry", "failpoint", "tls", "credentials", "spelling"],
    &[
        "entity", "column", "schema", "record", "change", "layout", "key", "codec", "backend",
        "names", "derived",
    ],
    &["near", "redis", "memory", "store"],
    &["cache", "batching"],
    &["journal"],
    &["strategy", "worker"],
    &["repository", "builder", "handle", "decoders"],
    &["lib"],
];
/// Folders of one floor do not import each other; files of one floor may.
const FOLDERS: [&str; 8] =
    ["redis", "memory", "store", "near", "cache", "journal", "strategy", "worker"];
/// Crates, functions, and the only files that may say them, by the beginnings of their paths.
const ONLY_IN: [(&[&str], &[&str]); 6] = [
    (&["redis"], &["redis/"]),
    (&["sqlx"], &["store/sql", "store/connect.rs"]),
    (&["mongodb"], &["store/mongo/"]),
    (&["fastrand"], &["clock.rs", "retry.rs"]),
    (&["Instant", "now"], &["clock.rs"]),
    (&["SystemTime", "now"], &["clock.rs"]),
];

#[test]
fn imports_go_to_lower_floors_only() {
    let offences = sources().flat_map(|s| floor_offences(&s));
    none("a file imports from a lower floor or its own folder", offences);
}

#[test]
fn drivers_and_clocks_are_named_in_one_place_each() {
    none("a driver or a clock has one place", sources().flat_map(|s| place_offences(&s)));
}

fn sources() -> impl Iterator<Item = Source> {
    library().filter(|s| s.path.starts_with("cached-repo/src/"))
}

fn floor_offences(source: &Source) -> Vec<String> {
    let file = inside(source);
    let module = module(file);
    if module == "lib" {
        return Vec::new();
    }
    let Some(floor) = floor(module) else {
        return vec![format!("{} `{module}` has no floor yet", source.at(1))];
    };
    let offence = |path: NamedPath| {
        let target = target(file, &path)?;
        let reason = match self::floor(&target) {
            _ if path.is_test || target == module => return None,
            Some(to) if to < floor => return None,
            Some(to) if to == floor && !in_folder(module) && !in_folder(&target) => return None,
            Some(to) => format!("floor {floor} imports from floor {to}"),
            None => "name the module, not the crate's root".to_owned(),
        };
        Some(format!("{} {}: {reason}", source.at(path.line), path.segments.join("::")))
    };
    source.paths().into_iter().filter_map(offence).collect()
}

/// The module of this crate that a path leads to, if it leaves its own.
fn target(file: &str, path: &NamedPath) -> Option<String> {
    let ups = path.segments.iter().take_while(|s| *s == "super").count();
    let target = path.segments.get(ups.max(1))?;
    // `super` leads to the root from where the file's module stands.
    let depth = file.split('/').filter(|part| *part != "mod.rs").count();
    // A module inside the file is one deeper, and its `super` names an item of the file.
    let by_super = ups > 0 && ups == depth && floor(target).is_some();
    (path.segments[0] == "crate" || by_super).then(|| target.clone())
}

fn place_offences(source: &Source) -> Vec<String> {
    let offence = |path: NamedPath| {
        let is_path = |words: &[&str]| match words {
            [first] => path.segments[0] == *first,
            words => path.segments.windows(words.len()).any(|w| w == words),
        };
        let (words, places) = ONLY_IN.iter().find(|(words, _)| is_path(words))?;
        let is_allowed = places.iter().any(|place| inside(source).starts_with(place));
        let words = words.join("::");
        (!is_allowed && !path.is_test)
            .then(|| format!("{} `{words}` stands only in {places:?}", source.at(path.line)))
    };
    source.paths().into_iter().filter_map(offence).collect()
}

fn inside(source: &Source) -> &str {
    source.path.strip_prefix("cached-repo/src/").unwrap_or(&source.path)
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn in_folder(module: &str) -> bool {
    FOLDERS.contains(&module)
}

#[test]
fn imports_from_above_and_across_are_found() {
    let offences = |path: &str, text: &str| floor_offences(&Source::new(path, text)).len();
    for (file, bad) in [
        ("error.rs", "use crate::record::Record;"),
        ("store/sql/mod.rs", "use crate::{error::Error, redis::Entries};"),
        ("store/memory.rs", "fn f() { crate::cache::g() }"),
        ("strategy/mod.rs", "use crate::worker::Drain;"),
        ("record.rs", "use crate::Error;"),
        ("record.rs", "use super::store::Batch;"),
        ("store/sql/mod.rs", "use super::super::cache::Cache;"),
        ("utilities.rs", ""),
    ] {
        assert_eq!(offences(file, bad), 1, "{file}: {bad}");
    }
    for (file, good) in [
        ("lib.rs", "pub use crate::worker::Worker;"),
        ("record.rs", "use crate::{change::Change, error::Result};"),
        ("store/sql/mod.rs", "use crate::store::Batch; use super::super::SharedStore;"),
        ("error.rs", "#[cfg(test)] mod tests { use crate::worker::Drain; }"),
    ] {
        assert_eq!(offences(file, good), 0, "{file}: {good}");
    }
}

#[test]
fn drivers_and_clocks_in_the_wrong_place_are_found() {
    let offences = |path: &str, text: &str| place_offences(&Source::new(path, text)).len();
    let bad =
        "use sqlx::Pool; fn f(c: redis::Client) { std::time::Instant::now(); fastrand::u8(..) }";
    assert_eq!(offences("store/memory.rs", bad), 4);
    assert_eq!(offences("redis/mod.rs", "use redis::{Client, Value};"), 0);
    assert_eq!(offences("cache.rs", "use crate::{redis::Entries}; type T = Instant;"), 0);
    assert_eq!(offences("clock.rs", "fn f() { Instant::now(); fastrand::u8(..); }"), 0);
}
