use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "todos", removed = "size", removed = "size", removed = "", removed = "title")]
#[cache(removed = "name", removed = 3, removed)]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(alias = "title")]
    name: String,
    #[cache(skip)]
    skipped: u8,
}

#[derive(CachedEntity)]
#[cache(prefix = "todos", removed = "skipped")]
struct Sound {
    #[cache(id)]
    id: String,
    #[cache(skip)]
    skipped: u8,
}

fn main() {}
