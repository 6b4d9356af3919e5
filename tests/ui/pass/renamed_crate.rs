//! `crate = "…"` says where the library is, for those who re-export it.

mod my {
    pub mod reexport {
        pub use ::cached_repo::*;
    }
}

mod cached_repo {}

#[derive(my::reexport::CachedEntity)]
#[cache(prefix = "e", crate = "my::reexport", strategy = "redis_only", format = "json")]
struct Global {
    #[cache(id)]
    id: String,
    #[cache(json)]
    labels: Vec<String>,
}

fn main() {
    use my::reexport as other;

    #[derive(other::CachedEntity)]
    #[cache(prefix = "e", crate = "other")]
    struct Local {
        #[cache(id)]
        id: String,
    }

    let global = Global { id: "g".to_owned(), labels: Vec::new() };
    let local = Local { id: "l".to_owned() };
    assert_eq!(other::CachedEntity::id(&global) + &other::CachedEntity::id(&local), "gl");
    assert!(global.labels.is_empty());
}
