//! Rules about Redis: keys are spelled in one place, scripts say why they are scripts.

use super::{
    none,
    source::{Source, files, library},
};

/// Where a joined string would be a key.
const KEY_USERS: [&str; 6] = ["redis", "memory", "cache", "strategy", "worker", "batching"];
/// The comment at the top of a script has a line that begins with each of these.
const HEADER: [&str; 4] = ["KEYS", "ARGV", "Returns", "Atomic because"];

#[test]
fn keys_are_spelled_in_the_key_module_only() {
    none("spell keys in key.rs", library().flat_map(|s| joined_keys(&s)));
    none("pass keys in KEYS", files(".lua").iter().flat_map(joined_in_script));
}

#[test]
fn every_script_says_what_it_takes_and_why_it_is_atomic() {
    let expected = format!("a script opens with a comment whose lines begin with {HEADER:?}");
    none(&expected, files(".lua").iter().flat_map(missing_header));
}

/// Text that puts a value behind a bare colon, without a space anywhere: `"{prefix}:{id}"`.
fn joined_keys(source: &Source) -> Vec<String> {
    let file = source.path.strip_prefix("cached-repo/src/").unwrap_or_default();
    if !KEY_USERS.contains(&file.split(['/', '.']).next().unwrap_or_default()) {
        return Vec::new();
    }
    let is_key = |text: &str| {
        // With escapes it is JSON, with slashes a URL.
        let is_text = text.starts_with('"') && !text.contains([' ', '\\', '/']);
        // An address is joined by a colon, too.
        is_text && text.replace("::", "").contains(":{") && !text.contains(":{port")
    };
    let tokens = source.tokens().into_iter().filter(|t| !t.is_test && is_key(&t.text));
    tokens.map(|t| format!("{} {}", source.at(t.line), t.text)).collect()
}

fn joined_in_script(source: &Source) -> Vec<String> {
    let is_join = |line: &str| {
        let code = line.split("--").next().unwrap_or_default().replace(' ', "");
        ["..':", "..\":", ":'..", ":\".."].iter().any(|join| code.contains(join))
    };
    let lines = source.text.lines().enumerate().filter(|(_, line)| is_join(line));
    lines.map(|(i, line)| format!("{} {}", source.at(i + 1), line.trim())).collect()
}

fn missing_header(source: &Source) -> Vec<String> {
    let header = source.text.lines().map_while(|l| l.strip_prefix("--")).map(str::trim);
    let header: Vec<&str> = header.collect();
    let is_missing = |word: &&str| !header.iter().any(|line| line.starts_with(*word));
    HEADER.iter().filter(|w| is_missing(w)).map(|w| format!("{} no {w}", source.at(1))).collect()
}

#[test]
fn joined_keys_are_found() {
    let found = |file: &str, text: &str| {
        joined_keys(&Source::new(&format!("cached-repo/src/{file}"), text)).len()
    };
    let bad = r#"fn f() { format!("{prefix}:{id}"); format!("lease:{}", id); }"#;
    assert_eq!((found("redis/entries.rs", bad), found("key.rs", bad)), (2, 0));
    let good = r#"fn f() { format!("{host}:{port}"); format!("{a}: {b}"); format!("{a}::{b}"); }"#;
    assert_eq!(found("redis/entries.rs", good), 0);
    let lua = Source::new("a.lua", "local k = KEYS[1] .. ':lease'\nlocal l = a..b -- x..':'");
    assert_eq!(joined_in_script(&lua).len(), 1);
}

#[test]
fn scripts_without_a_header_are_found() {
    let good = "-- Fills.\n-- KEYS 1 entry\n-- ARGV 1 token\n-- Returns 1\n-- Atomic because so.\n";
    assert_eq!(missing_header(&Source::new("a.lua", good)).len(), 0);
    assert_eq!(missing_header(&Source::new("a.lua", "-- KEYS: none\nlocal ARGV")).len(), 3);
}
