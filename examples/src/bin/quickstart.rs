//! Saves 3,000 todos and reads them back: a cache in this process, an SQLite file, no server.

use std::{
    env, error, fs, process,
    time::{Duration, Instant},
};

use cached_repo::{Cache, CachedEntity, Repository, Result, store};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, CachedEntity, Deserialize)]
#[cache(prefix = "todos", strategy = "write_behind")]
struct Todo {
    #[cache(id)]
    id: String,
    name: String,
    description: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let folder = env::temp_dir().join(format!("quickstart-{}", process::id()));
    fs::create_dir(&folder)?;
    let result = run(&format!("sqlite:{}", folder.join("todos.db").display())).await;
    fs::remove_dir_all(&folder)?;
    result
}

async fn run(url: &str) -> Result<(), Box<dyn error::Error>> {
    let todos: Vec<Todo> = serde_json::from_str(include_str!("../../data/todos.json"))?;
    let db = store::connect(url).await?;
    db.create_tables::<Todo>().await?;
    let repository = Repository::<Todo>::builder(&Cache::in_memory()).store(&db).build().await?;

    println!("{:22}{:>6}{:>7}{:>8}{:>13}", "", "todos", "hits", "misses", "median");
    let mut times = Vec::new();
    for todo in &todos {
        let start = Instant::now();
        repository.save(todo).await?; // The journal has it; a worker carries it to the database.
        times.push(start.elapsed());
    }
    println!("{:22}{:6}{:>28}", "save", todos.len(), median(times));
    let start = Instant::now();
    repository.flush().await?;
    let (waited, counts) = (start.elapsed(), repository.counts());
    println!("{:22}{:6} in {} transactions,", "drained", counts.drained, counts.drain_batches);
    println!("{:28} the last {waited:.1?} after the last save", "");

    // What was saved is cached. Another process, or this one tomorrow, begins with what the database
    // holds: the first get of a todo misses and loads it, the second one hits.
    get_all("get, after the save", &repository, &todos).await?;
    let restarted = Repository::<Todo>::builder(&Cache::in_memory()).store(&db).build().await?;
    get_all("get, cache is empty", &restarted, &todos).await?;
    get_all("get, once more", &restarted, &todos).await?;
    println!("\nThe database holds {} todos.", restarted.counts().rows_loaded);
    Ok(())
}

async fn get_all(what: &str, repository: &Repository<Todo>, todos: &[Todo]) -> Result<()> {
    let (before, mut times) = (repository.counts(), Vec::new());
    for todo in todos {
        let start = Instant::now();
        let found = repository.get(&todo.id).await?;
        times.push(start.elapsed());
        assert_eq!(found.as_ref(), Some(todo));
    }
    let now = repository.counts();
    let (hits, misses) = (now.hits - before.hits, now.misses - before.misses);
    println!("{what:22}{:6}{hits:7}{misses:8}{:>13}", todos.len(), median(times));
    Ok(())
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("{:.1} µs", times[times.len() / 2].as_secs_f64() * 1e6)
}
