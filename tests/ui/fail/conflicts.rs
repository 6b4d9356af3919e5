use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id, skip)]
    a: String,
    #[cache(id, json)]
    b: Vec<String>,
    #[cache(default, id, generated)]
    c: String,
    #[cache(skip, rename = "e", column = "f", alias = "g", json, generated)]
    d: String,
}

fn main() {}
