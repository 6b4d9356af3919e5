//! Snapshots of `redis_only`, and of a strategy that the builder says.

use std::time::Duration;

use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", strategy = "redis_only", snapshot = "5m")]
struct Kept {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", snapshot = "30d")]
struct AsTheBuilderSays {
    #[cache(id)]
    id: String,
}

fn main() {
    assert_eq!(Kept::SETTINGS.snapshot, Some(Duration::from_secs(300)));
    assert_eq!(AsTheBuilderSays::SETTINGS.snapshot, Some(Duration::from_secs(30 * 86_400)));
}
