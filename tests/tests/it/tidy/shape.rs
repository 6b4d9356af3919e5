//! Rules about the size of things, and how a file opens.

use super::{
    none,
    source::{Function, Source, files, library},
};

const FILE_LENGTH_MAX: usize = 300;
const FUNCTION_LENGTH_MAX: usize = 70;
/// Of the published crates, nine functions in ten are at most this long.
const FUNCTION_LENGTH_P90_MAX: usize = 25;

#[test]
fn every_file_opens_with_a_sentence_that_says_what_it_is_for() {
    none("a file opens with `//! A sentence.`", files(".rs").iter().filter_map(opening_offence));
}

#[test]
fn no_file_is_too_long() {
    none("files have at most 300 lines", files(".rs").iter().filter_map(file_offence));
}

#[test]
fn no_function_is_too_long() {
    let all = files(".rs");
    none("functions have at most 70 lines", all.iter().flat_map(function_offences));
}

#[test]
fn nine_functions_in_ten_are_short() {
    let of = |s: Source| s.functions().into_iter().filter(|f| !f.is_test);
    let (p90, functions) = (p90(library().flat_map(of)), library().flat_map(of).count());
    assert!(p90 <= FUNCTION_LENGTH_P90_MAX, "the p90 of {functions} functions is {p90} lines");
}

fn opening_offence(source: &Source) -> Option<String> {
    let paragraph = source.text.lines().map_while(|l| l.strip_prefix("//! "));
    let paragraph = paragraph.collect::<Vec<_>>().join(" ");
    let has_sentence = paragraph.ends_with('.') || paragraph.contains(". ");
    (!has_sentence).then(|| format!("{} no sentence", source.at(1)))
}

fn file_offence(source: &Source) -> Option<String> {
    let end = source.tokens().into_iter().rev().take_while(|t| t.is_test).last();
    // The tests at the end do not count, nor does the attribute above them.
    let counted = match end {
        Some(token) if token.text == "mod" => token.line.saturating_sub(2),
        _ => usize::MAX,
    };
    let length = source.text.lines().take(counted).filter(|l| !l.trim().is_empty()).count();
    (length > FILE_LENGTH_MAX).then(|| format!("{} {length} lines", source.at(1)))
}

fn function_offences(source: &Source) -> impl Iterator<Item = String> {
    let long = source.functions().into_iter().filter(|f| f.length > FUNCTION_LENGTH_MAX);
    long.map(|f| format!("{} {} has {} lines", source.at(f.line), f.name, f.length))
}

fn p90(functions: impl Iterator<Item = Function>) -> usize {
    let mut lengths: Vec<usize> = functions.map(|f| f.length).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() * 9 / 10).copied().unwrap_or(0)
}

#[test]
fn bad_openings_are_found() {
    for bad in ["", "use a;", "//! No full stop\n//!\n//! A sentence.", "// A comment."] {
        assert!(opening_offence(&Source::new("a.rs", bad)).is_some(), "{bad:?}");
    }
    for good in ["//! A sentence.\nuse a;", "//! One that\n//! goes on. And on:\n\nuse a;"] {
        assert!(opening_offence(&Source::new("a.rs", good)).is_none(), "{good:?}");
    }
}

#[test]
fn long_files_and_functions_are_found() {
    let lines = |n: usize| "a();\n\n".repeat(n);
    let function = |n: usize| Source::new("a.rs", &format!("fn f() {{\n{}}}\n", lines(n)));
    assert_eq!(function_offences(&function(70)).count(), 0);
    assert_eq!(function_offences(&function(71)).count(), 1);
    assert!(file_offence(&function(298)).is_none());
    assert!(file_offence(&function(299)).is_some());
    let tested = format!("fn f() {{\n{}}}\n#[cfg(test)]\nmod t {{\n{}}}\n", lines(298), lines(99));
    assert!(file_offence(&Source::new("a.rs", &tested)).is_none());
    assert_eq!(p90(function(30).functions().into_iter()), 30);
}
