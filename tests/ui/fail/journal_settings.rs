use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", coalesce = "no", batch = 0, max_backlog = 0, partitions = 5000)]
#[cache(on_full = "drop", durability = "replicated(0)")]
struct Todo {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", coalesce, batch = "5", max_backlog = 99999999999999999999, partitions = -1)]
#[cache(on_full = "block(soon)", durability = "disk")]
struct Other {
    #[cache(id)]
    id: String,
}

fn main() {}
