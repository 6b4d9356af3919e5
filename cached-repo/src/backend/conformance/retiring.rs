//! The part of the suite that removes what is left of a partition that was given up.

use super::{
    desk::{Desk, JOURNAL, REPAIR, ROOMY},
    *,
};
use crate::backend::journal::{Appended, Fate, Repair, Repaired, Retired, STEP_RECORDS};

pub(super) async fn run(suite: &Suite<'_>) {
    what_was_given_up_is_retired(suite).await;
    a_long_journal_is_retired_in_steps(suite).await;
    a_journal_that_lives_is_not_retired(suite).await;
    a_journal_that_lives_again_is_not_retired(suite).await;
}

async fn what_was_given_up_is_retired(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "retired").await;
    let v = desk.append(&["put", "-deleted", "drained", "put", "clean", "kept"]).await;
    let clean = Fate::Clean { ttl: HOLD };
    desk.acknowledge(v[0], &[("clean", v[4], clean)]).await;
    // Written since: copies, what only Redis has, and a write of another partition, in no earlier epoch.
    desk.plant_entry("kept", State::Kept, v[5]).await;
    desk.plant_journaled("drained", v[2], 3).await;
    desk.retire(3).await;
    assert_eq!((desk.state("put").await, desk.state("deleted").await), (None, None));
    assert_eq!(desk.state("drained").await, Some(State::Dirty), "that of another partition");
    assert_eq!(desk.state("clean").await, Some(State::Clean));
    assert_eq!(desk.state("kept").await, Some(State::Kept));
    assert!(!desk.known().await.exists());
    assert_eq!((desk.versions().await, desk.oldest().await), (vec![], None));
    assert_eq!(desk.generation().await, 3, "copies are outdated");
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    desk.plant_journaled("drained", v[2], 1).await;
    let before = desk.picture(&["put", "deleted", "drained", "clean", "kept"]).await;
    desk.retire(3).await;
    assert_eq!(
        desk.picture(&["put", "deleted", "drained", "clean", "kept"]).await,
        before,
        "twice"
    );
}

/// What a step has removed is not looked at again, and the rest is no journal.
async fn a_long_journal_is_retired_in_steps(suite: &Suite<'_>) {
    if suite.format != Format::Json {
        return;
    }
    let desk = Desk::open(suite, "long").await;
    desk.append_many(2 * STEP_RECORDS + 1).await;
    let mut versions = desk.versions().await;
    let (last_of_first, last) = ((STEP_RECORDS - 1).to_string(), (2 * STEP_RECORDS).to_string());
    for _ in 0..2 {
        assert_eq!(desk.retire_some(JOURNAL, 2).await, Retired::More);
        versions.drain(..STEP_RECORDS);
        assert_eq!(desk.versions().await, versions);
        assert_eq!((desk.state("0").await, desk.state(&last_of_first).await), (None, None));
        assert!(!desk.known().await.exists(), "nobody goes on with a part of it");
        assert!(desk.oldest().await.is_some(), "a worker finds the rest");
        assert_eq!(desk.state(&last).await, Some(State::Dirty));
    }
    assert_eq!(desk.retire_some(JOURNAL, 2).await, Retired::Done);
    assert_eq!(desk.state(&last).await, None);
    assert_eq!((desk.versions().await, desk.oldest().await), (vec![], None));
}

/// Whoever stood still finds it recovered, because the database was restored.
async fn a_journal_that_lives_is_not_retired(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "lives").await;
    desk.append(&["a"]).await;
    let recover = Repair { epoch: 2, settled: 1, ..REPAIR };
    assert_eq!(desk.recover(recover).await, Repaired::Kept { left: 1 });
    desk.append(&["b", "-c"]).await;
    let before = desk.picture(&["a", "b", "c"]).await;
    for (journal, epoch) in [(JOURNAL, 1), (JOURNAL, 2), ("journal-b", 3)] {
        assert_eq!(desk.retire_some(journal, epoch).await, Retired::Refused, "{journal} {epoch}");
        assert_eq!(desk.picture(&["a", "b", "c"]).await, before, "{journal} {epoch}");
        assert_eq!(desk.generation().await, 2);
    }
    assert_eq!(desk.retire_some(JOURNAL, 3).await, Retired::Done);
    assert_eq!((desk.state("a").await, desk.state("b").await), (None, None));
}

/// The same between two steps.
async fn a_journal_that_lives_again_is_not_retired(suite: &Suite<'_>) {
    if suite.format != Format::Json {
        return;
    }
    let desk = Desk::open(suite, "again").await;
    desk.append_many(STEP_RECORDS + 2).await;
    assert_eq!(desk.retire_some(JOURNAL, 2).await, Retired::More);
    let recover = Repair { epoch: 2, settled: 1, ..REPAIR };
    assert_eq!(desk.recover(recover).await, Repaired::Replaced { discarded: 2 });
    desk.append(&["0"]).await;
    assert_eq!(desk.retire_some(JOURNAL, 2).await, Retired::Refused);
    assert_eq!(desk.state("0").await, Some(State::Dirty));
    assert_eq!(desk.known().await.backlog(), 1);
}

impl Desk<'_> {
    async fn retire_some(&self, journal: &str, epoch: u64) -> Retired {
        self.backend.retire(&self.keys, 0, journal, epoch).await.unwrap()
    }

    /// What one step is enough for.
    async fn retire(&self, epoch: u64) {
        assert_eq!(self.retire_some(JOURNAL, epoch).await, Retired::Done);
    }

    /// Writes ids from 0, one step after the other: a busy server has time for as many.
    async fn append_many(&self, count: usize) {
        let ids: Vec<String> = (0..count).map(|id| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for ids in ids.chunks(100) {
            self.append(ids).await;
        }
    }

    /// The entry of a write that was journaled in an epoch.
    async fn plant_journaled(&self, id: &str, version: u64, epoch: u64) {
        let slot = self.slot(id);
        let envelope = Envelope::compose(State::Dirty, version, epoch, &stamp(1, slot.hash));
        self.backend.plant(&slot.entry, self.body(id).compose(&envelope)).await.unwrap();
    }
}
