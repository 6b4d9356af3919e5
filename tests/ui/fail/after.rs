use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "orders", after = "orders", after = "customers, customers", after = "")]
struct Order {
    #[cache(id)]
    id: String,
}

#[derive(CachedEntity)]
#[cache(prefix = "lines", after = "orders, a:b", after, after = 3)]
struct Line {
    #[cache(id, after = "orders")]
    id: String,
}

fn main() {}
