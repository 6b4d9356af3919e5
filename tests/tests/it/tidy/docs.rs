//! Rules about documents: what they name exists, and they are short enough to be read.

use std::{collections::HashSet, fs, sync::LazyLock};

use super::{
    none,
    source::{Source, files, root},
};

const DOCUMENTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "GUARANTEES.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const README_LENGTH_MAX: usize = 200;
const EXAMPLE_LENGTH_MAX: usize = 80;
/// A document names a file from where its reader stands.
const BASES: [&str; 7] = [
    "",
    "cached-repo/",
    "cached-repo/src/",
    "cached-repo-derive/src/",
    "examples/src/bin/",
    "tests/",
    "tests/src/",
];
const FILE_ENDINGS: [&str; 7] = [".rs", ".md", ".toml", ".lua", ".yaml", ".sql", "/"];
/// A name with so many underscores is a test's, or at least a function's.
const UNDERSCORES_OF_A_TEST: usize = 3;

#[test]
fn files_that_documents_name_exist() {
    none("documents name files that exist", documents().iter().flat_map(dead_files));
}

#[test]
fn symbols_that_documents_name_exist() {
    none("documents name symbols that exist", documents().iter().flat_map(dead_symbols));
}

#[test]
fn the_readme_and_the_examples_are_short() {
    let readme = documents().into_iter().filter(|d| d.path == "README.md");
    none("the README is short", readme.filter_map(|d| too_long(&d, README_LENGTH_MAX)));
    let examples = files(".rs").into_iter().filter(|s| s.path.starts_with("examples/"));
    none("examples are short", examples.filter_map(|s| too_long(&s, EXAMPLE_LENGTH_MAX)));
}

#[test]
fn the_changelog_knows_the_version() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = documents().into_iter().find(|d| d.path == "CHANGELOG.md");
    let text = changelog.expect("CHANGELOG.md is missing").text;
    let is_known = text.lines().any(|l| l.starts_with('#') && l.contains(version));
    assert!(is_known, "CHANGELOG.md has no heading for {version}");
}

/// The documents at the top level, those that exist: that all do is another rule.
pub(crate) fn documents() -> Vec<Source> {
    let read = |name: &&str| Some(Source::new(name, &fs::read_to_string(root().join(name)).ok()?));
    DOCUMENTS.iter().filter_map(read).collect()
}

fn dead_files(document: &Source) -> Vec<String> {
    let links = between(&document.text, "](", ')').into_iter();
    let links = links.filter(|(_, link)| !link.contains("://") && !link.starts_with('#'));
    let links = links.map(|(line, link)| (line, link.split('#').next().unwrap_or(link)));
    let quoted = quoted(document).into_iter().filter(|(_, text)| is_file(text));
    let dead = links.chain(quoted).filter(|(_, name)| !file_exists(name));
    dead.map(|(line, name)| format!("{} {name}", document.at(line))).collect()
}

fn dead_symbols(document: &Source) -> Vec<String> {
    static WORDS: LazyLock<HashSet<String>> = LazyLock::new(words_of_the_sources);
    let symbols = quoted(document).into_iter().filter(|(_, text)| is_symbol(text));
    let dead = symbols.filter_map(|(line, symbol)| {
        // Arguments and type parameters may be anything.
        let path = symbol.split(['(', '<', '!']).next().unwrap_or(symbol);
        let missing = words(path).find(|word| !WORDS.contains(*word))?;
        Some(format!("{} {symbol}: no `{missing}` in the sources", document.at(line)))
    });
    dead.collect()
}

fn too_long(source: &Source, lines_max: usize) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > lines_max).then(|| format!("{} {lines} lines of {lines_max}", source.at(1)))
}

fn is_file(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let is_in_member = ["tests/", "examples/", "cached-repo", ".ci/"];
    text.len() > 1
        && text.chars().all(is_plain)
        && !text.starts_with(['/', '*'])
        && (FILE_ENDINGS.iter().any(|e| text.ends_with(e) && text != *e)
            || (text.contains('/') && is_in_member.iter().any(|m| text.starts_with(m))))
}

fn file_exists(name: &str) -> bool {
    // Of `scripts/*.lua` the folder must be there.
    let plain = name.split('*').next().unwrap_or(name);
    let in_base = BASES.iter().any(|base| root().join(base).join(plain).exists());
    in_base || (!plain.contains('/') && has_file_named(plain))
}

fn has_file_named(name: &str) -> bool {
    static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
        FILE_ENDINGS.iter().flat_map(|ending| files(ending)).map(|s| s.path).collect()
    });
    PATHS.iter().any(|path| path.rsplit('/').next() == Some(name))
}

/// `Type::method`, `method()`, or the long name of a test.
fn is_symbol(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_test = text.matches('_').count() >= UNDERSCORES_OF_A_TEST && text.chars().all(is_plain);
    let path = text.split(['(', '<']).next().unwrap_or(text);
    let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    let is_call = text.ends_with("()");
    is_test || (is_path && !path.is_empty() && (is_call || path.contains("::")))
}

fn words_of_the_sources() -> HashSet<String> {
    let all = [".rs", ".lua", ".toml"].map(files).concat();
    all.iter().flat_map(|s| words(&s.text)).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What stands between backticks, outside of blocks of code.
fn quoted(document: &Source) -> Vec<(usize, &str)> {
    let mut in_block = false;
    let blocks: HashSet<usize> = (1..)
        .zip(document.text.lines())
        .filter_map(|(i, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_block ^= is_fence;
            (in_block || is_fence).then_some(i)
        })
        .collect();
    let all = between(&document.text, "`", '`').into_iter();
    all.filter(|(line, _)| !blocks.contains(line)).collect()
}

/// The texts between two marks, with their lines; the marks stand in one line.
fn between<'a>(text: &'a str, open: &str, close: char) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (line, mut rest) in (1..).zip(text.lines()) {
        while let Some((_, after)) = rest.split_once(open) {
            let Some((inner, after)) = after.split_once(close) else { break };
            found.push((line, inner));
            rest = after;
        }
    }
    found
}

#[test]
fn dead_files_and_symbols_are_found() {
    let text = "See [x](NOWHERE.md), [run](tests/run#top), `store/mod.rs`, `lost.rs`, `scripts/`,\n\
        `Store::apply`, `Store::vanish()`, `https://x/y.rs`, `application/json`, `0.5`,\n\
        `a_test_that_was_removed_again`, `tests/gone`, `Batch::new(&[], t)`.\n\
        ```rust\n`lost::Symbol`\n```\n";
    let document = Source::new("README.md", text);
    // In pieces: these very lines are part of the sources.
    let lost = text.replace("vanish", &["van", "ished"].concat());
    let lost = lost.replace("removed_again", &["removed", "_for_good"].concat());
    let symbols = dead_symbols(&Source::new("README.md", &lost));
    assert_eq!(dead_files(&document).len(), 4, "{:?}", dead_files(&document));
    assert_eq!(symbols.len(), 2, "{symbols:?}");
}

#[test]
fn long_texts_are_found() {
    let source = Source::new("a.md", &"a\n".repeat(81));
    assert!(too_long(&source, EXAMPLE_LENGTH_MAX).is_some());
    assert!(too_long(&source, README_LENGTH_MAX).is_none());
}
