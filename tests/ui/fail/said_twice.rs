use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", prefix = "b")]
#[cache(ttl = "1h")]
#[cache(ttl = "2h")]
struct Todo {
    #[cache(id, id)]
    id: String,
    #[cache(rename = "a", rename = "b", default, default = "String::new")]
    name: String,
}

fn main() {}
