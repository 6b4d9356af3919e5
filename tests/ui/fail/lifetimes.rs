use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo<'a, T>
where
    T: 'a,
{
    #[cache(id)]
    id: String,
    name: &'a str,
    value: T,
}

fn main() {}
