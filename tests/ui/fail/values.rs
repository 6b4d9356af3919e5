use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix, table = 1, strategy("cache_aside"), format = json, schema)]
struct Todo {
    #[cache(id = "yes")]
    id: String,
    #[cache(rename = title)]
    name: String,
    #[cache(skip = true)]
    scratch: u32,
    #[cache(default = 3)]
    rank: i32,
    #[cache(json(flat))]
    labels: Vec<String>,
    #[cache(column = )]
    column: String,
    #[cache("alias")]
    alias: String,
    #[cache(alias = "a" alias = "b")]
    comma: String,
}

fn main() {}
