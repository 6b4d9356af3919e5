//! Todos on MongoDB: written through, and written behind while the documents arrive.

use cached_repo::{Cache, CachedEntity, Repository, Result, Strategy, store};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use std::{env, process::ExitCode};

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "mongo_todos", ttl = "1m")]
struct Todo {
    /// The documents' `_id`.
    #[cache(id)]
    id: String,
    name: String,
    description: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = env::var("MONGODB_URL") else {
        println!("This needs a MongoDB replica set, which may have a single node:");
        println!("MONGODB_URL=mongodb://127.0.0.1:27017/app, and REDIS_URL for a cache in Redis.");
        return ExitCode::SUCCESS;
    };
    let Err(error) = run(&url).await else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn run(url: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let db = store::connect(url).await?;
    db.create_tables::<Todo>().await?;
    // Another program that looks into the same collection.
    let client = Client::with_uri_str(url).await?;
    let database = client.default_database().ok_or("the URL names no database")?;
    let documents = database.collection::<Document>("mongo_todos");

    for strategy in [Strategy::WriteThrough, Strategy::WriteBehind] {
        let cache = connect(strategy).await?;
        let todos = Repository::<Todo>::builder(&cache).store(&db).strategy(strategy);
        let todos = todos.build().await?;
        println!("{strategy}");
        let id = "0123456789abcdef01234567";
        let mut todo =
            Todo { id: id.to_owned(), name: format!("Try {strategy}"), description: None };
        let saved = todos.save(&todo).await?;
        println!("  save answered {:?}", saved.durable());
        saved.persisted().await?;
        show(&documents).await?;

        // A field that the entity does not map survives.
        documents.update_one(doc! {}, doc! { "$set": { "theirs": true } }).await?;
        todo.description = Some("to the end".to_owned());
        todos.save(&todo).await?.persisted().await?;
        show(&documents).await?;
        assert_eq!(todos.get(id).await?, Some(todo));
        todos.delete(id).await?.persisted().await?;
        show(&documents).await?;
    }
    Ok(())
}

async fn connect(strategy: Strategy) -> Result<Cache> {
    let cache = Cache::builder().namespace(format!("mongo-{strategy}"));
    match env::var("REDIS_URL") {
        Ok(url) => cache.connect(&url).await,
        Err(_) => Ok(cache.in_memory()),
    }
}

async fn show(documents: &mongodb::Collection<Document>) -> mongodb::error::Result<()> {
    match documents.find_one(doc! {}).await? {
        Some(document) => println!("  MongoDB has  {document}"),
        None => println!("  MongoDB has no document"),
    }
    Ok(())
}
