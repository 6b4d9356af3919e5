//! Corners where two features meet: each was a mistake once.

use std::time::Duration;

use cached_repo::{CachedEntity, ErrorKind, Event, Repository, Strategy, Value, store::StoreError};
use tests::Point;
use tokio::time::timeout;

use super::scene::{Events, Scene, patient};
use crate::stage::{On, Over, todo};

/// Longer than anything takes that happens at all.
const A_WHILE: Duration = Duration::from_secs(60);

/// `redis_only` moves the clock of the partition, and journals nothing.
#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_no_write_that_is_not_journaled() {
    let scene = Scene::in_process().await;
    scene.open().await;
    let (writer, kept) = (scene.writer().await, scene.under(Strategy::RedisOnly).await);
    writer.repo.save(&todo("1", "a")).await.unwrap();
    kept.repo.save(&todo("2", "kept")).await.unwrap();
    let _worker = scene.worker().await;
    timeout(A_WHILE, writer.repo.flush()).await.expect("it waits for ever").unwrap();
    assert_eq!(scene.row("1").await, "a");
}

/// After an outage a batch is a single record, and what it refers to is behind it.
#[tokio::test]
async fn a_reference_into_the_same_batch_is_found_also_after_an_outage() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    scene.sql("DROP TABLE {table}").await;
    let columns = "id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, \
        description TEXT REFERENCES {table} (id), done BOOLEAN NOT NULL, rank BIGINT NOT NULL, \
        score DOUBLE NOT NULL, blob BLOB NOT NULL, labels TEXT";
    scene.sql(&format!("CREATE TABLE {{table}} ({columns})")).await;
    let writer = scene.writer().await;
    let referring = |id: &str, to: Option<&str>| crate::stage::Todo {
        description: to.map(str::to_owned),
        ..todo(id, "a")
    };
    writer.repo.save(&referring("child", Some("parent"))).await.unwrap();
    writer.repo.save(&referring("parent", None)).await.unwrap();
    scene.gate.fail(Point::BeforeApply, None, StoreError::transient("an outage"));
    let worker = scene.process(patient(), |b| b.batch(2)).await;
    worker.repo.flush().await.unwrap();
    assert_eq!(worker.repo.counts().drain_failures, 1);
    assert_eq!((scene.row("child").await, worker.repo.counts().dead_lettered), ("a".into(), 0));
}

#[tokio::test]
async fn a_dead_letter_that_was_edited_is_replayed_as_it_was_accepted() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.sql("CREATE UNIQUE INDEX unique_{table} ON {table} (name)").await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("0", "taken")).await.unwrap().persisted().await.unwrap();
    let refused = worker.repo.save(&todo("1", "taken")).await.unwrap().persisted().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::DeadLettered);
    let letters = worker.cache.dead_letters();
    let letter = letters.list("todos").await.unwrap().remove(0);
    // A person leaves out what is null.
    let mut data: serde_json::Value = serde_json::from_str(&letter.data).unwrap();
    data["name"] = "free".into();
    data.as_object_mut().unwrap().remove("description");
    letters.edit(&letter, &data.to_string()).await.unwrap();
    letters.replay(&letter).await.unwrap();
    assert_eq!(scene.row("1").await, "free");
}

/// The todo of a release with one more column in JSON.
macro_rules! tagged {
    ($name:ident, $meta:meta) => {
        #[derive(Clone, Debug, PartialEq, CachedEntity)]
        #[cache(prefix = "todos", jitter = "0%")]
        struct $name {
            #[cache(id)]
            id: String,
            name: String,
            description: Option<String>,
            done: bool,
            rank: i64,
            score: f64,
            blob: Vec<u8>,
            #[cache(json)]
            labels: Vec<String>,
            #[$meta]
            tags: Vec<String>,
        }
    };
}
tagged!(Tagged, cache(json));
tagged!(TaggedByDefault, cache(json, default = "one_tag"));

fn one_tag() -> Vec<String> {
    vec!["one".to_owned()]
}

over_both!(c19_a_new_column_in_json_has_its_default_or_waits, |scene| {
    let older = scene.writer().await;
    let saved = older.repo.save(&todo("1", "old")).await.unwrap();
    let events = Events::default();
    let cache = scene.cache(events.listen(patient())).await;
    let without: Repository<Tagged> = scene.builder(&cache).build().await.unwrap();
    let paused = events.until(|e| matches!(e, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("`tags`"), "{paused:?}");
    drop((without, cache));
    let cache = scene.cache(patient()).await;
    let with: Repository<TaggedByDefault> = scene.builder(&cache).build().await.unwrap();
    saved.persisted().await.unwrap();
    assert!(with.evict("1").await.unwrap());
    assert_eq!(with.get("1").await.unwrap().unwrap().tags, one_tag());
    let index = Tagged::SCHEMA.columns().iter().position(|c| c.name() == "tags").unwrap();
    let written = scene.gate.written();
    let tags = written[0][0].record().unwrap().get(index).cloned();
    assert_eq!(tags, Some(Value::Json(r#"["one"]"#.into())));
});

/// A sealed journal is not drained, but the database behind it may be restored.
#[tokio::test]
async fn a_restore_behind_a_sealed_journal_is_noticed() {
    let scene = Scene::new(On::Sqlite, Over::InProcess).await;
    scene.open().await;
    let worker = scene.worker().await;
    worker.repo.save(&todo("1", "a")).await.unwrap().persisted().await.unwrap();
    let backup = scene.back_up("backup.db").await;
    worker.repo.save(&todo("1", "b")).await.unwrap().persisted().await.unwrap();
    worker.cache.shutdown(A_WHILE).await.unwrap();
    let aside = scene.process(patient(), |b| b.strategy(Strategy::CacheAside)).await;
    // Not two minutes: what is retained would be given up.
    let mut shifts = 0..90;
    while !scene.offset().await.sealed {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(shifts.next().map_or(0, |_| 1))).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.gate.replace(cached_repo::store::connect(&backup).await.unwrap());
    assert_eq!(scene.row("1").await, "a");
    let held = scene.gate.hold(Point::AfterApply, "1");
    let next = scene.process(patient(), |b| b.strategy(Strategy::CacheAside)).await;
    timeout(A_WHILE, held.arrived()).await.expect("it is not replayed");
    held.release();
    while scene.row("1").await != "b" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((aside, next));
}
