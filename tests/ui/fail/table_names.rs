use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a", table = "")]
struct Empty {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a", table = "a.b.c")]
struct Dots {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a", table = "app.")]
struct NoTable {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a", collection = "nul\0")]
struct Nul {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a", table = "b", collection = "c")]
struct Twice {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "a_prefix_of_sixty_four_characters_is_one_more_than_a_table_can_b")]
struct LongByDefault {
    #[cache(id)]
    id: String,
}

fn main() {}
