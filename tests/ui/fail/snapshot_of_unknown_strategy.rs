use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "d", strategy = "redis_onyl", snapshot = "5m")]
struct UnknownStrategy {
    #[cache(id)]
    id: String,
}

fn main() {}
