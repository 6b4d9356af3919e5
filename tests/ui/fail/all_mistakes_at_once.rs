use cached_repo::{CachedEntity, Record};

#[derive(CachedEntity)]
#[cache(prefx = "todos", ttl = "an hour", jitter = "often", strategy = "write thru")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(jsn)]
    labels: Vec<String>,
    #[cache(alias)]
    name: String,
    #[cache(id, skip)]
    scratch: u32,
}

// An implementation is there all the same, so these are no mistakes more.
fn uses(todo: &Todo) -> (String, Todo) {
    let mut record: Record<'_> = todo.to_record().unwrap();
    (todo.id(), Todo::from_record(&mut record).unwrap())
}

fn main() {}
