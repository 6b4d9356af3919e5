use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", near = "1s", near_capacity = 10, refresh_ahead = "80%", stale_if_error)]
#[cache(max_delay = "1s", snapshot = "1h", namespace = "app")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(unique, index)]
    email: String,
    #[cache(version)]
    version: u64,
    #[cache(created_at)]
    created: i64,
    #[cache(updated_at)]
    updated: i64,
    #[cache(counter)]
    count: i64,
    #[cache(normalize = "lowercase")]
    name: String,
}

fn main() {}
