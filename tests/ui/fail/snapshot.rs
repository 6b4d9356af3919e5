use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", strategy = "write_through", snapshot = "5m")]
struct OtherStrategy {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", strategy = "redis_only", snapshot = "0")]
struct Never {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", snapshot = "often")]
struct NoDuration {
    #[cache(id)]
    id: String,
}

fn main() {}
