use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "b", format = "hash", compress = "zstd")]
struct Hash {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", format = "json_doc", compress = "zstd")]
struct Document {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", compress)]
struct Bare {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "d", format = "msgpack", compress = "z std")]
struct Words {
    #[cache(id)]
    id: String,
}

fn main() {}
