use cached_repo::CachedEntity;

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
    #[cache(json, default = "text")]
    tree: Vec<u8>,
    #[cache(skip, default = "text")]
    scratch: i32,
}

fn main() {}
