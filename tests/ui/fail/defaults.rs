use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct NoPath {
    #[cache(id)]
    id: String,
    #[cache(default = "3 + 4")]
    rank: i32,
    #[cache(default = "")]
    empty: i32,
}

fn text() -> String {
    String::new()
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct WrongFunction {
    #[cache(id)]
    id: String,
    #[cache(default = "text")]
    rank: i32,
    #[cache(default = "no_such_function")]
    done: bool,
    #[cache(skip, default = "text")]
    scratch: i32,
}

fn main() {}
