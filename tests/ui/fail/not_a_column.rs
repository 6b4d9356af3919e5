use cached_repo::CachedEntity;

struct Position {
    x: f64,
    y: f64,
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    position: Position,
    labels: Vec<String>,
    name: &'static str,
}

fn main() {}
