//! Code over any entity reads and deletes by the id that an entity has.
#![deny(warnings)]

use cached_repo::{CachedEntity, Repository, Result};

pub async fn again<E: CachedEntity>(repo: &Repository<E>, entity: &E) -> Result<Option<E>> {
    let _ = repo.get_many([entity.id()]).await?;
    if repo.exists(entity.id()).await? {
        return repo.get(entity.id()).await;
    }
    let _ = repo.delete(entity.id()).await?;
    Ok(None)
}

#[derive(CachedEntity)]
#[cache(prefix = "pairs")]
struct Pair {
    #[cache(id)]
    left: i64,
    #[cache(id)]
    right: String,
}

fn main() {
    let _ = again::<Pair>;
}
