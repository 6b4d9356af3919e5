use cached_repo::CachedEntity;

#[derive(CachedEntity)]
struct Todo {
    name: String,
}

fn main() {}
