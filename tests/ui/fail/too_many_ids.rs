use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    a: u8,
    #[cache(id)]
    b: u8,
    #[cache(id)]
    c: u8,
    #[cache(id)]
    d: u8,
    #[cache(id)]
    e: u8,
}

fn main() {}
