use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", strategy = "write-through", format = "")]
struct Todo {
    #[cache(id)]
    id: String,
}

fn main() {}
