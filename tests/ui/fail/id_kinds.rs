use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Float {
    #[cache(id)]
    id: f64,
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Optional {
    name: String,
    #[cache(id)]
    id: Option<String>,
}

fn main() {}
