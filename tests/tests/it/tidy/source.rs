//! The source tree as the rules see it: files, tokens, functions, paths.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

/// A file of the tree; its path is relative to the workspace and has forward slashes.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One token, without its comments. Brackets know their partner.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Whether it is compiled for unit tests only.
    pub(crate) is_test: bool,
    partner: usize,
}

/// A function with a body; its length is the number of the body's non-blank lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) length: usize,
    pub(crate) is_test: bool,
}

/// A path such as `crate::store::Batch`, with the trees of `use` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) is_test: bool,
}

pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the crate stands in the workspace").to_owned()
}

/// All files of the members whose names end so; `ui` folders hold programs that are wrong on purpose.
pub(crate) fn files(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for member in ["cached-repo", "cached-repo-derive", "examples", "tests"] {
        walk(&root().join(member), ending, &mut found);
    }
    found.sort_by(|a: &Source, b: &Source| a.path.cmp(&b.path));
    found
}

/// The sources of the two published crates.
pub(crate) fn library() -> impl Iterator<Item = Source> {
    let is_library = |s: &Source| {
        s.path.starts_with("cached-repo/src/") || s.path.starts_with("cached-repo-derive/src/")
    };
    files(".rs").into_iter().filter(is_library)
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() && !["target", "ui"].contains(&name.as_str()) && !name.starts_with('.') {
            walk(&path, ending, found);
        } else if path.is_file() && name.ends_with(ending) {
            found.push(Source::read(&path));
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn read(path: &Path) -> Self {
        let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        Self { path: relative, text: fs::read_to_string(path).unwrap() }
    }

    /// How an offence in this file begins.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}:", self.path)
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        let stream = TokenStream::from_str(&self.text)
            .unwrap_or_else(|e| panic!("{}: cannot be read as Rust: {e}", self.path));
        // A file of nothing but unit tests, as `#[path = "x_tests.rs"] mod tests;` includes it.
        let is_test = self.path.ends_with("tests.rs");
        let mut tokens = Vec::new();
        flatten(stream, is_test, &mut tokens);
        tokens
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        let tokens = self.tokens();
        let found = (0..tokens.len()).filter_map(|i| {
            if tokens[i].text != "fn" || !tokens.get(i + 1)?.is_word() {
                return None;
            }
            let open = body(&tokens, i)?;
            let (from, to) = (tokens[open].line, tokens[tokens[open].partner].line);
            let lines = self.text.lines().skip(from).take(to.saturating_sub(from + 1));
            let length = lines.filter(|l| !l.trim().is_empty()).count().max(1);
            let Token { line, is_test, .. } = tokens[i];
            Some(Function { name: tokens[i + 1].text.clone(), line, length, is_test })
        });
        found.collect()
    }

    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        let (tokens, mut found, mut i) = (self.tokens(), Vec::new(), 0);
        while i < tokens.len() {
            i = if starts_path(&tokens, i) {
                take_path(&tokens, i, Vec::new(), &mut found)
            } else {
                i + 1
            };
        }
        found
    }
}

impl Token {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Whether the tokens from `i` on read like this.
pub(crate) fn reads(tokens: &[Token], i: usize, words: &[&str]) -> bool {
    let here = tokens[i..].iter().map(|t| t.text.as_str());
    tokens.len() - i >= words.len() && here.zip(words).all(|(a, b)| a == *b)
}

fn flatten(stream: TokenStream, is_test: bool, tokens: &mut Vec<Token>) {
    let (mut item_is_test, mut after_hash, mut after_colon) = (false, false, false);
    for tree in stream {
        let is_test = is_test || item_is_test;
        let push = |tokens: &mut Vec<Token>, text: String, span: Span| {
            let line = span.start().line;
            tokens.push(Token { text, line, is_test, partner: tokens.len() });
        };
        let (was_hash, was_colon) = (after_hash, after_colon);
        (after_hash, after_colon) = (false, false);
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(&group);
                let index = tokens.len();
                push(tokens, open.into(), group.span_open());
                flatten(group.stream(), is_test, tokens);
                push(tokens, close.into(), group.span_close());
                tokens[index].partner = tokens.len() - 1;
                // An attribute holds for the item that follows, up to its end.
                item_is_test = (item_is_test && group.delimiter() != Delimiter::Brace)
                    || (was_hash && only_for_tests(&group));
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && was_colon => {
                if let Some(first) = tokens.last_mut() {
                    first.text = "::".into();
                }
            }
            TokenTree::Punct(punct) => {
                after_hash = punct.as_char() == '#';
                after_colon = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                push(tokens, punct.to_string(), punct.span());
                item_is_test &= punct.as_char() != ';';
            }
            TokenTree::Ident(ident) => push(tokens, ident.to_string(), ident.span()),
            TokenTree::Literal(literal) => push(tokens, literal.to_string(), literal.span()),
        }
    }
}

fn brackets(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Brace => ("{", "}"),
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// `[cfg(test)]`, alone or among other conditions.
fn only_for_tests(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("cfg(") && text.contains("test") && !text.contains("not(test")
}

/// The bracket that opens the body of the function at `i`, unless it is only declared.
fn body(tokens: &[Token], mut i: usize) -> Option<usize> {
    loop {
        match tokens.get(i)?.text.as_str() {
            "{" => return Some(i),
            ";" | "}" | ")" | "]" => return None,
            _ => i = tokens[i].partner + 1,
        }
    }
}

fn starts_path(tokens: &[Token], i: usize) -> bool {
    let before = |n: usize| i.checked_sub(n).map_or("", |i| tokens[i].text.as_str());
    let is_followed = tokens.get(i + 1).is_some_and(|t| t.text == "::");
    // `::redis::x` names a crate as `redis::x` does; `A::<B>::x` and `<A as B>::x` go on with `x`.
    let follows_type = before(2) == ">" && before(3) != "-";
    let follows_word = i.checked_sub(2).is_some_and(|i| tokens[i].is_word());
    let starts = match before(1) {
        "::" => !follows_type && !follows_word,
        before => before != "." && before != "$",
    };
    tokens[i].is_word() && is_followed && starts
}

/// Adds the path, or the paths of the tree, that goes on at `i`, and says where it ends.
fn take_path(
    tokens: &[Token],
    mut i: usize,
    mut segments: Vec<String>,
    found: &mut Vec<NamedPath>,
) -> usize {
    let Token { line, is_test, .. } = tokens[i];
    while tokens[i].is_word() || tokens[i].text == "*" {
        segments.push(tokens[i].text.clone());
        if tokens.get(i + 1).is_none_or(|t| t.text != "::") {
            break;
        }
        i += 2;
    }
    if tokens[i].text != "{" {
        found.push(NamedPath { segments, line, is_test });
        return i + 1;
    }
    let (mut element, end) = (i + 1, tokens[i].partner);
    while element < end {
        element = take_path(tokens, element, segments.clone(), found);
        while element < end && tokens[element - 1].text != "," {
            element = tokens[element].partner + 1;
        }
    }
    end + 1
}

#[test]
fn functions_are_found_with_their_lengths_and_tests_are_told_apart() {
    let text = "trait A { fn declared(&self) -> [u8; 2]; }\n\
        fn one<T: Fn(u8) -> u8>(x: [u8; 3]) where T: B {\n  a();\n\n  /* fn no() {} */ b(\"}\");\n}\n\
        #[cfg(test)]\nmod tests { fn two() {} }\nfn three() { let f: fn(u8) = x; }";
    let found = Source::new("a.rs", text).functions();
    let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.length, f.is_test)).collect();
    assert_eq!(found, [("one", 2, false), ("two", 1, true), ("three", 1, false)]);
}

#[test]
fn paths_are_found_with_their_trees_taken_apart() {
    let text =
        "use crate::{a::{B, c}, d::*};\nfn f() -> ::e::F<g::H> { i.j::<k::L>(); $crate::m(); }";
    let paths = Source::new("a.rs", text).paths();
    let found: Vec<String> = paths.iter().map(|p| p.segments.join("::")).collect();
    assert_eq!(found, ["crate::a::B", "crate::a::c", "crate::d::*", "e::F", "g::H", "k::L"]);
}
