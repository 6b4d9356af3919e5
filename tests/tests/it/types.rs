//! Every type in every format and every store: what was saved is what is read, or the save is refused.

use std::{sync::Arc, time::Duration};

use cached_repo::{
    Cache, CachedEntity, ErrorKind, Format, Repository, Strategy,
    store::{Ledger, SharedStore},
};
use tests::{Gated, isolate};

use crate::{
    databases::STORES,
    stage::{On, Over, open},
};

mod all;
use all::{All, EXTREMES};

mod declared;
mod ids;
mod nested;
mod sessions;
mod useless;

macro_rules! round_trips {
    ($($name:ident $strategy:ident $format:ident $on:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            round_trip(Strategy::$strategy, Format::$format, On::$on).await;
        }
    )*};
}
round_trips! {
    write_through_json_memory WriteThrough Json Memory;
    write_through_json_sqlite WriteThrough Json Sqlite;
    write_through_json_postgres WriteThrough Json Postgres;
    write_through_json_mysql WriteThrough Json MySql;
    write_through_json_mongo WriteThrough Json Mongo;
    write_through_json_mongo_standalone WriteThrough Json MongoStandalone;
    write_through_hash_memory WriteThrough Hash Memory;
    write_through_hash_sqlite WriteThrough Hash Sqlite;
    write_through_hash_postgres WriteThrough Hash Postgres;
    write_through_hash_mysql WriteThrough Hash MySql;
    write_through_hash_mongo WriteThrough Hash Mongo;
    write_through_hash_mongo_standalone WriteThrough Hash MongoStandalone;
    write_through_document_memory WriteThrough JsonDoc Memory;
    write_through_document_sqlite WriteThrough JsonDoc Sqlite;
    write_through_document_postgres WriteThrough JsonDoc Postgres;
    write_through_document_mysql WriteThrough JsonDoc MySql;
    write_through_document_mongo WriteThrough JsonDoc Mongo;
    write_through_document_mongo_standalone WriteThrough JsonDoc MongoStandalone;
    write_behind_json_memory WriteBehind Json Memory;
    write_behind_json_sqlite WriteBehind Json Sqlite;
    write_behind_json_postgres WriteBehind Json Postgres;
    write_behind_json_mysql WriteBehind Json MySql;
    write_behind_json_mongo WriteBehind Json Mongo;
    write_behind_json_mongo_standalone WriteBehind Json MongoStandalone;
    write_behind_hash_memory WriteBehind Hash Memory;
    write_behind_hash_sqlite WriteBehind Hash Sqlite;
    write_behind_hash_postgres WriteBehind Hash Postgres;
    write_behind_hash_mysql WriteBehind Hash MySql;
    write_behind_hash_mongo WriteBehind Hash Mongo;
    write_behind_hash_mongo_standalone WriteBehind Hash MongoStandalone;
    write_behind_document_memory WriteBehind JsonDoc Memory;
    write_behind_document_sqlite WriteBehind JsonDoc Sqlite;
    write_behind_document_postgres WriteBehind JsonDoc Postgres;
    write_behind_document_mysql WriteBehind JsonDoc MySql;
    write_behind_document_mongo WriteBehind JsonDoc Mongo;
    write_behind_document_mongo_standalone WriteBehind JsonDoc MongoStandalone;
}

/// A store of a test, with the table of an entity.
struct Scene {
    store: SharedStore,
    gate: Arc<Gated>,
    cache: Cache,
    table: String,
    /// Holds the file of an SQLite database.
    _directory: Option<tempfile::TempDir>,
}

impl Scene {
    async fn new<E: CachedEntity>(on: On, over: Over) -> Self {
        let (store, _directory) = open(on).await;
        let table = isolate::unique("types");
        let schema = E::SCHEMA.with_table(table.clone());
        store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        let gate = Gated::new(store);
        let builder = Cache::builder().namespace(isolate::unique("types"));
        // A busy machine is no reason for a test to see Redis as down.
        let builder = builder.timeout(Duration::from_secs(30));
        let cache = builder.connect(&over.url()).await.unwrap();
        Self { store: gate.clone(), gate, cache, table, _directory }
    }

    async fn repo<E: CachedEntity>(&self, strategy: Strategy, format: Format) -> Repository<E> {
        let builder = Repository::builder(&self.cache).store(&self.store).table(&*self.table);
        let builder = builder.strategy(strategy).format(format).value_max_bytes(4 * 1024 * 1024);
        builder.build().await.unwrap()
    }
}

/// Saves all extremes in one call, so that they are in one batch with each other's nulls; reads them from
/// what the save left in the cache, and then from the store. What is refused is refused before any I/O.
async fn round_trip(strategy: Strategy, format: Format, on: On) {
    let scene = Scene::new::<All>(on, Over::redis_of(&[format])).await;
    let repo = scene.repo::<All>(strategy, format).await;
    let (held, refused): (Vec<_>, Vec<_>) =
        EXTREMES.iter().partition(|extreme| !extreme.refused_by.contains(&on));
    let held: Vec<All> = held.iter().map(|extreme| extreme.entity()).collect();
    assert!(held.len() > 50, "most of the table is held");
    let ids: Vec<_> = held.iter().map(|all| all.id.as_str()).collect();
    let _ = repo.save_many(&held).await.unwrap();
    let check = async |from: &str| {
        for (found, saved) in repo.get_many(ids.clone()).await.unwrap().iter().zip(&held) {
            let Some(found) = found else { panic!("{} from {from}: not found", saved.id) };
            assert!(found.is(saved), "{} from {from}: {found:?} is not {saved:?}", saved.id);
        }
    };
    check("what the save left").await;
    repo.flush().await.unwrap();
    check("what the drain left").await;
    for id in &ids {
        assert!(repo.evict(*id).await.unwrap(), "{id}");
    }
    let loads = scene.gate.loads();
    check("the store").await;
    assert_eq!(scene.gate.loads(), loads + 1, "one query for all");
    check("what the load left").await;
    assert_eq!(scene.gate.loads(), loads + 1, "all are hits");

    let batches = scene.gate.batches();
    for extreme in refused {
        let error = repo.save(&extreme.entity()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{}: {error}", extreme.name);
        let text = full(&error);
        assert!(text.contains(&format!("`{}`", extreme.column)), "{}: {text}", extreme.name);
        assert!(text.contains(extreme.says), "{}: {text}", extreme.name);
        assert_eq!(repo.get(extreme.name).await.unwrap(), None, "{}", extreme.name);
    }
    assert_eq!(scene.gate.batches(), batches, "refused before any I/O");
}

/// Where there is no store, the formats hold everything that has a spelling, and refuse the rest.
#[tokio::test]
async fn redis_alone_holds_everything_that_can_be_spelled() {
    let scene = Scene::new::<All>(On::Memory, Over::RedisJson).await;
    for &format in Format::ALL {
        let builder = Repository::<All>::builder(&scene.cache).prefix(format.name());
        let builder = builder.strategy(Strategy::RedisOnly).format(format);
        let repo = builder.value_max_bytes(4 * 1024 * 1024).build().await.unwrap();
        for extreme in &EXTREMES {
            let saved = extreme.entity();
            let written = repo.save(&saved).await;
            if extreme.refused_by.contains(&On::Memory) {
                let error = written.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{}: {error}", extreme.name);
                assert!(full(&error).contains(extreme.says), "{}: {error}", extreme.name);
                continue;
            }
            let _ = written.unwrap();
            let found = repo.get(extreme.name).await.unwrap().unwrap();
            assert!(found.is(&saved), "{} as {format}: {found:?}", extreme.name);
        }
    }
}

/// An error with its causes.
fn full(error: &cached_repo::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
