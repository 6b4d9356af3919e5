//! Dead letters wait for a person, unless something newer reaches their row.

use futures_util::future::join_all;

use super::{
    journal::{Drain, FINGERPRINT, unreadable},
    *,
};
use crate::store::{DeadLetter, Fence, Journaled, LetterKey, LetterState, Refused, Source};

impl Drain<'_> {
    /// Those that wait.
    pub(super) async fn letters(&self) -> Vec<DeadLetter> {
        self.page(None, 100).await
    }

    async fn page(&self, after: Option<(u32, u64)>, limit: u32) -> Vec<DeadLetter> {
        let letters = Ledger::Letters { entity: &self.entity, after, limit };
        self.listed(letters).await
    }

    async fn listed(&self, operation: Ledger<'_>) -> Vec<DeadLetter> {
        match self.suite.store.ledger(operation).await {
            Ok(Entry::Letters(letters)) => letters,
            other => panic!("asked for dead letters, the store answered {other:?}"),
        }
    }

    fn key(&self, version: u64) -> LetterKey<'_> {
        LetterKey { entity: &self.entity, partition: self.partition, version }
    }

    async fn state(&self, version: u64) -> Option<LetterState> {
        self.listed(Ledger::Letter(self.key(version))).await.pop().map(|letter| letter.state)
    }

    /// Writes a pair around the journal, perhaps replaying a letter.
    async fn write_first(
        &self,
        put: &Change,
        replays: Option<u64>,
    ) -> Result<Vec<Applied>, StoreError> {
        let fences = [Fence::new(&self.entity, self.partition, self.epoch)];
        let batch = Batch::new(std::slice::from_ref(put), soon()).fenced(&fences);
        let batch = match replays {
            Some(version) => batch.replaying(self.key(version)),
            None => batch,
        };
        self.suite.store.apply(&self.suite.pairs, batch).await
    }
}

pub(super) async fn what_cannot_be_read_is_kept_as_it_is(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "unreadable").await;
    let records = unreadable(2);
    drain.unreadable = &records;
    drain.drain(0, 2, &[]).await;
    let mut expected = DeadLetter::new(drain.key(2), "", "no words");
    expected.deletes = true;
    expected.data = "not even JSON".to_owned();
    expected.schema = FINGERPRINT.to_owned();
    assert_eq!(drain.letters().await, [expected.clone()], "the letters that wait");
    let found = drain.listed(Ledger::Letter(drain.key(2))).await;
    assert_eq!(found, [expected], "the letter that was asked for");
    assert_eq!(drain.state(1).await, None, "a letter nobody made");
}

pub(super) async fn a_letter_is_superseded_by_a_later_record(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "superseded").await;
    drain.drain(0, 10, &[drain.bad(1), drain.bad(2)]).await;
    drain.drain(10, 20, &[drain.put(2, "later"), drain.bad(1)]).await;
    let states = [drain.state(9).await, drain.state(10).await, drain.state(20).await];
    use LetterState::{Superseded, Waiting};
    assert_eq!(
        states,
        [Some(Waiting), Some(Superseded), Some(Waiting)],
        "a letter waits until a later record of its id is written: refused, written, refused"
    );
    drain.drain(20, 30, &[Change::Delete { id: drain.put(1, "").id().clone() }]).await;
    let states = [drain.state(9).await, drain.state(20).await];
    assert_eq!(states, [Some(Superseded); 2], "a delete supersedes too");
    assert_eq!(drain.letters().await, [], "no letter waits any more");
}

pub(super) async fn only_a_later_record_of_the_same_id_supersedes(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "kept").await;
    drain.drain(0, 41, &[drain.bad(3)]).await;
    let (waits, put) = (Some(LetterState::Waiting), drain.put(3, "x"));
    drain.drain(41, 50, &[drain.put(4, "x")]).await;
    assert_eq!(drain.state(41).await, waits, "another id superseded a letter");
    let other = Drain::new(suite, "kept-other").await;
    other.drain(0, 99, std::slice::from_ref(&put)).await;
    assert_eq!(drain.state(41).await, waits, "another entity superseded a letter");

    let sources = [Source { version: 41, data: "", schema: "" }];
    let journaled = Journaled {
        position: drain.position(50, 60),
        sources: &sources,
        unreadable: &[],
        coalesced: 0,
        refused: Refused::Fail,
    };
    let batch = Batch::new(std::slice::from_ref(&put), soon()).journaled(journaled);
    let written = suite.store.apply(&suite.pairs, batch).await;
    assert!(written.is_ok(), "a record that is as old as a letter of its id: {written:?}");
    assert_eq!(drain.state(41).await, waits, "a record that is not later superseded a letter");

    let partition = drain.partition;
    drain.partition = 5;
    assert_eq!(suite.raise(&drain.entity, 5).await.ok(), Some(1), "another partition");
    drain.drain(0, 40, std::slice::from_ref(&put)).await;
    drain.partition = partition;
    assert_eq!(drain.state(41).await, waits, "an older record of another partition superseded it");
}

/// The id's partition is another one since their number was changed.
pub(super) async fn a_letter_is_superseded_from_another_partition(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "moved").await;
    let old = drain.partition;
    drain.drain(0, 40, &[drain.bad(1), drain.bad(2)]).await;
    drain.drain(40, 41, &[drain.bad(3)]).await;
    drain.partition = 5;
    assert_eq!(suite.raise(&drain.entity, 5).await.ok(), Some(1), "another partition");
    drain.drain(0, 99, &[drain.put(3, "later")]).await;
    assert!(drain.write_first(&drain.put(2, "x"), None).await.is_ok(), "a store-first write");
    drain.partition = old;
    let states = [drain.state(39).await, drain.state(40).await, drain.state(41).await];
    use LetterState::{Superseded, Waiting};
    assert_eq!(states, [Some(Waiting), Some(Superseded), Some(Superseded)], "by either write");
}

pub(super) async fn a_letter_is_superseded_by_a_store_first_write(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "overtaken").await;
    drain.drain(0, 2, &[drain.bad(1), drain.bad(2)]).await;
    let failed = drain.write_first(&drain.bad(1), None).await;
    refused(failed, Class::Record, "a bad record, store first");
    assert_eq!(drain.letters().await.len(), 2, "a write that failed superseded a letter");
    assert!(drain.write_first(&drain.put(1, "x"), None).await.is_ok(), "a store-first write");
    let states = [drain.state(1).await, drain.state(2).await];
    use LetterState::{Superseded, Waiting};
    assert_eq!(
        states,
        [Some(Superseded), Some(Waiting)],
        "only letters of the id that was written"
    );

    // Sealed, so that a writer that cannot ask Redis may write.
    let (entity, partition, epoch) = (&drain.entity, drain.partition, drain.epoch);
    let seal = Ledger::Seal { entity, partition, epoch, last_id: 2 };
    assert!(suite.changed(seal).await, "sealed");
    let (puts, fences) = ([drain.put(2, "x")], [Fence::new(entity, partition, 0)]);
    let batch = Batch::new(&puts, soon()).fenced(&fences);
    assert!(suite.store.apply(&suite.pairs, batch).await.is_ok(), "a write where it is sealed");
    assert_eq!(drain.state(2).await, Some(Superseded), "also without an epoch");
}

pub(super) async fn a_letter_is_replayed_once(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "replayed").await;
    drain.drain(0, 2, &[drain.bad(1), drain.bad(2)]).await;
    let failed = drain.write_first(&drain.bad(1), Some(1)).await;
    refused(failed, Class::Record, "a replay that is refused again");
    let mut fenced = Fence::new(&drain.entity, drain.partition, drain.epoch);
    fenced.epoch += 1;
    let (puts, fences) = ([drain.put(1, "fenced")], [fenced]);
    let batch = Batch::new(&puts, soon()).fenced(&fences).replaying(drain.key(1));
    let failed = suite.store.apply(&suite.pairs, batch).await;
    refused(failed, Class::Fenced, "a replay behind a fence that does not hold");
    assert_eq!(drain.state(1).await, Some(LetterState::Waiting), "a replay that failed");

    let put = drain.put(1, "replayed");
    let both = join_all([0, 1].map(|_| drain.write_first(&put, Some(1)))).await;
    let written = both.iter().filter(|replayed| replayed.is_ok()).count();
    assert_eq!(written, 1, "one of two replays of one letter is written: {both:?}");
    assert_eq!(drain.state(1).await, Some(LetterState::Replayed), "the letter that was replayed");
    assert_eq!(drain.value(1).await, text("replayed"), "the row that was replayed");

    for (id, version) in [(1, 1), (2, 7)] {
        let put = drain.put(id, "again");
        refused(drain.write_first(&put, Some(version)).await, Class::Fenced, "no waiting letter");
    }
    drain.drain(2, 3, &[drain.put(2, "newer")]).await;
    let late = drain.write_first(&drain.put(2, "older"), Some(2)).await;
    refused(late, Class::Fenced, "a replay of a letter that was superseded");
    assert_eq!(drain.value(2).await, text("newer"), "a replay overwrote something newer");
}

pub(super) async fn a_replay_supersedes_older_letters_only(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "replays").await;
    for version in 1..=3 {
        drain.drain(version - 1, version, &[drain.bad(1)]).await;
    }
    assert!(drain.write_first(&drain.put(1, "second"), Some(2)).await.is_ok(), "a replay");
    let states = [drain.state(1).await, drain.state(2).await, drain.state(3).await];
    use LetterState::{Replayed, Superseded, Waiting};
    assert_eq!(states.map(Option::unwrap), [Superseded, Replayed, Waiting], "in their order");
}

pub(super) async fn letters_that_wait_are_edited_and_discarded(suite: &Suite<'_>) {
    let drain = Drain::new(suite, "edited").await;
    drain.drain(0, 2, &[drain.bad(1), drain.bad(2)]).await;
    let edit = |version| Ledger::Edit { letter: drain.key(version), data: r#"{"b":"2"}"# };
    let discard = |version| Ledger::Discard(drain.key(version));
    assert!(suite.changed(edit(1)).await, "a letter that waits was not edited");
    assert_eq!(drain.letters().await[0].data, r#"{"b":"2"}"#, "the data that was edited");
    assert!(suite.changed(discard(1)).await, "a letter that waits was not discarded");
    assert_eq!(drain.state(1).await, Some(LetterState::Discarded), "the discarded letter");
    for version in [1, 3] {
        assert!(!suite.changed(edit(version)).await, "a letter that does not wait was edited");
        assert!(!suite.changed(discard(version)).await, "a letter was discarded twice");
    }
    let replayed = drain.write_first(&drain.put(1, "x"), Some(1)).await;
    refused(replayed, Class::Fenced, "a replay of a letter that was discarded");
    let versions: Vec<_> = drain.letters().await.iter().map(|letter| letter.version).collect();
    assert_eq!(versions, [2], "the letters that wait");
}

pub(super) async fn letters_are_listed_page_by_page(suite: &Suite<'_>) {
    let mut drain = Drain::new(suite, "pages").await;
    for partition in [9, 10, 2] {
        let raised = suite.raise(&drain.entity, partition).await;
        assert_eq!(raised.ok(), Some(1), "a new partition");
        drain.partition = partition;
        drain.drain(0, 9, &[drain.bad(1)]).await;
        drain.drain(9, 11, &[drain.bad(2), drain.bad(3)]).await;
    }
    assert!(suite.changed(Ledger::Discard(drain.key(10))).await, "discarded");
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = drain.page(after, 3).await;
        assert!(page.len() <= 3, "a page has no more letters than were asked for");
        let Some(last) = page.last() else { break };
        after = Some((last.partition, last.version));
        found.extend(page.iter().map(|letter| (letter.partition, letter.version)));
        assert!(found.len() < 20, "a page does not begin behind the one before it");
    }
    let expected = [(2, 9), (2, 11), (9, 9), (9, 10), (9, 11), (10, 9), (10, 10), (10, 11)];
    assert_eq!(found, expected, "letters by partition and version");
}
