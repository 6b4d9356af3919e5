//! A batch is written once, as a whole, in time, and only behind its fences.

use futures_util::future::join_all;

use super::{rows::same, *};
use crate::store::{Fence, Journaled, LetterKey, Position, Refused, Source};

pub(super) async fn a_put_is_idempotent_and_overwrites(suite: &Suite<'_>) {
    let first = suite.thing_with("twice", BIG, Value::I64(1));
    let second = suite.thing_with("twice", WORDS, text("other"));
    for put in [&first, &first, &second, &second] {
        suite.put(&suite.things, std::slice::from_ref(put)).await;
        let found = suite.load_one(&suite.things, put.id()).await.unwrap_or_default();
        same(put.record().unwrap(), &found, "a put that was repeated");
    }
}

pub(super) async fn deleting_an_absent_row_is_fine(suite: &Suite<'_>) {
    let put = suite.thing_with("gone", BIG, Value::I64(1));
    let delete = [Change::Delete { id: put.id().clone() }];
    suite.put(&suite.things, &delete).await;
    suite.put(&suite.things, &[put]).await;
    for _ in 0..2 {
        suite.put(&suite.things, &delete).await;
        let found = suite.load_one(&suite.things, delete[0].id()).await;
        assert!(found.is_none(), "a deleted row is found");
    }
}

pub(super) async fn a_batch_is_written_as_a_whole_or_not_at_all(suite: &Suite<'_>) {
    let kept = suite.thing_with("whole-kept", BIG, Value::I64(1));
    suite.put(&suite.things, std::slice::from_ref(&kept)).await;
    let batch = [
        suite.thing_with("whole-new", BIG, Value::I64(2)),
        suite.thing_with("whole-kept", BIG, Value::I64(2)),
        Change::Delete { id: suite.thing("whole-other").0 },
        suite.thing_with("whole-bad", BIG, text("not a number")),
    ];
    refused(suite.apply(&suite.things, &batch).await, Class::Record, "a batch with a bad record");
    let ids = [suite.thing("whole-new").0, suite.thing("whole-bad").0];
    assert!(suite.load(&suite.things, &ids).await.is_empty(), "a part of a batch was written");
    let found = suite.load_one(&suite.things, kept.id()).await.unwrap_or_default();
    same(kept.record().unwrap(), &found, "a refused batch changed a row");
    suite.put(&suite.things, &[]).await;
}

pub(super) async fn answers_come_in_the_order_of_the_batch(suite: &Suite<'_>) {
    let deleted = suite.thing_with("order-b", BIG, Value::I64(0));
    suite.put(&suite.things, std::slice::from_ref(&deleted)).await;
    let batch = [
        suite.thing_with("order-c", BIG, Value::I64(3)),
        Change::Delete { id: deleted.id().clone() },
        suite.thing_with("order-a", BIG, Value::I64(1)),
    ];
    let returning = Batch::new(&batch, soon()).returning(true);
    let applied = suite.store.apply(&suite.things, returning).await;
    let applied = applied.unwrap_or_else(|e| panic!("a batch failed: {e:?}"));
    match applied.as_slice() {
        [Applied::Put(Some(c)), Applied::Deleted, Applied::Put(Some(a))] => {
            same(batch[0].record().unwrap(), c, "the first answer");
            same(batch[2].record().unwrap(), a, "the third answer");
        }
        other => panic!("put, delete, put were answered with {other:?}"),
    }
    let applied = suite.apply(&suite.things, &batch[..1]).await;
    let silent = matches!(applied.as_deref(), Ok([Applied::Put(None)]));
    assert!(silent, "rows that nobody asked for were returned");
}

pub(super) async fn columns_that_a_schema_does_not_list_survive(suite: &Suite<'_>) {
    let whole = suite.thing_with("unmapped", BIG, Value::I64(7));
    suite.put(&suite.things, std::slice::from_ref(&whole)).await;
    let narrow = Schema::new("narrow", "narrow", 1, NARROW_COLUMNS)
        .with_table(suite.things.table().to_owned());
    let id = whole.id().clone();
    let mut record = Record::absent(2);
    record.set(0, text(&suite.unique("unmapped")));
    record.set(1, text("new"));
    suite.put(&narrow, &[Change::Put { id: id.clone(), record }]).await;
    let found = suite.load_one(&suite.things, &id).await.unwrap_or_default();
    assert_eq!(found.get(BIG), Some(&Value::I64(7)), "a column that was not listed was changed");
    assert_eq!(found.get(WORDS), Some(&text("new")), "a column that was listed was not");
}

pub(super) async fn nothing_is_written_after_the_deadline(suite: &Suite<'_>) {
    let put = suite.thing_with("late", BIG, Value::I64(1));
    let now = Clock::new().now();
    for deadline in [now - Duration::from_secs(1), now] {
        let batch = Batch::new(std::slice::from_ref(&put), deadline);
        let applied = suite.store.apply(&suite.things, batch).await;
        refused(applied, Class::Transient, "a deadline in the past");
        let found = suite.load_one(&suite.things, put.id()).await;
        assert!(found.is_none(), "a row was written after its deadline");
    }
}

pub(super) async fn a_fence_holds_where_nothing_was_journaled(suite: &Suite<'_>) {
    let entity = suite.unique("unfenced");
    let put = suite.thing_with("unfenced", BIG, Value::I64(1));
    let write = async |fences: &[Fence]| {
        let batch = Batch::new(std::slice::from_ref(&put), soon()).fenced(fences);
        suite.store.apply(&suite.things, batch).await
    };
    let fence = |partition, epoch| Fence::new(&entity, partition, epoch);

    for fences in [vec![fence(1, 1)], vec![fence(1, 0), fence(0, 1)]] {
        refused(write(&fences).await, Class::Fenced, &format!("{fences:?}"));
        let found = suite.load_one(&suite.things, put.id()).await;
        assert!(found.is_none(), "a fenced batch was written");
    }
    for fences in [vec![fence(1, 0)], vec![fence(0, 0), fence(1, 0)], vec![]] {
        let applied = write(&fences).await;
        assert!(applied.is_ok(), "the fences {fences:?} hold: {applied:?}");
    }
}

/// A store that ignored where a batch comes from would write it twice.
pub(super) async fn journals_that_are_not_taken_are_refused(suite: &Suite<'_>) {
    let put = suite.thing_with("journaled", BIG, Value::I64(1));
    let entity = suite.unique("journaled");
    let batch = Batch::new(std::slice::from_ref(&put), soon());
    let position =
        Position { entity: &entity, partition: 0, journal: "j", epoch: 1, from: 0, to: 1 };
    let journaled = Journaled {
        position,
        sources: &[Source { version: 1, data: "{}", schema: "" }],
        unreadable: &[],
        coalesced: 0,
        refused: Refused::Fail,
    };
    let replays = LetterKey { entity: &entity, partition: 0, version: 1 };
    for batch in [batch.journaled(journaled), batch.replaying(replays)] {
        let applied = suite.store.apply(&suite.things, batch).await;
        refused(applied, Class::Systemic, "a store that takes no journals, given one");
    }
    let found = suite.load_one(&suite.things, put.id()).await;
    assert!(found.is_none(), "a store that takes no journals wrote a batch from one");
}

pub(super) async fn writers_at_the_same_time_do_not_disturb_each_other(suite: &Suite<'_>) {
    let batches: Vec<_> = (0..16)
        .map(|n| {
            let own = suite.thing_with(&format!("busy-{n}"), BIG, Value::I64(n));
            vec![suite.thing_with("busy", BIG, Value::I64(n)), own]
        })
        .collect();
    join_all(batches.iter().map(|batch| suite.put(&suite.things, batch))).await;
    let ids: Vec<_> = batches.iter().map(|batch| batch[1].id().clone()).collect();
    assert_eq!(suite.load(&suite.things, &ids).await.len(), 16, "every writer's own row");
    let shared = suite.load_one(&suite.things, batches[0][0].id()).await;
    assert!(shared.is_some(), "the row that all of them wrote");
}

const NARROW_COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("id", "id", &[], Kind::Text, false, true),
    ColumnSpec::new("words", "words", &[], Kind::Text, true, false),
];
