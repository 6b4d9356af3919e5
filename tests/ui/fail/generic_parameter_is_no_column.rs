use cached_repo::{CachedEntity, Column};

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Boxed<T: Column> {
    #[cache(id)]
    id: String,
    value: T,
    tags: Vec<T>,
}

fn entity<E: CachedEntity>() {}

fn use_it() {
    entity::<Boxed<u8>>();
    entity::<Boxed<bool>>();
}

fn main() {}
