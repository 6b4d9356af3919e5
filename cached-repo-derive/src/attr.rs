//! The syntax of `#[cache(…)]`: which attributes there are, and how each is written.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Lit, LitInt, LitStr, MacroDelimiter, Meta, Result};

use crate::errors::Errors;

/// Where an attribute stands.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Struct,
    Field,
}

/// How an attribute is written. Texts and numbers carry an example, for messages.
#[derive(Clone, Copy)]
enum Form {
    Word,
    Text(&'static str),
    Texts(&'static str),
    WordOrText(&'static str),
    Number(&'static str),
    YesOrNo,
    /// Known, and refused for this reason.
    Refused(&'static str),
}
use Form::*;

const LATER: Form = Refused("is not built yet");

const OF_STRUCT: &[(&str, Form)] = &[
    ("prefix", Text("todos")),
    ("table", Text("todos")),
    ("collection", Text("todos")),
    ("strategy", Text("write_through")),
    ("format", Text("json")),
    ("compress", Text("zstd")),
    ("ttl", Text("1h")),
    ("jitter", Text("10%")),
    ("negative_ttl", Text("30s")),
    ("schema", Number("2")),
    ("removed", Texts("old_field")),
    ("crate", Text("my::reexport")),
    ("near", LATER),
    ("near_capacity", LATER),
    ("refresh_ahead", LATER),
    ("stale_if_error", LATER),
    ("durability", Text("fsync")),
    ("coalesce", YesOrNo),
    ("batch", Number("500")),
    ("max_delay", LATER),
    ("max_backlog", Number("100000")),
    ("on_full", Text("block(1s)")),
    ("snapshot", Text("5m")),
    ("partitions", Number("16")),
    ("namespace", Refused("is no attribute of an entity: set it on the cache")),
];

const OF_FIELD: &[(&str, Form)] = &[
    ("id", Word),
    ("rename", Text("title")),
    ("column", Text("title")),
    ("alias", Texts("old_title")),
    ("skip", Word),
    ("default", WordOrText("path::to::function")),
    ("json", Word),
    ("generated", Word),
    ("unique", LATER),
    ("index", LATER),
    ("version", LATER),
    ("created_at", LATER),
    ("updated_at", LATER),
    ("counter", LATER),
    ("normalize", LATER),
];

impl Place {
    fn known(self) -> &'static [(&'static str, Form)] {
        match self {
            Place::Struct => OF_STRUCT,
            Place::Field => OF_FIELD,
        }
    }

    fn find(self, name: &str) -> Option<(&'static str, Form)> {
        self.known().iter().copied().find(|(known, _)| *known == name)
    }
}

/// What is said at one place, well-formed.
pub(crate) struct Said {
    items: Vec<Item>,
}

struct Item {
    name: &'static str,
    span: Span,
    value: Value,
}

enum Value {
    None,
    Text(LitStr),
    Number(LitInt),
    YesOrNo(bool),
}

impl Said {
    /// Where the attribute stands, if it does.
    pub(crate) fn span(&self, name: &str) -> Option<Span> {
        self.items.iter().find(|item| item.name == name).map(|item| item.span)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.span(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&LitStr> {
        self.texts(name).next()
    }

    /// The values of an attribute that may stand several times.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &LitStr> {
        self.items.iter().filter(move |item| item.name == name).filter_map(|item| {
            match &item.value {
                Value::Text(text) => Some(text),
                _ => None,
            }
        })
    }

    pub(crate) fn yes_or_no(&self, name: &str) -> Option<bool> {
        self.items.iter().filter(|item| item.name == name).find_map(|item| match item.value {
            Value::YesOrNo(yes) => Some(yes),
            _ => None,
        })
    }

    pub(crate) fn number(&self, name: &str) -> Option<&LitInt> {
        self.items.iter().filter(|item| item.name == name).find_map(|item| match &item.value {
            Value::Number(number) => Some(number),
            _ => None,
        })
    }
}

/// Reads all `#[cache(…)]` of one place. What is malformed is reported and left out.
pub(crate) fn parse(attributes: &[Attribute], place: Place, errors: &mut Errors) -> Said {
    let mut said = Said { items: Vec::new() };
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cache")) {
        let Some(list) = errors.keep(list(attribute)) else { continue };
        for chunk in split_at_commas(list) {
            let Some(item) = errors.keep(item(&chunk, place)) else { continue };
            let repeats = matches!(place.find(item.name), Some((_, Texts(_))));
            if said.has(item.name) && !repeats {
                errors.push(item.span, format!("`{}` is said twice", item.name));
            } else {
                said.items.push(item);
            }
        }
    }
    said
}

/// Whether an attribute is said at all, however badly; then its mistake is reported already.
pub(crate) fn means(attributes: &[Attribute], place: Place, name: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cache")).any(|attribute| {
        let Ok(list) = list(attribute) else { return true };
        split_at_commas(list).iter().any(|chunk| match chunk.first() {
            Some(TokenTree::Ident(word)) => nearest(&word.to_string(), place) == Some(name),
            _ => false,
        })
    })
}

fn list(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::List(list) if matches!(list.delimiter, MacroDelimiter::Paren(_)) => {
            Ok(list.tokens.clone())
        }
        _ => Err(syn::Error::new_spanned(attribute.path(), "write `#[cache(…)]`")),
    }
}

/// Works on bare tokens so that a mistake in one item does not hide those in the next.
fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    tokens.split(is_comma).filter(|chunk| !chunk.is_empty()).map(<[_]>::to_vec).collect()
}

fn item(chunk: &[TokenTree], place: Place) -> Result<Item> {
    let [TokenTree::Ident(word), rest @ ..] = chunk else {
        let span = chunk.first().map_or_else(Span::call_site, TokenTree::span);
        return Err(syn::Error::new(span, "expected an attribute's name"));
    };
    let span = word.span();
    let (name, form) =
        place.find(&word.to_string()).ok_or_else(|| unknown(&word.to_string(), span, place))?;
    if let Refused(why) = form {
        return Err(syn::Error::new(span, format!("`{name}` {why}")));
    }
    Ok(Item { name, span, value: value(name, span, form, rest)? })
}

fn value(name: &str, span: Span, form: Form, rest: &[TokenTree]) -> Result<Value> {
    let literal = match rest {
        [] => None,
        [TokenTree::Punct(equals), literal @ ..] if equals.as_char() == '=' => {
            syn::parse2::<Lit>(literal.iter().cloned().collect()).ok()
        }
        _ => None,
    };
    if let ([_, TokenTree::Literal(_), extra, ..], None) = (rest, &literal) {
        return Err(syn::Error::new(extra.span(), "expected `,`"));
    }
    let place = rest.last().map_or(span, TokenTree::span);
    let expected = |what: String| Err(syn::Error::new(place, what));
    match (form, literal) {
        (Word | WordOrText(_), None) if rest.is_empty() => Ok(Value::None),
        (Text(_) | Texts(_) | WordOrText(_), Some(Lit::Str(text))) => Ok(Value::Text(text)),
        (Number(_), Some(Lit::Int(number))) => Ok(Value::Number(number)),
        (YesOrNo, Some(Lit::Bool(yes))) => Ok(Value::YesOrNo(yes.value)),
        (Word, _) => expected(format!("`{name}` takes no value")),
        (WordOrText(example), _) => {
            expected(format!("expected `{name}`, or a text as in `{name} = {example:?}`"))
        }
        (Text(example) | Texts(example), _) => {
            expected(format!("expected a text, as in `{name} = {example:?}`"))
        }
        (Number(example), _) => expected(format!("expected a number, as in `{name} = {example}`")),
        (YesOrNo, _) => expected(format!("expected `{name} = true` or `{name} = false`")),
        (Refused(why), _) => expected(format!("`{name}` {why}")),
    }
}

fn unknown(word: &str, span: Span, place: Place) -> syn::Error {
    let (other, where_to) = match place {
        Place::Struct => (Place::Field, "a field"),
        Place::Field => (Place::Struct, "the struct"),
    };
    if other.find(word).is_some() {
        return syn::Error::new(span, format!("`{word}` belongs on {where_to}"));
    }
    let hint = nearest(word, place).map_or_else(
        || {
            let built = place.known().iter().filter(|(_, form)| !matches!(form, Refused(_)));
            let all: Vec<String> = built.map(|(known, _)| format!("`{known}`")).collect();
            format!("there are {}", all.join(", "))
        },
        |known| format!("did you mean `{known}`?"),
    );
    syn::Error::new(span, format!("unknown attribute `{word}`; {hint}"))
}

/// The attribute that was meant, if it is as good as certain.
fn nearest(word: &str, place: Place) -> Option<&'static str> {
    let all = place.known().iter().map(|(known, _)| (distance(word, known), *known));
    let (distance, known) = all.min()?;
    (distance <= (word.len() / 3).max(1)).then_some(known)
}

/// How many characters must be added, removed or changed to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}
