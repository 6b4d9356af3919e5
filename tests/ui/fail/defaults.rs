use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct NoPath {
    #[cache(id)]
    id: String,
    #[cache(default = "3 + 4")]
    rank: i32,
    #[cache(default = "")]
    empty: i32,
}

fn main() {}
