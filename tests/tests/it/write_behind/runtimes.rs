//! Caches that outlive their runtimes, and receipts that outlive their caches.

use cached_repo::{Cache, ErrorKind, Repository, Saved, Strategy, store};

use crate::stage::{Over, Todo, todo};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn cache(over: Over) -> Cache {
    let cache = Cache::builder().namespace(tests::isolate::unique("runtimes"));
    match over {
        Over::InProcess => cache.in_memory(),
        over => cache.connect(&over.url()).await.unwrap(),
    }
}

async fn build(cache: &Cache, store: &store::SharedStore) -> Repository<Todo> {
    let builder = Repository::builder(cache).store(store).strategy(Strategy::WriteBehind);
    builder.build().await.unwrap()
}

/// As where tests share a static, and each has a runtime of its own.
#[test]
fn a_cache_that_outlives_its_runtime_drains_on_the_next_one_that_builds() {
    for over in [Over::InProcess, Over::Redis] {
        let store = store::memory();
        let first = runtime();
        let (cache, repo) = first.block_on(async {
            let cache = cache(over).await;
            let repo = build(&cache, &store).await;
            repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
            (cache, repo)
        });
        drop(first);
        let second = runtime();
        second.block_on(async {
            let saved: Saved = repo.save(&todo("1", "b")).await.unwrap();
            let error = saved.persisted().await.unwrap_err();
            assert!(error.is_retryable() && error.to_string().contains("runtime"), "{error}");
            let error = repo.flush().await.unwrap_err();
            assert!(error.to_string().contains("runtime"), "{error}");
            let again = build(&cache, &store).await;
            saved.persisted().await.unwrap();
            again.save(&todo("1", "c")).await.unwrap().persisted().await.unwrap();
            repo.save(&todo("1", "d")).await.unwrap().persisted().await.unwrap();
        });
    }
}

#[tokio::test]
async fn a_receipt_whose_last_handle_is_gone_says_that_nobody_drains_here() {
    for over in [Over::InProcess, Over::Redis] {
        let gate = tests::Gated::new(store::memory());
        let store: store::SharedStore = gate.clone();
        let cache = cache(over).await;
        let repo = build(&cache, &store).await;
        repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
        gate.down();
        let saved = repo.save(&todo("1", "b")).await.unwrap();
        drop((cache, repo));
        let error = saved.persisted().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dirty, "{error}");
        assert!(error.to_string().contains("last handle"), "{error}");
    }
}
