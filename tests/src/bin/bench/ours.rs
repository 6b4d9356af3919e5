//! The side of the repositories: one per strategy, each in a namespace of its own.

use std::sync::Arc;

use cached_repo::{Cache, Repository, Strategy, store};
use futures_util::future::BoxFuture;
use tests::{isolate, servers};

use super::{Article, MANY, ROWS, id, rounds::Operation};

/// Repositories whose database has all rows.
pub(crate) struct Ours {
    namespace: String,
    repositories: Vec<Repository<Article>>,
}

impl Ours {
    pub(crate) async fn prepare() -> Self {
        let namespace = isolate::unique("bench");
        let db = store::connect(&servers::postgres_url()).await.unwrap();
        db.create_tables::<Article>().await.unwrap();
        let mut repositories = Vec::new();
        for strategy in Strategy::ALL {
            let cache = Cache::builder().namespace(format!("{namespace}-{strategy}"));
            // What a save costs, without the drain beside it.
            let cache = cache.no_worker();
            let cache = cache.connect(&servers::redis_url()).await.unwrap();
            let builder = Repository::<Article>::builder(&cache).store(&db).strategy(*strategy);
            let builder = builder.max_backlog(u64::MAX).max_backlog_bytes(u64::MAX);
            repositories.push(builder.build().await.unwrap());
        }
        let ours = Self { namespace, repositories };
        let articles: Vec<_> = (0..ROWS).map(|n| Article::new(n, 0)).collect();
        for chunk in articles.chunks(1000) {
            ours.repository(Strategy::WriteThrough).save_many(chunk).await.unwrap();
        }
        ours
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn keys(&self, strategy: Strategy) -> Vec<String> {
        let repository = self.repository(strategy);
        (0..ROWS).map(|n| repository.key(id(n)).unwrap()).collect()
    }

    pub(crate) fn get(&self, strategy: Strategy) -> Operation {
        self.operation(strategy, |repository, n| {
            Box::pin(async move {
                assert!(repository.get(id(n)).await.unwrap().is_some());
            })
        })
    }

    pub(crate) fn get_many(&self, strategy: Strategy) -> Operation {
        self.operation(strategy, |repository, n| {
            Box::pin(async move {
                let ids = (n * MANY..(n + 1) * MANY).map(id);
                let found = repository.get_many(ids).await.unwrap();
                assert!(found.iter().all(Option::is_some));
            })
        })
    }

    pub(crate) fn save(&self, strategy: Strategy) -> Operation {
        self.operation(strategy, |repository, n| {
            Box::pin(async move {
                let _receipt = repository.save(&Article::new(n, 1)).await.unwrap();
            })
        })
    }

    fn operation(
        &self,
        strategy: Strategy,
        operation: fn(Repository<Article>, u64) -> BoxFuture<'static, ()>,
    ) -> Operation {
        let repository = self.repository(strategy).clone();
        Arc::new(move |n| operation(repository.clone(), n))
    }

    fn repository(&self, strategy: Strategy) -> &Repository<Article> {
        let wanted = |repository: &&Repository<Article>| repository.strategy() == strategy;
        self.repositories.iter().find(wanted).unwrap()
    }
}
