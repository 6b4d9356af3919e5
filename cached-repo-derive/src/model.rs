//! What the attributes mean: an entity, its settings, its fields.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use proc_macro2::Span;
use syn::{
    Data, DataStruct, DeriveInput, ExprPath, Fields, GenericParam, Ident, LitStr, Path, Type,
    ext::IdentExt, parse_quote, spanned::Spanned,
};

use crate::{
    attr::{self, Place, Said},
    check,
    errors::Errors,
};

/// All that the generated code needs to know.
pub(crate) struct Entity<'a> {
    pub(crate) input: &'a DeriveInput,
    /// Where `cached_repo` is.
    pub(crate) krate: Path,
    pub(crate) prefix: String,
    pub(crate) table: String,
    pub(crate) version: u32,
    /// Names of columns that older versions had.
    pub(crate) removed: Vec<Name>,
    pub(crate) settings: Settings,
    pub(crate) fields: Vec<Field<'a>>,
}

/// What may stay unsaid.
pub(crate) struct Settings {
    /// The word, at its literal: rustc looks it up, and reports it where it is written.
    pub(crate) strategy: Option<Ident>,
    pub(crate) format: Option<Ident>,
    pub(crate) compress: Option<Ident>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) jitter_percent: Option<u8>,
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) partitions: Option<u32>,
    pub(crate) coalesce: Option<bool>,
    pub(crate) batch: Option<usize>,
    pub(crate) max_backlog: Option<u64>,
    pub(crate) on_full: Option<OnFull>,
    pub(crate) snapshot: Option<Duration>,
    pub(crate) durability: Option<Durability>,
    /// The prefixes of the entities before this one.
    pub(crate) after: Vec<String>,
}

/// When a write that goes to Redis is acknowledged.
#[derive(Clone, Copy)]
pub(crate) enum Durability {
    Memory,
    Fsync,
    Replicated(u32),
}

/// What a write does when the backlog is as large as it may be.
#[derive(Clone, Copy)]
pub(crate) enum OnFull {
    Block(Duration),
    Reject,
    WriteThrough,
}

pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
    /// In entries.
    pub(crate) name: Name,
    /// In the store, where it differs.
    pub(crate) column: Option<Name>,
    pub(crate) aliases: Vec<Name>,
    pub(crate) id: bool,
    /// The database computes it.
    pub(crate) generated: bool,
    pub(crate) storage: Storage,
    pub(crate) default: Default,
}

/// A name, and where it is said.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Storage {
    Column,
    Json,
    Skipped,
}

/// What a field is when there is nothing to read.
pub(crate) enum Default {
    None,
    Trait,
    Function(ExprPath),
}

impl From<&LitStr> for Name {
    fn from(literal: &LitStr) -> Self {
        Name { text: literal.value(), span: literal.span() }
    }
}

/// Reads the whole input. Mistakes are reported; what they leave unsaid has some value.
pub(crate) fn read<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Entity<'a> {
    let said = attr::parse(&input.attrs, Place::Struct, errors);
    lifetimes(input, errors);
    let (prefix, table) = names(input, &said, errors);
    let krate = said.text("crate").and_then(|literal| {
        let message = "`crate` is a path: \"my::reexport\"";
        errors.keep(literal.parse_with(Path::parse_mod_style).map_err(|_| at(literal, message)))
    });
    let entity = Entity {
        input,
        krate: krate.unwrap_or_else(|| parse_quote!(::cached_repo)),
        prefix: prefix.clone(),
        table,
        version: number(&said, "schema", 0..=u32::MAX, errors).unwrap_or(1),
        settings: Settings {
            strategy: word(&said, "strategy", STRATEGIES, errors),
            format: word(&said, "format", FORMATS, errors),
            compress: compression(&said, errors),
            ttl: parsed(&said, "ttl", check::lifetime, errors),
            jitter_percent: parsed(&said, "jitter", check::percent, errors),
            negative_ttl: parsed(&said, "negative_ttl", check::duration, errors),
            partitions: number(&said, "partitions", 1..=PARTITIONS_MAX, errors),
            coalesce: said.yes_or_no("coalesce"),
            batch: number(&said, "batch", 1..=BATCH_MAX, errors),
            max_backlog: number(&said, "max_backlog", 1..=u64::MAX, errors),
            on_full: parsed(&said, "on_full", check::on_full, errors),
            snapshot: parsed(&said, "snapshot", check::interval, errors),
            durability: parsed(&said, "durability", check::durability, errors),
            after: check::after(&prefix, said.texts("after"), errors),
        },
        removed: said.texts("removed").map(Name::from).collect(),
        fields: fields(input, errors),
    };
    check::removed(&entity.removed, &entity.fields, errors);
    entity
}

/// The prefix and the table. Empty where they are missing.
fn names(input: &DeriveInput, said: &Said, errors: &mut Errors) -> (String, String) {
    let prefix = said.text("prefix").map(Name::from);
    let mut sound = false;
    match &prefix {
        Some(prefix) => sound = check::prefix(prefix, errors),
        // What is wrong with it is reported already.
        None if attr::means(&input.attrs, Place::Struct, "prefix") => {}
        None => {
            let message = "the prefix of the keys is missing: say `#[cache(prefix = \"…\")]`";
            errors.push(input.ident.span(), message);
        }
    }
    if let (Some(_), Some(second)) = (said.span("table"), said.span("collection")) {
        errors.push(second, "`collection` is another word for `table`: say one of them");
    }
    let table = said.text("table").or(said.text("collection")).map(Name::from);
    if let Some(table) = table.as_ref().or(prefix.as_ref().filter(|_| sound)) {
        check::table(table, errors);
    }
    let prefix = prefix.map(|name| name.text).unwrap_or_default();
    let table = table.map_or_else(|| prefix.clone(), |name| name.text);
    (prefix, table)
}

/// The words of attributes that name a thing of the library. It has an item of each name.
const STRATEGIES: &[&str] =
    &["cache_aside", "read_through", "write_through", "write_behind", "redis_only"];
const FORMATS: &[&str] = &["json", "hash", "json_doc", "msgpack"];
const COMPRESSIONS: &[&str] = &["zstd"];

fn word(said: &Said, name: &str, words: &[&str], errors: &mut Errors) -> Option<Ident> {
    let literal = said.text(name)?;
    let text = literal.value();
    if !words.contains(&&*text) {
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let message = format!("`{name} = {text:?}` is unknown: use one of {}", words.join(", "));
        errors.push(literal.span(), message);
        return None;
    }
    Some(Ident::new(&text, literal.span()))
}

/// The compression, where the format is one of those that can be compressed.
fn compression(said: &Said, errors: &mut Errors) -> Option<Ident> {
    let literal = said.text("compress")?;
    let format = said.text("format").map(|format| format.value()).unwrap_or_default();
    if ["hash", "json_doc"].contains(&&*format) {
        let message = format!(
            "`compress` does not go with the format `{format}`, whose columns other programs read"
        );
        errors.push(literal.span(), message);
        return None;
    }
    word(said, "compress", COMPRESSIONS, errors)
}

fn number<T>(said: &Said, name: &str, range: RangeInclusive<T>, errors: &mut Errors) -> Option<T>
where
    T: FromStr<Err: Display> + PartialOrd + Display,
{
    let literal = said.number(name)?;
    let number = literal.base10_parse::<T>().ok().filter(|number| range.contains(number));
    let message = format!("`{name}` is a whole number from {} to {}", range.start(), range.end());
    errors.keep(number.ok_or_else(|| syn::Error::new(literal.span(), message)))
}

fn parsed<T>(
    said: &Said,
    name: &str,
    parse: impl FnOnce(&LitStr) -> syn::Result<T>,
    errors: &mut Errors,
) -> Option<T> {
    errors.keep(parse(said.text(name)?))
}

fn lifetimes(input: &DeriveInput, errors: &mut Errors) {
    for parameter in &input.generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            errors.push(lifetime.span(), "an entity owns its data: it cannot have lifetimes");
        }
    }
}

fn fields<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Vec<Field<'a>> {
    let Data::Struct(DataStruct { fields: Fields::Named(named), .. }) = &input.data else {
        let message = "`CachedEntity` can be derived only for a struct with named fields";
        errors.push(input.ident.span(), message);
        return Vec::new();
    };
    let fields: Vec<_> = named.named.iter().filter_map(|f| field(f, errors)).collect();
    check::names(&fields, errors);
    let ids: Vec<_> = fields.iter().filter(|field| field.id).collect();
    if ids.is_empty() && !named.named.iter().any(|f| attr::means(&f.attrs, Place::Field, "id")) {
        let message = "no field is the id: put `#[cache(id)]` on one, or on each part of it";
        errors.push(input.ident.span(), message);
    }
    if let Some(field) = ids.get(ID_COLUMNS_MAX) {
        let message = format!("an id has at most {ID_COLUMNS_MAX} fields");
        errors.push(field.ident.span(), message);
    }
    fields
}

fn field<'a>(field: &'a syn::Field, errors: &mut Errors) -> Option<Field<'a>> {
    let ident = field.ident.as_ref()?;
    let said = attr::parse(&field.attrs, Place::Field, errors);
    let refused = conflicts(&said, errors);
    let own = || Name { text: ident.unraw().to_string(), span: ident.span() };
    Some(Field {
        ident,
        ty: &field.ty,
        name: said.text("rename").map_or_else(own, Name::from),
        column: said.text("column").map(Name::from),
        aliases: said.texts("alias").map(Name::from).collect(),
        id: said.has("id") && !refused,
        generated: said.has("generated") && !refused,
        storage: match (said.has("skip"), said.has("json")) {
            (true, _) => Storage::Skipped,
            (false, true) => Storage::Json,
            (false, false) => Storage::Column,
        },
        default: default(&said, errors),
    })
}

fn conflicts(said: &Said, errors: &mut Errors) -> bool {
    let mut refused = false;
    for (attribute, others, why) in CONFLICTS {
        if !said.has(attribute) {
            continue;
        }
        for other in *others {
            if let Some(span) = said.span(other) {
                errors.push(span, format!("`{other}` does not go with `{attribute}`: {why}"));
                refused = true;
            }
        }
    }
    refused
}

fn default(said: &Said, errors: &mut Errors) -> Default {
    let Some(literal) = said.text("default") else {
        return if said.has("default") { Default::Trait } else { Default::None };
    };
    let message = "`default` is the path of a function: \"path::to::function\"";
    let mut generated = literal.clone();
    generated.set_span(literal.span().resolved_at(Span::call_site()));
    match errors.keep(generated.parse().map_err(|_| at(literal, message))) {
        Some(path) => Default::Function(path),
        None => Default::Trait,
    }
}

fn at(literal: &LitStr, message: &str) -> syn::Error {
    syn::Error::new(literal.span(), message)
}

/// What cannot stand on one field, and why.
const CONFLICTS: &[(&str, &[&str], &str)] = &[
    ("id", &["skip", "json", "default", "generated"], "an id is a plain column of every entity"),
    (
        "skip",
        &["rename", "column", "alias", "json", "generated"],
        "a skipped field is stored nowhere",
    ),
];

/// The bounds that the builder has.
const PARTITIONS_MAX: u32 = 4096;
const BATCH_MAX: usize = 10_000;
/// As many as `cached_repo::Id` has tuples for.
pub(crate) const ID_COLUMNS_MAX: usize = 4;
