use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", format = "jsn")]
struct Todo {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", compress = "zst")]
struct Misspelled {
    #[cache(id)]
    id: String,
}

fn main() {}
