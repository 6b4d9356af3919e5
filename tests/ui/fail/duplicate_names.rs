use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    title: String,
    #[cache(rename = "title")]
    name: String,
    #[cache(alias = "title", alias = "id", alias = "caption")]
    caption: String,
    #[cache(column = "c")]
    first: String,
    #[cache(column = "c")]
    second: String,
    #[cache(column = "fourth")]
    third: String,
    fourth: String,
}

fn main() {}
