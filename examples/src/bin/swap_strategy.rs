//! The same work under each strategy, or the one that is named: what each does for it.

use cached_repo::{Cache, CachedEntity, Repository, Result, Strategy, store};
use std::{env, process::ExitCode, time::Instant};

const TODOS: u32 = 200;

/// To change the strategy, change the word; here `.strategy(…)` does.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "swap_strategy_todos", strategy = "write_through", ttl = "1m")]
struct Todo {
    #[cache(id)]
    id: u32,
    name: String,
    done: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn run() -> Result<()> {
    let chosen = env::args().nth(1).map(|name| name.parse::<Strategy>()).transpose()?;
    // The file stays: a Redis server remembers which database its entries belong to.
    let file = env::temp_dir().join("swap_strategy.db");
    let url = env::var("DATABASE_URL").unwrap_or_else(|_| format!("sqlite:{}", file.display()));
    let db = store::connect(&url).await?;
    db.create_tables::<Todo>().await?;

    let database = url.split(':').next().unwrap_or_default();
    let redis = env::var("REDIS_URL").ok();
    let mut repositories = Vec::new();
    for strategy in Strategy::ALL.iter().filter(|&&s| chosen.is_none_or(|chosen| s == chosen)) {
        let cache = Cache::builder().namespace(format!("swap-{database}-{strategy}"));
        let cache = match &redis {
            Some(url) => cache.connect(url).await?,
            None => cache.in_memory(),
        };
        let builder = Repository::<Todo>::builder(&cache).store(&db).strategy(*strategy);
        repositories.push(builder.build().await?);
    }

    let cache = redis.map_or("in this process", |_| "in Redis");
    println!("{TODOS} todos, each saved once and read twice; cache {cache}, database {database}\n");
    println!("               database reads   database writes      cache       mean time of");
    println!("strategy       queries   rows   commits    rows   hits misses   a save    a get");
    for todos in &repositories {
        work(todos).await?;
    }
    Ok(())
}

async fn work(todos: &Repository<Todo>) -> Result<()> {
    let start = Instant::now();
    for id in 0..TODOS {
        todos.save(&Todo { id, name: format!("Todo {id}"), done: false }).await?;
    }
    let save = mean(start, TODOS);
    todos.flush().await?; // write_behind: now the database has them
    let start = Instant::now();
    for id in (0..TODOS).chain(0..TODOS) {
        assert!(todos.get(id).await?.is_some());
    }
    let (get, counts) = (mean(start, 2 * TODOS), todos.counts());
    print!("{:14}{:8}{:7}", todos.strategy().name(), counts.store_loads, counts.rows_loaded);
    let commits = counts.store_writes + counts.drain_batches;
    print!("{commits:10}{:8}{:7}", counts.rows_written + counts.drained, counts.hits);
    println!("{:7}{save:>9}{get:>9}", counts.misses);
    for id in 0..TODOS {
        todos.delete(id).await?;
    }
    todos.flush().await
}

fn mean(start: Instant, calls: u32) -> String {
    format!("{:.0} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}
