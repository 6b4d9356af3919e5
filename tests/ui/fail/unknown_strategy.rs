use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", strategy = "write_behnd")]
struct Todo {
    #[cache(id)]
    id: String,
}

fn main() {}
