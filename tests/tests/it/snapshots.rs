//! `redis_only` with a snapshot: what it keeps is copied to a store, for reporting.

use std::{collections::BTreeMap, time::Duration};

use cached_repo::{Cache, CacheBuilder, Format, Repository, RepositoryBuilder, Strategy};

use crate::{
    stage::{On, Over, Todo},
    write_behind::scene::{Process, Scene, patient},
};

mod copies;
mod crashes;
mod dropped;
mod load;
mod moves;
mod paused;
mod poison;
mod setbacks;
mod sides;
mod surveys;

/// How often snapshots are made where a test lets time pass.
const INTERVAL: Duration = Duration::from_secs(300);

/// A process under `redis_only` that copies when it is asked only.
async fn keeper(scene: &Scene) -> Process {
    scene.process(patient().no_worker(), kept).await
}

/// A process under `redis_only` that copies every so often.
async fn copier(scene: &Scene) -> Process {
    scene.process(patient(), kept).await
}

fn kept(builder: RepositoryBuilder<Todo>) -> RepositoryBuilder<Todo> {
    builder.strategy(Strategy::RedisOnly).snapshot(INTERVAL)
}

/// A process without snapshots.
async fn plain(scene: &Scene) -> Process {
    scene.process(patient().no_worker(), |b| b.strategy(Strategy::RedisOnly)).await
}

/// The rows of these ids as they are in the store.
async fn rows(scene: &Scene, ids: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for id in ids {
        rows.push(scene.row(id).await);
    }
    rows
}

/// What the store of a scene has of these ids.
async fn table(scene: &Scene, ids: impl Iterator<Item = &String>) -> BTreeMap<String, Todo> {
    let cache: Cache = CacheBuilder::default().no_worker().in_memory();
    let builder = scene.builder(&cache).strategy(Strategy::CacheAside).format(Format::Json);
    let reader: Repository<Todo> = builder.build().await.unwrap();
    let ids: Vec<&String> = ids.collect();
    let found = reader.get_many(ids.iter().map(|id| id.as_str())).await.unwrap();
    found.into_iter().flatten().map(|todo| (todo.id.clone(), todo)).collect()
}

/// Servers on which the main path is tested: each database, and each backend.
const PLACES: [(On, Over); 6] = [
    (On::Memory, Over::InProcess),
    (On::Sqlite, Over::Redis),
    (On::Postgres, Over::Redis),
    (On::MySql, Over::InProcess),
    (On::Mongo, Over::Redis),
    (On::MongoStandalone, Over::Redis),
];
