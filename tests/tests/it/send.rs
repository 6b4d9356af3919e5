//! Every future of the front door can be sent to another task.

use cached_repo::{Cache, Repository, Strategy, store};

use crate::stage::{Todo, todo};

fn sent<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test]
async fn all_futures_are_send_and_a_clone_moves_into_a_task() {
    let cache = Cache::in_memory();
    let db = store::memory();
    let builder = Repository::<Todo>::builder(&cache).store(&db).strategy(Strategy::ReadThrough);
    let repo = sent(builder.build()).await.unwrap();
    let all = [todo("1", "a"), todo("2", "b")];
    let builder = Repository::<Todo>::builder(&cache).store(&db).strategy(Strategy::ReadThrough);
    sent(builder.repartition(std::time::Duration::from_secs(60))).await.unwrap();
    sent(repo.save(&all[0])).await.unwrap().persisted().await.unwrap();
    sent(repo.save_many(&all)).await.unwrap();
    sent(repo.get("1")).await.unwrap();
    sent(repo.get_many(["1"])).await.unwrap();
    sent(repo.exists("1")).await.unwrap();
    sent(repo.evict("1")).await.unwrap();
    sent(repo.delete("1")).await.unwrap();
    sent(db.create_tables::<Todo>()).await.unwrap();
    sent(db.schema_sql::<Todo>()).await.unwrap();
    let _connecting = sent(Cache::connect("redis://127.0.0.1:1"));
    let _opening = sent(store::connect("sqlite::memory:"));
    let clone = repo.clone();
    let found = tokio::spawn(async move { clone.get("2").await }).await.unwrap().unwrap();
    assert_eq!(found, Some(todo("2", "b")));
}
