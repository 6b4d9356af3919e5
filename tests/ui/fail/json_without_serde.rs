use cached_repo::CachedEntity;

struct Position {
    x: f64,
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(json)]
    position: Position,
}

fn main() {}
