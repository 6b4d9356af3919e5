use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", ttl = "1 h", negative_ttl = "30")]
struct Unit {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", ttl = "0s", negative_ttl = "1h30m")]
struct Zero {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", ttl = "", negative_ttl = "99999999999999999d")]
struct Size {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "d", ttl = 3600, negative_ttl = "-1s")]
struct Number {
    #[cache(id)]
    id: String,
}

fn main() {}
