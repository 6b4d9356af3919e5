//! The derive knows each strategy and each format that the library has.

use cached_repo::{CachedEntity, Format, Strategy};

macro_rules! entities {
    ($of:ident $key:ident $all:expr; $($name:ident = $word:literal),*) => {
        fn $of() {
            $(
                #[derive(CachedEntity)]
                #[cache(prefix = "a", $key = $word)]
                struct $name {
                    #[cache(id)]
                    id: i64,
                }
            )*
            let known = [$($name::SETTINGS.$key),*];
            for one in $all {
                assert!(known.contains(&Some(one.name())), "{}", one.name());
            }
        }
    };
}
entities!(strategies strategy Strategy::ALL; A = "cache_aside", B = "read_through", C = "write_through",
    D = "write_behind", E = "redis_only");
entities!(formats format Format::ALL; A = "json", B = "hash", C = "json_doc", D = "msgpack");

fn main() {
    strategies();
    formats();
}
