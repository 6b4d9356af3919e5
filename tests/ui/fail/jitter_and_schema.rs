use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", jitter = "101%", schema = -1)]
struct TooMuch {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "b", jitter = "2.5%", schema = "2")]
struct NotWhole {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", jitter = "%", schema = 4294967296)]
struct OutOfRange {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "c", jitter = 10)]
struct Number {
    #[cache(id)]
    id: String,
}

fn main() {}
