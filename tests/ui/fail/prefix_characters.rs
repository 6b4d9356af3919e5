use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "to:dos")]
struct Colon {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "")]
struct Empty {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", table = "a")]
struct Long {
    #[cache(id)]
    id: String,
}

fn main() {}
