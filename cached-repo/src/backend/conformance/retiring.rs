//! The part of the suite that removes what is left of a partition that was given up.

use super::{
    desk::{Desk, ROOMY},
    *,
};
use crate::backend::journal::{Appended, Bound, Fate};

pub(super) async fn run(suite: &Suite<'_>) {
    what_was_given_up_is_retired(suite).await;
    a_long_journal_is_retired_in_steps(suite).await;
}

async fn what_was_given_up_is_retired(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "retired").await;
    let v = desk.append(&["put", "-deleted", "drained", "put", "clean", "kept"]).await;
    let clean = Fate::Clean { ttl: HOLD };
    desk.acknowledge(v[0], &[("clean", v[4], clean)]).await;
    // Written since: copies, what only Redis has, and a write of another partition, in a later epoch.
    desk.plant_entry("kept", State::Kept, v[5]).await;
    desk.plant_journaled("drained", v[2], 4).await;
    desk.retire(3).await;
    assert_eq!((desk.state("put").await, desk.state("deleted").await), (None, None));
    assert_eq!(desk.state("drained").await, Some(State::Dirty), "that of another partition");
    assert_eq!(desk.state("clean").await, Some(State::Clean));
    assert_eq!(desk.state("kept").await, Some(State::Kept));
    assert!(!desk.known().await.exists());
    assert_eq!((desk.versions().await, desk.oldest().await), (vec![], None));
    assert_eq!(desk.generation().await, 3, "copies are outdated");
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    desk.plant_journaled("drained", v[2], 3).await;
    let before = desk.picture(&["put", "deleted", "drained", "clean", "kept"]).await;
    desk.retire(3).await;
    assert_eq!(
        desk.picture(&["put", "deleted", "drained", "clean", "kept"]).await,
        before,
        "twice"
    );
}

async fn a_long_journal_is_retired_in_steps(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "long").await;
    let ids: Vec<String> = (0..2_001).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    desk.append(&ids[..1_000]).await;
    let bound = Bound { records: 10_000, ..ROOMY };
    for ids in [&ids[1_000..2_000], &ids[2_000..]] {
        let appended = desk.try_append(ids, "op", None, bound).await;
        assert!(matches!(appended, Appended::Written { .. }), "{appended:?}");
    }
    let mut after = Some(0);
    while let Some(at) = after {
        assert_eq!(desk.versions().await.len(), ids.len(), "it goes at the end");
        after = desk.backend.retire(&desk.keys, 0, at, 1).await.unwrap();
    }
    for id in ["0", "999", "1000", "2000"] {
        assert_eq!(desk.state(id).await, None, "{id}");
    }
    assert!(desk.versions().await.is_empty());
}

impl Desk<'_> {
    /// All steps at once.
    async fn retire(&self, epoch: u64) {
        let mut after = Some(0);
        while let Some(at) = after {
            after = self.backend.retire(&self.keys, 0, at, epoch).await.unwrap();
        }
    }

    /// The entry of a write that was journaled in an epoch.
    async fn plant_journaled(&self, id: &str, version: u64, epoch: u64) {
        let slot = self.slot(id);
        let envelope = Envelope::compose(State::Dirty, version, epoch, &stamp(1, slot.hash));
        self.backend.plant(&slot.entry, self.body(id).compose(&envelope)).await.unwrap();
    }
}
