//! Releases of an application side by side: journals that an older or a newer struct wrote.

use cached_repo::{CachedEntity, ErrorKind, Event, Repository, Strategy};

use super::scene::{Scene, patient};
use crate::stage::{On, Over, Todo, name, todo};

/// The todo of the next release.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "todos", jitter = "0%")]
struct Next {
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
    note: Option<String>,
}

fn next(id: &str, name: &str) -> Next {
    let Todo { id, name, description, done, rank, score, blob, labels } = todo(id, name);
    Next { id, name, description, done, rank, score, blob, labels, note: Some("new".to_owned()) }
}

fn is_paused(event: &Event) -> bool {
    matches!(event, Event::Paused { .. })
}

over_both!(c18_what_a_newer_release_journaled_waits_for_it, |scene| {
    let older = scene.writer().await;
    let cache = scene.cache(patient().no_worker()).await;
    let newer: Repository<Next> = scene.builder(&cache).build().await.unwrap();
    let before = older.repo.save(&todo("1", "before")).await.unwrap();
    let waits = newer.save(&next("2", "waits")).await.unwrap();
    older.repo.save(&todo("3", "behind")).await.unwrap();
    let worker = scene.worker().await;
    before.persisted().await.unwrap();
    let paused = worker.events.until(is_paused).await;
    assert!(format!("{paused:?}").contains("note"), "{paused:?}");
    assert_eq!((scene.row("2").await, scene.row("3").await), ("none".into(), "none".into()));
    assert_eq!(worker.repo.counts().dead_lettered, 0);
    drop(worker);
    let cache = scene.cache(patient()).await;
    let upgraded: Repository<Next> = scene.builder(&cache).build().await.unwrap();
    waits.persisted().await.unwrap();
    upgraded.flush().await.unwrap();
    assert!(upgraded.evict("2").await.unwrap());
    assert_eq!(upgraded.get("2").await.unwrap(), Some(next("2", "waits")));
    assert_eq!(scene.row("3").await, "behind");
});

over_both!(c19_what_an_older_release_journaled_is_written_with_the_new_column_null, |scene| {
    let older = scene.writer().await;
    older.repo.save(&todo("1", "old")).await.unwrap();
    older.repo.save(&todo("2", "old")).await.unwrap();
    older.repo.delete("2").await.unwrap();
    let cache = scene.cache(patient()).await;
    let newer: Repository<Next> = scene.builder(&cache).build().await.unwrap();
    let expected = Next { note: None, ..next("1", "old") };
    assert_eq!(newer.get("1").await.unwrap().as_ref(), Some(&expected), "also while it is dirty");
    newer.flush().await.unwrap();
    newer.evict("1").await.unwrap();
    assert_eq!(newer.get("1").await.unwrap(), Some(expected));
    assert_eq!((newer.get("2").await.unwrap(), newer.counts().dead_lettered), (None, 0));
});

/// The todo of a release that has one more column, which cannot be null: one of its two constructors
/// knows what it was before.
macro_rules! starred {
    ($name:ident $(, $default:meta)?) => {
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
            $(#[$default])?
            stars: i64,
        }
    };
}
starred!(Starred);
starred!(Defaulted, cache(default = "five"));

fn five() -> i64 {
    5
}

over_both!(c19_what_an_older_release_journaled_gets_the_default_of_a_new_column, |scene| {
    let older = scene.writer().await;
    older.repo.save(&todo("1", "old")).await.unwrap();
    older.repo.delete("2").await.unwrap();
    let cache = scene.cache(patient()).await;
    let newer: Repository<Defaulted> = scene.builder(&cache).build().await.unwrap();
    newer.flush().await.unwrap();
    assert!(newer.evict("1").await.unwrap());
    assert_eq!(newer.get("1").await.unwrap().unwrap().stars, 5);
    let index = Defaulted::SCHEMA.columns().iter().position(|c| c.name() == "stars").unwrap();
    let written = scene.gate.written();
    let stars = written[0][0].record().unwrap().get(index).cloned();
    assert_eq!(stars, Some(cached_repo::Value::I64(5)), "in the store, not only when it is read");
});

over_both!(c19_what_an_older_release_journaled_waits_for_it_where_there_is_no_default, |scene| {
    let older = scene.writer().await;
    let saved = older.repo.save(&todo("1", "old")).await.unwrap();
    let events = super::scene::Events::default();
    let cache = scene.cache(events.listen(patient())).await;
    let newer: Repository<Starred> = scene.builder(&cache).build().await.unwrap();
    let paused = events.until(is_paused).await;
    assert!(format!("{paused:?}").contains("stars"), "{paused:?}");
    assert_eq!((scene.gate.batches(), newer.counts().dead_lettered), (0, 0));
    let _worker = scene.worker().await;
    saved.persisted().await.unwrap();
    assert_eq!(scene.row("1").await, "old");
});

#[tokio::test]
async fn c18_a_record_of_an_unknown_kind_waits_and_what_is_before_it_is_drained() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let writer = scene.writer().await;
    let before = writer.repo.save(&todo("1", "before")).await.unwrap();
    let (mut raw, journal, meta) =
        (scene.raw().await, scene.own_key("journal"), scene.own_key("meta"));
    let planted = before.version().unwrap() + 1;
    let mut plant = redis::pipe();
    plant.cmd("XADD").arg(&journal).arg(format!("{planted}-0")).arg("op").arg("z").arg("data");
    plant.arg("{}").arg("schema").arg("x").arg("write").arg("planted").arg("count").arg(2);
    plant.arg("bytes").arg(200).arg("entry").arg(writer.repo.key("2").unwrap());
    plant.cmd("HINCRBY").arg(&meta).arg("count").arg(1);
    let _: redis::Value = plant.query_async(&mut raw).await.unwrap();
    let behind = writer.repo.save(&todo("3", "behind")).await.unwrap();
    let worker = scene.worker().await;
    before.persisted().await.unwrap();
    let paused = worker.events.until(is_paused).await;
    assert!(format!("{paused:?}").contains("a newer version of this struct"), "{paused:?}");
    assert_eq!((scene.row("1").await, scene.row("3").await), ("before".into(), "none".into()));
    assert_eq!(scene.offset().await.last_id, before.version().unwrap());
    let mut remove = redis::cmd("XDEL");
    let _: u64 =
        remove.arg(&journal).arg(format!("{planted}-0")).query_async(&mut raw).await.unwrap();
    behind.persisted().await.unwrap();
    worker.events.until(|e| matches!(e, Event::Resumed { .. })).await;
    assert_eq!(scene.row("3").await, "behind");
}

#[tokio::test]
async fn a_record_that_somebody_else_added_becomes_a_dead_letter() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    let writer = scene.writer().await;
    let before = writer.repo.save(&todo("1", "before")).await.unwrap().version().unwrap();
    let mut plant = redis::cmd("XADD");
    plant.arg(scene.own_key("journal")).arg(format!("{}-0", before + 1)).arg("what").arg("ever");
    let _: String = plant.query_async(&mut scene.raw().await).await.unwrap();
    writer.repo.save(&todo("3", "behind")).await.unwrap();
    let worker = scene.worker().await;
    worker.repo.flush().await.unwrap();
    assert_eq!((scene.row("1").await, scene.row("3").await), ("before".into(), "behind".into()));
    let letters = worker.cache.dead_letters().list("todos").await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.version).collect::<Vec<_>>(), [before + 1]);
    assert!(letters[0].error.contains("not of this library"), "{:?}", letters[0]);
    // And it may be the first one that is not drained.
    plant = redis::cmd("XADD");
    let later = writer.repo.save(&todo("3", "later")).await.unwrap().version().unwrap();
    worker.repo.flush().await.unwrap();
    plant.arg(scene.own_key("journal")).arg(format!("{}-0", later + 1)).arg("what").arg("ever");
    let _: String = plant.query_async(&mut scene.raw().await).await.unwrap();
    writer.repo.save(&todo("1", "later")).await.unwrap().persisted().await.unwrap();
    assert_eq!((scene.row("1").await, worker.repo.counts().dead_lettered), ("later".into(), 2));
}

/// A miss would show the older row.
#[tokio::test]
async fn c20_a_dirty_entry_that_cannot_be_decoded_is_an_error_until_it_is_drained() {
    let scene = Scene::new(On::Memory, Over::Redis).await;
    scene.open().await;
    let (writer, aside) = (scene.writer().await, scene.under(Strategy::CacheAside).await);
    aside.repo.save(&todo("1", "older")).await.unwrap();
    let saved = writer.repo.save(&todo("1", "newer")).await.unwrap();
    let (mut raw, key) = (scene.raw().await, writer.repo.key("1").unwrap());
    let entry: String = redis::cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
    let (envelope, _) = entry.split_once(',').unwrap();
    let broken = format!("{envelope},\"id\":");
    let _: () = redis::cmd("SET").arg(&key).arg(broken).query_async(&mut raw).await.unwrap();
    for repo in [&writer.repo, &aside.repo] {
        let error = repo.get("1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{error}");
    }
    let _worker = scene.worker().await;
    saved.persisted().await.unwrap();
    assert_eq!(name(writer.repo.get("1").await.unwrap()), "newer");
}
