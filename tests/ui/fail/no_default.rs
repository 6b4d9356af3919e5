use cached_repo::CachedEntity;

#[derive(Clone, Copy)]
struct Handle(u8);

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(skip)]
    handle: Handle,
}

fn main() {}
