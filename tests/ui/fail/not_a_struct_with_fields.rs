use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
enum Enum {
    A,
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
union Union {
    a: u8,
}

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Tuple(String);

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Unit;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct NoFields {}

fn main() {}
