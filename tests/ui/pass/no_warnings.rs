//! The derive adds no warning to a crate that has none.
#![deny(
    warnings,
    missing_docs,
    unused,
    unused_qualifications,
    unused_results,
    unreachable_pub,
    missing_debug_implementations,
    single_use_lifetimes,
    unused_lifetimes,
    trivial_casts,
    deprecated,
    non_snake_case,
    let_underscore_drop
)]
#![forbid(unsafe_code)]

pub mod entities {
    //! Public entities.

    use cached_repo::CachedEntity;

    #[derive(Clone, Debug)]
    struct Hidden;

    /// An entity.
    #[derive(Debug, CachedEntity)]
    #[cache(prefix = "e", strategy = "write_through", format = "hash", ttl = "1h", schema = 3)]
    #[cache(jitter = "10%", negative_ttl = "30s", table = "public.e",)]
    pub struct Entity {
        /// The id.
        #[cache(id)]
        pub id: String,
        /// Old.
        #[deprecated]
        #[cache(alias = "older", alias = "oldest")]
        pub old: Option<i32>,
        #[cache(skip, default = "hidden")]
        hidden: Option<Hidden>,
        #[cache(json, default = "self::labels")]
        labels: Vec<String>,
    }

    fn hidden() -> Option<Hidden> {
        Some(Hidden)
    }

    fn labels() -> Vec<String> {
        vec!["l".to_owned()]
    }

    /// An old entity.
    #[deprecated]
    #[derive(Debug, CachedEntity)]
    #[cache(prefix = "old")]
    pub struct Old {
        #[cache(id)]
        id: u32,
    }

    impl Entity {
        /// Whether the derive filled the fields.
        #[must_use]
        pub fn is_whole(&self) -> bool {
            self.hidden.is_some() && self.labels == labels()
        }
    }
}

fn main() {
    use cached_repo::{CachedEntity, Record, Value};
    let mut record = Record::absent(3);
    record.set(0, Value::Text("1".into()));
    assert!(entities::Entity::from_record(&mut record).unwrap().is_whole());
}
