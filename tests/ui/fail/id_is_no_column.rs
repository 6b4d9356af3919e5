use cached_repo::CachedEntity;

struct TodoId(u64);

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: TodoId,
}

fn main() {}
