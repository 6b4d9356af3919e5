//! Rules about words that do not stand in the sources, or only with a reason.

use super::{
    none,
    source::{Source, files, library, reads},
};

const SUFFIXES: [&str; 5] = ["Manager", "Helper", "Util", "Utils", "Impl"];
/// The plural of the front door's `get`.
const GETTERS: [&str; 2] = ["get_many", "get_mut"];
const TEXTS: [&str; 7] = [".rs", ".lua", ".md", ".toml", ".yaml", ".stderr", "/run"];

#[test]
fn nothing_is_left_to_be_done() {
    let code = files(".rs");
    none("finish it, or write it down elsewhere", texts().iter().flat_map(unfinished_text));
    none("finish it, or write it down elsewhere", code.iter().flat_map(unfinished_code));
}

#[test]
fn nothing_in_the_libraries_panics_without_a_proof() {
    // A conformance suite is a test that other crates call: it tells by panicking.
    let offences = library().filter(|s| !s.path.contains("conformance")).flat_map(|s| unproved(&s));
    none("`unwrap` and `expect` have a comment `Proof: …` at or above the line", offences);
}

#[test]
fn names_say_what_a_thing_is() {
    none("no empty suffixes, no `get_`", library().flat_map(|s| names(&s)));
}

#[test]
fn no_tabs_and_no_spaces_at_the_end_of_a_line() {
    none("no tabs, no trailing spaces", texts().iter().flat_map(whitespace));
}

fn texts() -> Vec<Source> {
    let of_members = TEXTS.iter().flat_map(|ending| files(ending.trim_start_matches('/')));
    let of_root = super::docs::documents().into_iter();
    of_members.chain(of_root).collect()
}

fn unfinished_text(source: &Source) -> Vec<String> {
    // Taken apart, so that this file may be checked as well.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let offence = |(i, line): (usize, &str)| {
        let found = line.split(|c| !is_word(c)).find(|w| words.iter().any(|word| word == w))?;
        Some(format!("{} {found}", source.at(i + 1)))
    };
    source.text.lines().enumerate().filter_map(offence).collect()
}

fn unfinished_code(source: &Source) -> Vec<String> {
    const BANNED: [&[&str]; 4] =
        [&["todo", "!"], &["unimplemented", "!"], &["dbg", "!"], &["#", "[", "ignore"]];
    let tokens = source.tokens();
    let offence = |i: usize| {
        let words = BANNED.iter().find(|words| reads(&tokens, i, words))?;
        Some(format!("{} {}", source.at(tokens[i].line), words.concat()))
    };
    (0..tokens.len()).filter_map(offence).collect()
}

fn unproved(source: &Source) -> Vec<String> {
    let (tokens, lines) = (source.tokens(), source.text.lines().collect::<Vec<_>>());
    let is_proved = |line: usize| {
        let above = lines[..line - 1].iter().rev().take_while(|l| l.trim().starts_with("//"));
        above.chain([&lines[line - 1]]).any(|l| l.contains("Proof:"))
    };
    let offence = |i: usize| {
        let word = tokens.get(i + 1)?;
        let is_call = [".", "::"].contains(&tokens[i].text.as_str())
            && ["unwrap", "expect"].contains(&word.text.as_str());
        (is_call && !word.is_test && !is_proved(word.line))
            .then(|| format!("{} {}", source.at(word.line), word.text))
    };
    (0..tokens.len()).filter_map(offence).collect()
}

fn names(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let offence = |i: usize| {
        let name = tokens.get(i + 1)?;
        let is_bad = match tokens[i].text.as_str() {
            "struct" | "enum" | "trait" | "type" | "union" => {
                SUFFIXES.iter().any(|suffix| name.text.ends_with(suffix))
            }
            "fn" => name.text.starts_with("get_") && !GETTERS.contains(&name.text.as_str()),
            _ => false,
        };
        is_bad.then(|| format!("{} {}", source.at(name.line), name.text))
    };
    (0..tokens.len()).filter_map(offence).collect()
}

fn whitespace(source: &Source) -> Vec<String> {
    // What a compiler printed is as it is.
    if source.path.ends_with(".stderr") {
        return Vec::new();
    }
    let is_bad = |line: &str| line.contains('\t') || line.ends_with(' ');
    let lines = source.text.lines().enumerate().filter(|(_, line)| is_bad(line));
    lines.map(|(i, _)| source.at(i + 1)).collect()
}

#[test]
fn what_is_left_to_be_done_is_found() {
    let text = ["// TO", "DO: more\n// FIX", "ME\nlet to_do = Todo::TO", "DOS;"].concat();
    assert_eq!(unfinished_text(&Source::new("a.rs", &text)).len(), 2);
    let code =
        "fn f() { todo!(); unimplemented!(\"x\"); dbg!(1); }\n#[ignore = \"slow\"] fn g() {}";
    assert_eq!(unfinished_code(&Source::new("a.rs", code)).len(), 4);
    let good = "fn todo() { // todo!()\n \"dbg!()\"; ignore(); }";
    assert_eq!(unfinished_code(&Source::new("a.rs", good)).len(), 0);
}

#[test]
fn panics_without_a_proof_are_found() {
    let bad = "fn f() { a.unwrap(); b.expect(\"x\"); c.map(Option::unwrap); d\n.unwrap(); }";
    assert_eq!(unproved(&Source::new("a.rs", bad)).len(), 4);
    let good = "fn f() {\n a.unwrap(); // Proof: it is.\n // Proof: it must be,\n // you see.\n \
        b.unwrap();\n c.unwrap_or(1);\n}\n#[cfg(test)] mod t { fn g() { d.unwrap(); } }";
    assert_eq!(unproved(&Source::new("a.rs", good)), Vec::<String>::new());
}

#[test]
fn bad_names_and_bad_whitespace_are_found() {
    let bad = "struct KeyManager; trait StoreImpl {} fn get_name() {} fn get_many() {} struct Key;";
    assert_eq!(names(&Source::new("a.rs", bad)).len(), 3);
    assert_eq!(whitespace(&Source::new("a.rs", "a \n\tb\nc\n")).len(), 2);
}
