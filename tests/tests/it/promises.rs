//! What every strategy promises, over strategies, formats, stores and caches; one test a promise and a
//! point of this matrix, named by both.

use cached_repo::{CacheStep, Durable, ErrorKind, Strategy, store::StoreError};
use tests::Point;

use crate::stage::{Stage, Todo, todo};

#[macro_use]
mod matrix;

promises![
    what_is_saved_is_read,
    a_process_reads_its_own_writes,
    other_processes_read_what_was_acknowledged,
    a_deleted_entity_is_gone_everywhere,
    the_second_read_is_a_hit,
    many_are_read_in_order_with_one_query,
    an_insert_ends_a_remembered_absence,
    of_many_saves_of_one_id_the_last_remains,
    strange_ids_stay_apart,
    bad_input_is_refused_before_any_io,
    a_receipt_says_what_ok_meant,
    a_refused_write_leaves_no_trace,
    a_dropped_save_happens_whole,
    evict_touches_only_copies,
    an_outdated_schema_is_not_served,
];

async fn what_is_saved_is_read(stage: Stage) {
    let repo = &stage.repo;
    let full = todo("full", "n\u{1F980}\n\"\\");
    let empty = Todo {
        description: None,
        blob: vec![],
        labels: vec![],
        name: String::new(),
        rank: i64::MIN,
        score: f64::MIN_POSITIVE / 4.0,
        ..todo("empty", "")
    };
    for each in [&full, &empty] {
        let _ = repo.save(each).await.unwrap();
        assert_eq!(repo.get(&each.id).await.unwrap().as_ref(), Some(each));
        assert!(repo.exists(&each.id).await.unwrap());
        // Once from what the write left, once from what a read left.
        assert_eq!(repo.get(&each.id).await.unwrap().as_ref(), Some(each));
    }
    assert_eq!(repo.get("nobody").await.unwrap(), None);
    assert!(!repo.exists("nobody").await.unwrap());
}

async fn a_process_reads_its_own_writes(stage: Stage) {
    for round in 0..5 {
        let next = todo("1", &round.to_string());
        let _ = stage.repo.save(&next).await.unwrap();
        assert_eq!(stage.repo.get("1").await.unwrap(), Some(next));
    }
}

async fn other_processes_read_what_was_acknowledged(stage: Stage) {
    let other = stage.process().await;
    for round in 0..5 {
        let next = todo("1", &round.to_string());
        let saved = stage.repo.save(&next).await.unwrap();
        assert_eq!(saved.cache(), CacheStep::Done);
        assert_eq!(other.get("1").await.unwrap(), Some(next));
    }
}

async fn a_deleted_entity_is_gone_everywhere(stage: Stage) {
    let other = stage.process().await;
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    assert!(other.exists("1").await.unwrap());
    let _ = stage.repo.delete("1").await.unwrap();
    for repo in [&stage.repo, &other] {
        assert_eq!(repo.get("1").await.unwrap(), None);
    }
    let _ = stage.repo.delete("1").await.unwrap();
    assert_eq!(other.get("1").await.unwrap(), None);
}

async fn the_second_read_is_a_hit(stage: Stage) {
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    let (loads, hits) = (stage.gate.loads(), stage.repo.counts().hits);
    for _ in 0..3 {
        let _ = stage.repo.get("1").await.unwrap();
    }
    assert_eq!(stage.gate.loads(), loads);
    assert_eq!(stage.repo.counts().hits, hits + 3);
}

async fn many_are_read_in_order_with_one_query(stage: Stage) {
    let all: Vec<Todo> = (0..40).map(|i| todo(&i.to_string(), "x")).collect();
    let saved = stage.repo.save_many(&all).await.unwrap();
    assert_eq!(saved.len(), all.len());
    let reader = stage.process().await;
    let loads = stage.gate.loads();
    let ids = ["39", "nobody", "0", "17", "0"];
    let found = reader.get_many(ids).await.unwrap();
    let names: Vec<_> = found.iter().map(|t| t.as_ref().map(|t| t.id.as_str())).collect();
    assert_eq!(names, [Some("39"), None, Some("0"), Some("17"), Some("0")]);
    let expected = usize::from(stage.strategy.needs_store());
    assert_eq!(stage.gate.loads(), loads + expected, "one query for all that is missing");
    assert!(reader.get_many(Vec::<&str>::new()).await.unwrap().is_empty());
}

async fn an_insert_ends_a_remembered_absence(stage: Stage) {
    let other = stage.process().await;
    assert_eq!(other.get("1").await.unwrap(), None);
    assert_eq!(other.get("1").await.unwrap(), None);
    if stage.strategy.needs_store() {
        assert_eq!(stage.gate.loads(), 1, "the absence is remembered");
        assert_eq!(other.counts().negative_hits, 1);
    }
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    assert_eq!(other.get("1").await.unwrap(), Some(todo("1", "a")));
}

async fn of_many_saves_of_one_id_the_last_remains(stage: Stage) {
    let versions = [todo("1", "first"), todo("2", "other"), todo("1", "last")];
    assert_eq!(stage.repo.save_many(&versions).await.unwrap().len(), 3);
    assert_eq!(stage.repo.get("1").await.unwrap().unwrap().name, "last");
    assert_eq!(stage.process().await.get("2").await.unwrap().unwrap().name, "other");
}

async fn strange_ids_stay_apart(stage: Stage) {
    let long = ["é".repeat(200), "é".repeat(201), format!("{}x", "é".repeat(200))];
    let strange = [":", "{}", "{1}", "%3A", "a\nb", "a b", "a,b", "*", "é", "e\u{301}", "@lease:1"];
    let all: Vec<Todo> = strange
        .iter()
        .map(|id| todo(id, id))
        .chain(long.iter().map(|id| todo(id, "long")))
        .collect();
    let _ = stage.repo.save_many(&all).await.unwrap();
    let reader = stage.process().await;
    for _ in 0..2 {
        for each in &all {
            assert_eq!(reader.get(&each.id).await.unwrap().as_ref(), Some(each), "{:?}", each.id);
        }
    }
    let _ = stage.repo.delete(":").await.unwrap();
    assert_eq!(reader.get("%3A").await.unwrap().unwrap().name, "%3A");
}

async fn bad_input_is_refused_before_any_io(stage: Stage) {
    let too_long = "x".repeat(10 * 1024);
    let too_large = Todo { name: "x".repeat(2 * 1024 * 1024), ..todo("1", "") };
    let (loads, batches) = (stage.gate.loads(), stage.gate.batches());
    let errors = [
        stage.repo.get("").await.unwrap_err(),
        stage.repo.get(&*too_long).await.unwrap_err(),
        stage.repo.delete("").await.unwrap_err(),
        stage.repo.save(&todo("", "x")).await.unwrap_err(),
        stage.repo.save(&todo(&too_long, "x")).await.unwrap_err(),
        stage.repo.save(&too_large).await.unwrap_err(),
        stage.repo.get_many(vec!["x"; 10_001]).await.unwrap_err(),
        stage.repo.key("").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().len() < 400, "a message shows the beginning of a long id");
    }
    assert_eq!((stage.gate.loads(), stage.gate.batches()), (loads, batches));
}

async fn a_receipt_says_what_ok_meant(stage: Stage) {
    let first = stage.repo.save(&todo("1", "a")).await.unwrap();
    let second = stage.repo.save(&todo("1", "b")).await.unwrap();
    if stage.strategy == Strategy::WriteBehind {
        assert_eq!(first.durable(), Durable::Journaled);
        assert!(first.version() < second.version(), "{first:?} {second:?}");
        for saved in [first, second] {
            saved.persisted().await.unwrap();
            // Another process waits for the same write.
            let token = saved.token().unwrap();
            stage.process().await.persisted(&token).await.unwrap();
        }
        assert_eq!(stage.gate.rows(), 2 - stage.repo.counts().coalesced as usize);
    } else if stage.strategy.needs_store() {
        assert_eq!((first.durable(), first.version()), (Durable::Stored, None));
        first.persisted().await.unwrap();
    } else {
        assert_eq!(first.durable(), Durable::CachedOnly);
        assert!(first.version() < second.version(), "{first:?} {second:?}");
        assert_eq!(first.persisted().await.unwrap_err().kind(), ErrorKind::Configuration);
    }
}

async fn a_refused_write_leaves_no_trace(stage: Stage) {
    if !stage.is_store_first() {
        return;
    }
    let _ = stage.repo.save(&todo("1", "good")).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    stage.gate.fail(Point::BeforeApply, "1", StoreError::record("no such colour"));
    let error = stage.repo.save(&todo("1", "bad")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.outcome(), cached_repo::Outcome::NotApplied);
    assert!(error.to_string().contains("save todos \"1\""), "{error}");
    for repo in [&stage.repo, &stage.process().await] {
        assert_eq!(repo.get("1").await.unwrap().unwrap().name, "good");
    }
    let fills = stage.repo.counts().fills;
    stage.repo.evict("1").await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    assert_eq!(stage.repo.counts().fills, fills + 1, "no token was left behind");
}

async fn a_dropped_save_happens_whole(stage: Stage) {
    if !stage.is_store_first() {
        return;
    }
    let held = stage.gate.hold(Point::BeforeApply, "1");
    let (repo, entity) = (stage.repo.clone(), todo("1", "a"));
    let saving = tokio::spawn(async move { repo.save(&entity).await });
    held.arrived().await;
    saving.abort();
    assert!(saving.await.unwrap_err().is_cancelled());
    let applied = stage.gate.hold(Point::AfterApply, "1");
    held.release();
    applied.arrived().await;
    applied.release();
    assert_eq!(stage.repo.get("1").await.unwrap(), Some(todo("1", "a")));
}

async fn evict_touches_only_copies(stage: Stage) {
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    if !stage.strategy.needs_store() {
        let error = stage.repo.evict("1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(stage.repo.exists("1").await.unwrap());
        return;
    }
    stage.repo.flush().await.unwrap();
    let loads = stage.gate.loads();
    assert!(stage.repo.evict("1").await.unwrap());
    assert_eq!(stage.repo.get("1").await.unwrap(), Some(todo("1", "a")));
    assert_eq!(stage.gate.loads(), loads + 1);
}

async fn an_outdated_schema_is_not_served(stage: Stage) {
    let _ = stage.repo.save(&todo("1", "a")).await.unwrap();
    let _ = stage.repo.get("1").await.unwrap();
    stage.repo.flush().await.unwrap();
    let newer = stage.builder(stage.cache()).schema(2).build().await.unwrap();
    assert_eq!(newer.get("1").await.unwrap(), Some(todo("1", "a")), "loaded anew, or read by name");
    assert_eq!(newer.counts().outdated, u64::from(stage.strategy.needs_store()));
}
