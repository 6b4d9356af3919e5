//! A batch from a journal moves its position, is counted, and buries what is refused.

use futures_util::future::join_all;

use super::{offsets::JOURNAL, *};
use crate::store::{Journaled, Offset, Position, Refused, Source, Unreadable};

/// A partition whose epoch is settled, and batches for it.
pub(super) struct Drain<'a> {
    pub(super) suite: &'a Suite<'a>,
    pub(super) entity: String,
    pub(super) partition: u32,
    pub(super) epoch: u64,
    pub(super) refused: Refused,
    pub(super) unreadable: &'a [Unreadable<'a>],
    pub(super) coalesced: u64,
}

impl<'a> Drain<'a> {
    pub(super) async fn new(suite: &'a Suite<'a>, what: &str) -> Self {
        let (entity, partition) = (suite.unique(what), 4);
        let epoch = suite.raise(&entity, partition).await;
        let epoch = epoch.unwrap_or_else(|e| panic!("raising an epoch failed: {e:?}"));
        let refused = Refused::Bury { references: true };
        Self { suite, entity, partition, epoch, refused, unreadable: &[], coalesced: 0 }
    }

    pub(super) fn position(&self, from: u64, to: u64) -> Position<'_> {
        let Self { entity, partition, epoch, .. } = self;
        Position { entity, partition: *partition, journal: JOURNAL, epoch: *epoch, from, to }
    }

    /// Writes changes to the pairs, whose versions end with that of the position.
    pub(super) async fn write(
        &self,
        position: Position<'_>,
        changes: &[Change],
    ) -> Result<Vec<Applied>, StoreError> {
        let first = position.to + 1 - changes.len() as u64;
        let sources: Vec<_> = (first..=position.to)
            .map(|version| Source { version, data: DATA, schema: FINGERPRINT })
            .collect();
        let Self { refused, unreadable, coalesced, .. } = *self;
        let journaled = Journaled { position, sources: &sources, unreadable, coalesced, refused };
        let batch = Batch::new(changes, soon()).journaled(journaled);
        self.suite.store.apply(&self.suite.pairs, batch).await
    }

    /// The same, of a batch that must be written.
    pub(super) async fn drain(&self, from: u64, to: u64, changes: &[Change]) -> Vec<Applied> {
        let applied = self.write(self.position(from, to), changes).await;
        let applied = applied.unwrap_or_else(|e| panic!("a batch of a journal failed: {e:?}"));
        assert_eq!(applied.len(), changes.len(), "apply answers one outcome per change");
        applied
    }

    pub(super) async fn offset(&self) -> Offset {
        self.suite.offset(&self.entity, self.partition).await.unwrap_or_default()
    }

    pub(super) fn put(&self, id: i64, value: &str) -> Change {
        self.suite.pair(id, &self.entity, value)
    }

    /// A change that every store refuses.
    pub(super) fn bad(&self, id: i64) -> Change {
        let Change::Put { id, mut record } = self.put(id, "") else { unreachable!() };
        record.set(2, Value::Null);
        Change::Put { id, record }
    }

    /// The value of a pair; empty if it is not there.
    pub(super) async fn value(&self, id: i64) -> Value<'static> {
        let row = self.suite.load_one(&self.suite.pairs, self.put(id, "").id()).await;
        row.and_then(|mut row| row.take(2)).unwrap_or(text(""))
    }
}

pub(super) async fn a_position_moves_from_exactly_where_it_is(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "position").await;
    let good = drain.position(0, 5);
    let (entity, other) = (&drain.entity, &suite.unique("position-other"));
    for wrong in [
        Position { from: 1, ..good },
        Position { epoch: 2, ..good },
        Position { epoch: 0, ..good },
        Position { journal: "another journal", ..good },
        Position { partition: 5, ..good },
        Position { entity: other, ..good },
    ] {
        let written = drain.write(wrong, &[drain.put(1, "wrong")]).await;
        refused(written, Class::Fenced, &format!("{wrong:?}, where {good:?} is right"));
        assert_eq!(drain.value(1).await, text(""), "a fenced batch was written");
    }
    drain.drain(0, 5, &[drain.put(1, "five")]).await;
    assert_eq!(drain.offset().await.last_id, 5, "the position moved");
    let again = drain.write(good, &[drain.put(1, "again")]).await;
    refused(again, Class::Fenced, "a batch that was written before");
    // A batch may have nothing to write.
    drain.drain(5, 9, &[]).await;
    assert_eq!(drain.offset().await.last_id, 9, "a batch without changes moves the position");

    let (partition, journal, home, epoch_min, seen) = (4, "", "other", 0, 1);
    let recover = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
    assert!(suite.store.ledger(recover).await.is_ok(), "a recovery");
    for epoch in [1, 2] {
        let unsettled = Position { epoch, ..drain.position(9, 10) };
        let written = drain.write(unsettled, &[drain.put(1, "unsettled")]).await;
        refused(written, Class::Fenced, "a batch before the recovery is complete");
    }
    assert!(suite.changed(Ledger::Settle { entity, partition: 4, epoch: 2 }).await, "settled");
    let settled = Position { epoch: 2, ..drain.position(9, 10) };
    assert!(drain.write(settled, &[drain.put(1, "ten")]).await.is_ok(), "a settled epoch");
    let seal = Ledger::Seal { entity, partition: 4, epoch: 2, last_id: 10 };
    assert!(suite.changed(seal).await, "sealed");
    let sealed = Position { from: 10, to: 11, ..settled };
    let written = drain.write(sealed, &[drain.put(1, "sealed")]).await;
    refused(written, Class::Fenced, "a batch of a journal that is known to be empty");
    assert_eq!(drain.value(1).await, text("ten"), "what the last batch wrote");
}

pub(super) async fn a_batch_that_fails_leaves_the_position(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "fails").await;
    drain.refused = Refused::Fail;
    let before = drain.offset().await;
    let unreadable = unreadable(1);
    drain.unreadable = &unreadable;
    let failed = drain.write(drain.position(0, 3), &[drain.put(1, "x"), drain.bad(2)]).await;
    refused(failed, Class::Record, "a batch with a bad record that may not be buried");
    assert_eq!(drain.offset().await, before, "a failed batch moved the position");
    assert_eq!(drain.value(1).await, text(""), "a part of a failed batch was written");
    assert_eq!(drain.letters().await, [], "a failed batch left a dead letter");

    let late = Batch::new(&[], Clock::new().now() - Duration::from_secs(1));
    let (position, refuse) = (drain.position(0, 3), Refused::Fail);
    let journaled = Journaled {
        position,
        sources: &[],
        unreadable: &unreadable,
        coalesced: 0,
        refused: refuse,
    };
    let late = suite.store.apply(&suite.pairs, late.journaled(journaled)).await;
    refused(late, Class::Transient, "a deadline in the past");
    assert_eq!(drain.offset().await, before, "a late batch moved the position");
    assert_eq!(drain.letters().await, [], "a late batch left a dead letter");
}

pub(super) async fn one_of_many_equal_batches_is_written(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "raced").await;
    let changes = [drain.put(1, "x"), drain.put(2, "y")];
    for round in 0..4 {
        let (from, to) = (round * 2, round * 2 + 2);
        let batches = (0..8).map(|_| drain.write(drain.position(from, to), &changes));
        let written = join_all(batches).await;
        for failed in written.iter().filter_map(|written| written.as_ref().err()) {
            assert_eq!(failed.class(), Class::Fenced, "a batch that lost the race: {failed:?}");
        }
        let count = written.iter().filter(|written| written.is_ok()).count();
        assert_eq!(count, 1, "of equal batches exactly one is written");
    }
    let offset = drain.offset().await;
    assert_eq!((offset.last_id, offset.applied), (8, 8), "each round is counted once");
}

pub(super) async fn counts_add_up(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "counts").await;
    drain.coalesced = 3;
    drain.drain(0, 5, &[drain.put(1, "x"), drain.put(2, "x")]).await;
    let unreadable = unreadable(7);
    (drain.coalesced, drain.unreadable) = (1, &unreadable);
    let gone = Change::Delete { id: drain.put(1, "").id().clone() };
    drain.drain(5, 10, &[gone, drain.bad(2), drain.put(3, "x")]).await;
    let Offset { applied, coalesced, dead_lettered, last_id, .. } = drain.offset().await;
    assert_eq!(
        (applied, coalesced, dead_lettered, last_id),
        (4, 4, 2, 10),
        "applied, left out, dead letters, position"
    );
}

pub(super) async fn a_refused_change_fails_the_batch_or_is_buried(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "buried").await;
    let applied = drain.drain(0, 3, &[drain.put(1, "x"), drain.bad(2), drain.put(3, "x")]).await;
    let answered = matches!(
        applied.as_slice(),
        [Applied::Put(None), Applied::Buried { .. }, Applied::Put(None)]
    );
    assert!(answered, "a refused change is answered as buried, and no other: {applied:?}");
    assert_eq!(drain.value(3).await, text("x"), "what stood behind a refused change");
    let letters = drain.letters().await;
    let [letter] = letters.as_slice() else { panic!("one change was refused: {letters:?}") };
    let found = (letter.version, letter.id.as_str(), letter.deletes, letter.data.as_str());
    let change = drain.bad(2);
    assert_eq!(found, (2, change.id().text(), false, DATA), "the letter of a refused change");
    assert_eq!(letter.schema, FINGERPRINT, "the fingerprint of a refused change");
    assert!(letter.error.contains("value"), "the error names the column: {}", letter.error);
}

pub(super) async fn however_many_changes_are_refused_the_others_are_written(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "mostly-bad").await;
    let changes = [drain.bad(1), drain.bad(2), drain.bad(3), drain.put(9, "x"), drain.bad(4)];
    drain.drain(0, 5, &changes).await;
    assert_eq!(drain.value(9).await, text("x"), "the one change that is not refused");
    let letters = drain.letters().await;
    assert_eq!(letters.len(), 4, "one dead letter for each refused change");
    drain.drain(5, 7, &[drain.bad(1), drain.bad(2)]).await;
    assert_eq!(drain.letters().await.len(), 4 + 2, "where all are refused, too");
}

pub(super) fn unreadable(version: u64) -> [Unreadable<'static>; 1] {
    let source = Source { version, data: "not even JSON", schema: FINGERPRINT };
    [Unreadable { source, deletes: true, error: "no words" }]
}

pub(super) const DATA: &str = r#"{"a":"1"}"#;
pub(super) const FINGERPRINT: &str = "abc123";
