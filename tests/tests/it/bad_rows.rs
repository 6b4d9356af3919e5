//! Rows that cannot be read as entities: each is the error of its own id, and harms no other.

use cached_repo::{
    Cache, CachedEntity, ErrorKind, Repository, Strategy,
    store::{Ledger, SharedStore},
};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use tests::isolate;

use crate::{
    databases::{On, mongo, open, run},
    stage::Over,
};

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "events")]
struct Event {
    #[cache(id)]
    id: i64,
    name: String,
    at: DateTime<Utc>,
    rank: i64,
}

/// Good rows have the ids 1 to 9, bad ones these.
const BAD: [i64; 4] = [10, 11, 12, 13];
const ALL: [On; 5] = [On::Sqlite, On::Postgres, On::MySql, On::Mongo, On::MongoStandalone];

/// A table that somebody else has filled.
struct Theirs {
    on: On,
    table: String,
    store: SharedStore,
    directory: Option<tempfile::TempDir>,
    cache: Cache,
}

impl Theirs {
    async fn new(on: On, over: Over) -> Self {
        let (store, directory) = open(on).await;
        let table = isolate::unique("events");
        let cache = Cache::builder().namespace(isolate::unique("bad-rows"));
        let cache = match over {
            Over::InProcess => cache.in_memory(),
            over => cache.connect(&over.url()).await.unwrap(),
        };
        let theirs = Self { on, table, store, directory, cache };
        let at = if on == On::Sqlite { "2026-01-02T03:04:05Z" } else { "2026-01-02 03:04:05" };
        let good = (1..10).map(|id| format!("({id}, 'fine', '{at}', 7)"));
        let good = Vec::from_iter(good).join(", ");
        let (columns, bad) = match on {
            On::Postgres => (
                "id bigint PRIMARY KEY, name text, at timestamptz, rank bigint",
                "(10, 'x', 'infinity', 7), (11, 'x', '294276-12-31', 7), \
                 (12, NULL, now(), 7), (13, 'x', NULL, 7)",
            ),
            On::MySql => (
                "id bigint PRIMARY KEY, name longtext, at datetime(6), `rank` bigint",
                "(10, 'x', '0000-00-00', 7), (11, 'x', '2026-01-00', 7), \
                 (12, NULL, now(), 7), (13, 'x', NULL, 7)",
            ),
            _ => (
                "id integer PRIMARY KEY, name text, at text, rank integer",
                "(10, 'x', 'yesterday', 7), (11, 'x', '2026-01-02T00:00:00Z', 'seven'), \
                 (12, NULL, '2026-01-02T00:00:00Z', 7), (13, x'ff', '2026-01-02T00:00:00Z', 7)",
            ),
        };
        match on {
            On::Mongo | On::MongoStandalone => theirs.fill_collection().await,
            on => {
                let mode = if on == On::MySql { "SET SESSION sql_mode = '';" } else { "" };
                let table = &theirs.table;
                theirs
                    .sql(&format!(
                        "{mode} CREATE TABLE {table} ({columns}); INSERT INTO {table} VALUES {good}, {bad}"
                    ))
                    .await;
            }
        }
        let schema = Event::SCHEMA.with_table(theirs.table.clone());
        theirs.store.ledger(Ledger::Install { schema: &schema }).await.unwrap();
        theirs
    }

    async fn fill_collection(&self) {
        let at = mongodb::bson::DateTime::from_millis(1_767_323_045_000);
        let row = |id: i64, other: Document| {
            let mut row = doc! { "_id": id, "name": "fine", "at": at, "rank": 7_i64 };
            row.extend(other);
            row
        };
        let mut rows: Vec<_> = (1..10).map(|id| row(id, Document::new())).collect();
        rows.push(row(10, doc! { "at": "yesterday" }));
        rows.push(row(11, doc! { "rank": "seven" }));
        rows.push(row(12, doc! { "name": null }));
        rows.push(row(13, doc! { "name": 5 }));
        mongo(self.on).await.collection(&self.table).insert_many(rows).await.unwrap();
    }

    async fn sql(&self, sql: &str) {
        run(self.on, self.directory.as_ref(), sql).await;
    }

    async fn under(&self, strategy: Strategy) -> Repository<Event> {
        let builder = Repository::builder(&self.cache).store(&self.store).strategy(strategy);
        builder.table(&*self.table).build().await.unwrap()
    }
}

#[track_caller]
fn is_of<T: std::fmt::Debug>(found: cached_repo::Result<T>, id: i64, on: On) {
    let error = found.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable, "{on:?}: {error}");
    assert!(error.to_string().contains(&format!("\"{id}\"")), "{on:?}: {error}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_the_error_of_its_own_id_and_good_rows_are_cached() {
    for on in ALL {
        let theirs = Theirs::new(on, Over::Redis).await;
        for strategy in [Strategy::CacheAside, Strategy::WriteBehind] {
            let events = theirs.under(strategy).await;
            for id in BAD {
                is_of(events.get(id).await, id, on);
                is_of(events.exists(id).await, id, on);
                is_of(events.get_many([1, id, 2]).await, id, on);
                let before = events.counts();
                assert!(events.get(1).await.unwrap().is_some(), "{on:?}");
                assert!(events.get(2).await.unwrap().is_some(), "{on:?}");
                let after = events.counts();
                assert_eq!(after.hits, before.hits + 2, "{on:?}: good rows were not cached");
                is_of(events.get(id).await, id, on);
            }
            let all = events.get_many((1..14).chain([404])).await;
            assert_eq!(all.unwrap_err().kind(), ErrorKind::Undecodable, "{on:?}");
            for id in 1..10 {
                events.evict(id).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn callers_who_join_the_load_of_a_bad_row_get_their_good_rows() {
    for on in ALL {
        let theirs = Theirs::new(on, Over::InProcess).await;
        let events = theirs.under(Strategy::CacheAside).await;
        let before = events.counts().store_loads;
        let bad = events.get_many([1, 10, 2, 3]);
        let good = join_all((0..30).map(|n| events.get(1 + n % 3)));
        let (bad, good) = tokio::join!(bad, good);
        is_of(bad, 10, on);
        assert!(good.iter().all(|found| matches!(found, Ok(Some(_)))), "{on:?}: {good:?}");
        assert_eq!(events.counts().store_loads, before + 1, "{on:?}: all joined one load");
    }
}

#[tokio::test]
async fn an_import_over_a_row_that_cannot_be_read_changes_nothing_and_names_it() {
    for on in [On::Sqlite, On::Postgres, On::MySql] {
        let theirs = Theirs::new(on, Over::Redis).await;
        let (before, only) =
            (theirs.under(Strategy::CacheAside).await, theirs.under(Strategy::RedisOnly).await);
        for _ in 0..2 {
            is_of(only.import().await, 10, on);
            let mut event = before.get(1).await.unwrap().unwrap();
            event.rank += 1;
            before.save(&event).await.unwrap();
            assert_eq!(before.get(1).await.unwrap(), Some(event), "{on:?}");
        }
        theirs.sql(&format!("DELETE FROM {} WHERE id > 9", theirs.table)).await;
        assert_eq!(only.import().await.unwrap(), 9, "{on:?}");
        assert_eq!(only.get(1).await.unwrap().unwrap().rank, 9, "{on:?}");
    }
}
