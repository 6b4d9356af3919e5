//! Receipts, barriers, a dead letter and its replay, shutdown: what `write_behind` adds to a save.

use std::{env, error::Error, fs, process, time::Duration};

use cached_repo::{Cache, CachedEntity, Event, Repository, store};

/// Two users may not have the same e-mail address; the journal cannot know.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "write_behind_users", strategy = "write_behind")]
struct User {
    #[cache(id)]
    id: String,
    email: String,
}

fn user(id: &str, email: &str) -> User {
    User { id: id.to_owned(), email: email.to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::temp_dir().join(format!("write_behind-{}.db", process::id()));
    let result = run(&format!("sqlite:{}", file.display())).await;
    let _ = fs::remove_file(file);
    result
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let db = store::connect(url).await?;
    db.create_tables::<User>().await?;
    let sql = "CREATE UNIQUE INDEX one_address ON write_behind_users (email)";
    let pool = sqlx::SqlitePool::connect(url).await?;
    sqlx::raw_sql(sql).execute(&pool).await?;

    let events = Cache::builder().on_event(|event: &Event| println!("  event: {event:?}"));
    let cache = events.in_memory(); // or connect("redis://…").await?
    let users = Repository::<User>::builder(&cache).store(&db).build().await?;

    println!("A save returns when Redis has the write journaled:");
    let saved = users.save(&user("ada", "ada@example.com")).await?;
    println!("  {:?}, version {:?}", saved.durable(), saved.version());
    saved.persisted().await?;
    println!("  now the database has it too; another process may wait for {:?}", saved.token());

    println!("A barrier waits for everything that was journaled before:");
    for n in 0..1000 {
        users.save(&user(&format!("user-{n}"), &format!("{n}@example.com"))).await?;
    }
    users.flush().await?;
    let counts = users.counts();
    println!("  {} writes drained in {} transactions", counts.drained, counts.drain_batches);

    println!("What the database refuses becomes a dead letter, and everything else goes on:");
    let clash = users.save(&user("bob", "ada@example.com")).await?;
    if let Err(error) = clash.persisted().await {
        println!("  {error}");
    }
    let letters = cache.dead_letters();
    let waiting = letters.list("write_behind_users").await?;
    println!("  {} waits: {}", waiting.len(), waiting[0].data);
    letters.edit(&waiting[0], r#"{"id":"bob","email":"bob@example.com"}"#).await?;
    letters.replay(&waiting[0]).await?;
    println!("  mended and replayed: {:?}", users.get("bob").await?);

    println!("{:?}", cache.health().await);
    println!("{:?}", cache.shutdown(Duration::from_secs(30)).await?);
    Ok(())
}
