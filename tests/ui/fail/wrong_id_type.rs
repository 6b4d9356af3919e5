use cached_repo::{CachedEntity, Repository};

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: i64,
}

async fn wrong(repo: &Repository<Todo>) {
    let _ = repo.get("one").await;
}

fn main() {}
