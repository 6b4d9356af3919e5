use std::rc::Rc;

use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(skip)]
    handle: Option<Rc<u8>>,
}

fn main() {}
