use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache]
struct Word {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache = "todos"]
struct Value {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache{prefix = "todos"}]
struct Braces {
    #[cache[id]]
    id: String,
}

#[derive(CachedEntity)]
#[cache()]
struct Empty {
    #[cache()]
    id: String,
}

fn main() {}
