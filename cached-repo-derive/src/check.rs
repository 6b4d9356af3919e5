//! What literals must look like, and what must not be said together or twice.

use std::{collections::HashMap, time::Duration};

use syn::{Ident, LitStr, Result};

use crate::{
    errors::Errors,
    model::{Durability, Field, Name, OnFull, Storage},
};

/// `500ms`, `30s`, `5m`, `1h`, `7d`; `0` needs no unit.
pub(crate) fn duration(literal: &LitStr) -> Result<Duration> {
    let text = literal.value();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms = match &text[digits..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60 * 1_000),
        "h" => Some(60 * 60 * 1_000),
        "d" => Some(24 * 60 * 60 * 1_000),
        "" if text == "0" => Some(1),
        _ => None,
    };
    let ms = unit_ms.and_then(|unit| text[..digits].parse::<u64>().ok()?.checked_mul(unit));
    ms.map(Duration::from_millis).ok_or_else(|| {
        let form =
            "a duration is a whole number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\", \"7d\"";
        syn::Error::new(literal.span(), form)
    })
}

/// A duration that is not zero.
pub(crate) fn lifetime(literal: &LitStr) -> Result<Duration> {
    let duration = duration(literal)?;
    if duration.is_zero() {
        let message = "`ttl` cannot be 0: an entry would be gone before it is read";
        return Err(syn::Error::new(literal.span(), message));
    }
    Ok(duration)
}

/// How often, within what `build` takes.
pub(crate) fn interval(literal: &LitStr) -> Result<Duration> {
    let duration = duration(literal)?;
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&duration) {
        let message =
            "`snapshot` says how often, from \"1s\" to \"30d\"; without it there are none";
        return Err(syn::Error::new(literal.span(), message));
    }
    Ok(duration)
}

/// `block(1s)`, `reject` or `write_through`.
pub(crate) fn on_full(literal: &LitStr) -> Result<OnFull> {
    let text = literal.value();
    match text.as_str() {
        "reject" => return Ok(OnFull::Reject),
        "write_through" => return Ok(OnFull::WriteThrough),
        _ => {}
    }
    let Some(time) = text.strip_prefix("block(").and_then(|rest| rest.strip_suffix(')')) else {
        let message = "`on_full` is \"block(1s)\", with the time that a write waits, \"reject\" or \
                       \"write_through\"";
        return Err(syn::Error::new(literal.span(), message));
    };
    duration(&LitStr::new(time, literal.span())).map(OnFull::Block)
}

/// `memory`, `fsync` or `replicated(2)`.
pub(crate) fn durability(literal: &LitStr) -> Result<Durability> {
    let text = literal.value();
    let count = text.strip_prefix("replicated(").and_then(|rest| rest.strip_suffix(')'));
    match (text.as_str(), count.map(str::parse)) {
        ("memory", _) => Ok(Durability::Memory),
        ("fsync", _) => Ok(Durability::Fsync),
        (_, Some(Ok(replicas @ 1..))) => Ok(Durability::Replicated(replicas)),
        _ => {
            let message = "`durability` is \"memory\", \"fsync\", or \"replicated(1)\" with the number \
                           of replicas";
            Err(syn::Error::new(literal.span(), message))
        }
    }
}

/// `0%` to `100%`.
pub(crate) fn percent(literal: &LitStr) -> Result<u8> {
    let text = literal.value();
    // `parse` alone would take a sign.
    let digits = text.strip_suffix('%').filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(percent @ 0..=100) => Ok(percent),
        _ => {
            let message = "jitter is a whole share of the time to live: \"0%\" to \"100%\"";
            Err(syn::Error::new(literal.span(), message))
        }
    }
}

/// Prefixes need no encoding, so that keys stay readable.
pub(crate) fn prefix(prefix: &Name, errors: &mut Errors) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let sound = (1..=PREFIX_LEN_MAX).contains(&prefix.text.len()) && prefix.text.chars().all(plain);
    if !sound {
        let message = format!("a prefix is 1 to {PREFIX_LEN_MAX} characters of `A-Z a-z 0-9 _ -`");
        errors.push(prefix.span, message);
    }
    sound
}

/// The entities before this one: `customers`, or several with commas between them.
pub(crate) fn after<'a>(
    own: &str,
    literals: impl Iterator<Item = &'a LitStr>,
    errors: &mut Errors,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for literal in literals {
        for text in literal.value().split(',').map(str::trim) {
            let name = Name { text: text.to_owned(), span: literal.span() };
            if !prefix(&name, errors) {
                continue;
            }
            if name.text == own {
                errors.push(name.span, "an entity is not drained after itself: leave it out");
            } else if names.contains(&name.text) {
                errors.push(name.span, format!("`{text}` is named twice"));
            } else {
                names.push(name.text);
            }
        }
    }
    names
}

/// A table's name may have the database schema before a dot.
pub(crate) fn table(table: &Name, errors: &mut Errors) {
    let parts = table.text.split('.').collect::<Vec<_>>();
    if parts.len() > 2 {
        errors.push(table.span, "a table is `table` or `schema.table`: at most one dot");
    } else {
        for part in parts {
            store_name("table", part, table, errors);
        }
    }
}

/// No two columns share a name, neither in entries nor in the store.
pub(crate) fn names(fields: &[Field<'_>], errors: &mut Errors) {
    let mut in_entries = HashMap::new();
    let mut in_store = HashMap::new();
    for field in fields.iter().filter(|field| field.storage != Storage::Skipped) {
        let sound = entry_name(field, &field.name, &mut in_entries, errors);
        for alias in &field.aliases {
            entry_name(field, alias, &mut in_entries, errors);
        }
        // The column that merely repeats a wrong name is not one more mistake.
        let Some(column) = field.column.as_ref().or(sound.then_some(&field.name)) else { continue };
        store_name("column", &column.text, column, errors);
        if let Some(other) = in_store.insert(&column.text, field.ident) {
            let message = format!("`{}` is the column of the field `{other}` already", column.text);
            errors.push(column.span, message);
        }
    }
}

/// What was removed is not there.
pub(crate) fn removed(names: &[Name], fields: &[Field<'_>], errors: &mut Errors) {
    for (i, name) in names.iter().enumerate() {
        let stored = fields.iter().filter(|field| field.storage != Storage::Skipped);
        let has = |field: &&Field<'_>| {
            field.name.text == name.text || field.aliases.iter().any(|a| a.text == name.text)
        };
        let message = match stored.clone().find(has) {
            _ if name.text.is_empty() => "a name cannot be empty".to_owned(),
            Some(field) => format!("`{}` is a name of the field `{}`", name.text, field.ident),
            None if names[..i].iter().any(|other| other.text == name.text) => {
                format!("`{}` is removed twice", name.text)
            }
            None => continue,
        };
        errors.push(name.span, message);
    }
}

fn entry_name<'a>(
    field: &Field<'a>,
    name: &'a Name,
    taken: &mut HashMap<&'a str, &'a Ident>,
    errors: &mut Errors,
) -> bool {
    let message = if name.text.is_empty() {
        "a name cannot be empty".to_owned()
    } else if name.text.starts_with(RESERVED) {
        format!("names that start with `{RESERVED}` are reserved")
    } else if let Some(other) = taken.insert(&name.text, field.ident) {
        format!("`{}` is a name of the field `{other}` already", name.text)
    } else {
        return true;
    };
    errors.push(name.span, message);
    false
}

fn store_name(what: &str, part: &str, whole: &Name, errors: &mut Errors) {
    if part.is_empty() {
        errors.push(whole.span, format!("the name of a {what} cannot be empty"));
    } else if part.contains('\0') {
        errors.push(whole.span, format!("the name of a {what} cannot contain NUL"));
    } else if part.len() > STORE_NAME_LEN_MAX {
        let message = format!(
            "this {what}'s name would have {} bytes, and databases take {STORE_NAME_LEN_MAX}: \
             say `{what} = \"…\"`",
            part.len()
        );
        errors.push(whole.span, message);
    }
}

const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest that the entry keys allow, see `key` in `cached-repo`.
const PREFIX_LEN_MAX: usize = 64;
/// PostgreSQL cuts longer names off without an error.
const STORE_NAME_LEN_MAX: usize = 63;
/// The field of an entry that is ours.
const RESERVED: &str = "_cr";
