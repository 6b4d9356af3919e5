use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", prefx = "b", strategie = "cache_aside", banana)]
struct OnTheStruct {
    #[cache(id)]
    id: String,
    #[cache(ids, renamed = "n", jsom, xyz)]
    name: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a", json, rename = "b")]
struct InTheWrongPlace {
    #[cache(id, ttl = "1h")]
    id: String,
}

fn main() {}
