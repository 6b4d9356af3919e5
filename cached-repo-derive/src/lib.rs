//! The derive of `cached-repo`: turns an annotated struct into a schema and its column access.

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

mod attr;
mod model;
mod check;
mod expand;
mod settings;
mod errors;

/// Derives `CachedEntity` for a struct with named fields.
///
/// ```text
/// #[derive(Clone, Debug, PartialEq, CachedEntity)]
/// #[cache(prefix = "todos", strategy = "write_through", ttl = "1h")]
/// struct Todo {
///     #[cache(id)]
///     id: String,
///     #[cache(rename = "title", alias = "caption")]
///     name: String,
///     #[cache(json)]
///     labels: Vec<String>,
///     #[cache(default)]
///     done: bool,
/// }
/// ```
///
/// # On the struct
///
/// | attribute | default | meaning |
/// |---|---|---|
/// | `prefix = "todos"` | required | first part of every key; also the default table |
/// | `table = "todos"`, `collection = …` | the prefix | name in the store; may be `schema.table` |
/// | `strategy = "write_through"` | `cache_aside` | what is read and written when |
/// | `format = "hash"` | `json` | how an entry looks in Redis |
/// | `ttl = "1h"` | `1h` | how long a clean entry lives: `500ms`, `30s`, `5m`, `1h`, `7d` |
/// | `jitter = "10%"` | `10%` | by how much of itself a time to live is spread |
/// | `negative_ttl = "30s"` | `30s` | how long "no such row" is remembered; `0` turns it off |
/// | `partitions = 16` | `16` | into how many parts the entity's keys are divided; `RepositoryBuilder::repartition` changes it |
/// | `coalesce = false` | `true` | whether of several journaled writes of one id only the last is drained |
/// | `batch = 500` | `500` | how many journaled writes are drained in one transaction |
/// | `max_backlog = 100000` | `100000` | how many journaled writes may wait for the drain |
/// | `on_full = "block(1s)"` | `block(1s)` | what a write does when they are that many: wait so long, or `reject` |
/// | `schema = 2` | `1` | raise it for a change that field names and types do not show |
/// | `crate = "my::reexport"` | `::cached_repo` | where this library is |
///
/// # On a field
///
/// | attribute | meaning |
/// |---|---|
/// | `id` | the id, or one of up to four parts of it |
/// | `rename = "title"` | its name in entries and in the store |
/// | `column = "title"` | its name in the store, where that differs |
/// | `alias = "caption"` | an older name in entries; may stand several times |
/// | `json` | any serde type, in one column |
/// | `default`, `default = "path"` | what it is when an entry or row does not have it |
/// | `skip` | is stored nowhere, and is its default when read |
/// | `generated` | a column that the database computes: read, and never written |
///
/// Every other field's type must be a `Column`.
#[proc_macro_derive(CachedEntity, attributes(cache))]
pub fn cached_entity(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    implemented(&input).into()
}

fn implemented(input: &DeriveInput) -> proc_macro2::TokenStream {
    let mut errors = errors::Errors::default();
    let entity = model::read(input, &mut errors);
    match errors.into_tokens() {
        None => expand::implementation(&entity),
        Some(errors) => {
            let fallback = expand::fallback(&entity);
            quote!(#errors #fallback)
        }
    }
}

#[cfg(test)]
mod tests;
