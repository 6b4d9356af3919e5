//! Where the functions and constants of a source file stand.

use std::{collections::HashSet, ops::Range};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A file's functions and constants, by bytes.
pub(crate) struct Outline {
    /// The bodies of functions, braces included, without those inside of others.
    functions: Vec<Function>,
    /// Constants outside of functions: their names and whole items.
    constants: Vec<(String, Range<usize>)>,
    /// Names that occur outside of functions, each constant's own aside.
    outside: HashSet<String>,
}

struct Function {
    body: Range<usize>,
    names: HashSet<String>,
}

impl Outline {
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let tokens: TokenStream = text.parse().map_err(|e| format!("no Rust: {e}"))?;
        let mut outline =
            Self { functions: Vec::new(), constants: Vec::new(), outside: HashSet::new() };
        outline.walk(tokens);
        Ok(outline)
    }

    /// The body that this place is inside of.
    pub(crate) fn function_around(&self, place: &Range<usize>) -> Option<Range<usize>> {
        let found = self.functions.iter().find(|function| is_inside(place, &function.body));
        found.map(|function| function.body.clone())
    }

    /// The constant that this place is a part of.
    pub(crate) fn constant_around(&self, place: &Range<usize>) -> Option<(&str, Range<usize>)> {
        let found = self.constants.iter().find(|(_, item)| is_inside(place, item));
        found.map(|(name, item)| (name.as_str(), item.clone()))
    }

    /// The bodies that name a constant, if nothing else does.
    pub(crate) fn users(&self, name: &str) -> Result<Vec<Range<usize>>, String> {
        let users = self.functions.iter().filter(|function| function.names.contains(name));
        let users: Vec<_> = users.map(|function| function.body.clone()).collect();
        match self.outside.contains(name) || users.is_empty() {
            true => Err(format!("{name} is not used by functions of its file alone")),
            false => Ok(users),
        }
    }

    fn walk(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let mut in_signature = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "fn" => in_signature = true,
                TokenTree::Ident(word) if word == "const" && !in_signature => {
                    let begin = word.span().byte_range().start;
                    let Some(TokenTree::Ident(name)) = tokens.next() else { continue };
                    if name == "fn" {
                        in_signature = true;
                        continue;
                    }
                    // A constant of a trait may have no value: it ends there all the same.
                    for token in tokens.by_ref() {
                        if is_semicolon(&token) {
                            let item = begin..token.span().byte_range().end;
                            self.constants.push((name.to_string(), item));
                            break;
                        }
                        names_of(token.into(), &mut self.outside);
                    }
                }
                TokenTree::Ident(word) => drop(self.outside.insert(word.to_string())),
                TokenTree::Group(group)
                    if in_signature && group.delimiter() == Delimiter::Brace =>
                {
                    in_signature = false;
                    let mut names = HashSet::new();
                    names_of(group.stream(), &mut names);
                    self.functions.push(Function { body: group.span().byte_range(), names });
                }
                TokenTree::Group(group) => self.walk(group.stream()),
                token if is_semicolon(&token) => in_signature = false,
                _ => {}
            }
        }
    }
}

fn is_inside(place: &Range<usize>, of: &Range<usize>) -> bool {
    of.start <= place.start && place.end <= of.end
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == ';' && p.spacing() == Spacing::Alone)
}

fn names_of(tokens: TokenStream, names: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => drop(names.insert(word.to_string())),
            TokenTree::Group(group) => names_of(group.stream(), names),
            _ => {}
        }
    }
}
