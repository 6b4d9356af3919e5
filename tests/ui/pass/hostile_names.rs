//! A crate may call its own things what it likes.
#![allow(non_camel_case_types, non_upper_case_globals, dead_code)]

mod core {}
mod std {}
mod alloc {}
mod cached_repo {}
mod serde {}

struct Option;
struct Result;
struct String;
struct Vec;
struct Box;
struct Some;
struct None;
struct Ok;
struct Err;
struct Record;
struct Schema;
struct Value;
struct bool;
struct str;
struct u8;
struct u32;
struct u64;
struct usize;
trait Default {}
trait Clone {}
trait Send {}
trait Sync {}
trait Sized {}
trait Column {}
trait CachedEntity {}
const record: i32 = 1;
static schema: i32 = 1;

#[allow(unused_macros)]
macro_rules! unreachable {
    () => {
        compile_error!("not ours")
    };
}
#[allow(unused_macros)]
macro_rules! vec {
    () => {
        compile_error!("not ours")
    };
}

#[derive(::cached_repo::CachedEntity)]
#[cache(prefix = "e", strategy = "cache_aside", format = "hash", ttl = "1s", jitter = "1%")]
struct Entity<Record> {
    #[cache(id)]
    id: ::std::string::String,
    #[cache(id)]
    record: ::core::primitive::u64,
    #[cache(default)]
    __record: ::core::option::Option<::core::primitive::bool>,
    #[cache(json, default)]
    value: ::std::vec::Vec<::core::primitive::u8>,
    #[cache(skip)]
    skipped: ::core::primitive::usize,
    parameter: Record,
}

fn main() {
    let columns = <Entity<::core::primitive::bool> as ::cached_repo::CachedEntity>::SCHEMA;
    assert_eq!(columns.columns().len(), 5);
}
