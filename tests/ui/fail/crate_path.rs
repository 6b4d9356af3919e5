use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", crate = "not a path")]
struct Todo {
    #[cache(id)]
    id: String,
}

fn main() {}
