//! Parameters, their bounds, defaults and where clauses are kept, and get what the columns need.
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::{fmt::Debug, marker::PhantomData};

use cached_repo::{CachedEntity, Column};

/// Type parameters in every kind of field.
#[derive(CachedEntity)]
#[cache(prefix = "everything")]
pub struct Everything<K, V: Debug = String, J = (), S = u8, const N: usize = 4>
where
    K: Column + PartialEq,
    Vec<J>: Clone,
{
    #[cache(id)]
    key: K,
    #[cache(id)]
    part: i32,
    value: V,
    #[cache(default)]
    optional: Option<V>,
    #[cache(json)]
    nested: Vec<J>,
    #[cache(json, default)]
    array: Option<[u8; 2]>,
    #[cache(skip)]
    scratch: S,
    #[cache(skip)]
    marker: PhantomData<[u8; N]>,
}

trait Named {
    type Name;
}

/// A column whose type is a parameter's own.
#[derive(CachedEntity)]
#[cache(prefix = "projected")]
struct Projected<T: Named> {
    #[cache(id)]
    id: T::Name,
    marker: Option<<T as Named>::Name>,
}

struct Plain;
impl Named for Plain {
    type Name = String;
}

#[derive(Clone)]
struct Private<T>(T);
impl<T: Column> Column for Private<T> {
    const KIND: cached_repo::Kind = T::KIND;
    const NULLABLE: bool = T::NULLABLE;
    fn to_value(&self) -> cached_repo::Value<'_> {
        self.0.to_value()
    }
    fn from_value(value: cached_repo::Value<'_>) -> Result<Self, cached_repo::ColumnError> {
        T::from_value(value).map(Private)
    }
}

/// A private type in a bound.
#[derive(CachedEntity)]
#[cache(prefix = "wrapped")]
pub struct Wrapped<T> {
    #[cache(id)]
    id: String,
    inner: Private<T>,
}

fn entity<E: CachedEntity>(_: &E) -> usize {
    E::SCHEMA.columns().len()
}

fn main() {
    let everything = Everything::<String, bool, i32, Vec<u8>> {
        key: "k".to_owned(),
        part: 1,
        value: true,
        optional: None,
        nested: vec![1],
        array: None,
        scratch: Vec::new(),
        marker: PhantomData,
    };
    assert_eq!(entity(&everything), 6);
    let projected = Projected::<Plain> { id: "p".to_owned(), marker: None };
    assert_eq!(entity(&projected), 2);
    assert_eq!(entity(&Wrapped { id: "w".to_owned(), inner: Private(3_i32) }), 2);
}
