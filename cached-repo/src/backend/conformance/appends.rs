//! The part of the suite that appends to a journal: whole, or not at all.

use super::{
    desk::{Desk, ROOMY},
    *,
};
use crate::backend::journal::{Append, Appended, Bound, Write};

pub(super) async fn run(suite: &Suite<'_>) {
    without_a_home_an_append_is_fenced(suite).await;
    an_append_writes_journal_and_entries(suite).await;
    an_append_takes_leases_away(suite).await;
    a_refused_append_changes_nothing(suite).await;
    a_full_journal_refuses_and_an_empty_one_takes_anything(suite).await;
    an_append_is_known_by_its_op_id(suite).await;
    a_first_attempt_that_comes_after_the_second_changes_nothing(suite).await;
    records_come_in_bounded_batches(suite).await;
    data_that_is_nowhere_is_refused(suite).await;
}

async fn without_a_home_an_append_is_fenced(suite: &Suite<'_>) {
    let desk = Desk::bare(suite, "homeless");
    let before = desk.picture(&["a"]).await;
    assert!(!desk.known().await.exists() && !desk.known().await.server.is_empty());
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    assert_eq!(desk.picture(&["a"]).await, before);
}

async fn an_append_writes_journal_and_entries(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "append").await;
    let appended = desk.try_append(&["a", "-b"], "op-1", None, ROOMY).await;
    let Appended::Written { versions, epoch, journal } = appended else { panic!("{appended:?}") };
    assert_eq!((epoch, journal.as_str()), (1, desk::JOURNAL));
    let later = desk.append(&["a"]).await;
    let all: Vec<u64> = versions.iter().chain(&later).copied().collect();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "versions grow: {all:?}");
    assert_eq!(desk.versions().await, all, "a record's id is its version");

    let records = desk.records(0).await;
    let ops: Vec<&str> = records.iter().map(|record| record.op.as_str()).collect();
    assert_eq!(ops, ["p", "d", "p"]);
    assert_eq!(records[0].data, br#"{"v":"a"}"#);
    assert_eq!((records[1].data.as_slice(), &*records[1].schema), (&br#"{"v":"b"}"#[..], "fp"));

    let (a, b) = (desk.envelope("a").await.unwrap(), desk.envelope("b").await.unwrap());
    assert_eq!((a.state, a.version, a.generation), (State::Dirty, later[0], 1));
    assert_eq!((b.state, b.version, b.generation), (State::Tombstone, versions[1], 1));
    let known = desk.known().await;
    assert!(known.is_at_home() && !known.sealed);
    assert_eq!((known.count, known.bytes, known.backlog()), (3, 27, 3));
    assert_eq!((known.clock, known.acked, known.trimmed_to), (later[0], 0, 0));
    assert_eq!(desk.oldest().await, Some(versions[0]), "the backlog tells the oldest one");
}

async fn an_append_takes_leases_away(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "leased").await;
    let slot = desk.slot("a");
    let asks = [LeaseAsk { slot: &slot, replace: false }];
    let lease = desk.backend.lease(&desk.keys, desk.format, &asks, "reader", HOLD);
    assert_eq!(lease.await.unwrap(), [Lease::Granted { generation: 1 }]);
    let version = desk.append(&["a"]).await[0];
    desk.acknowledge(version, &[("a", version, crate::backend::journal::Fate::Drop)]).await;
    let (body, stamp) = (desk.body("old"), stamp(1, slot.hash));
    let content = Some(content(State::Clean, &stamp, &body));
    let fills = [Fill { slot: &slot, generation: 1, content }];
    assert_eq!(desk.backend.fill(&desk.keys, &fills, "reader").await.unwrap(), [false]);
}

async fn a_refused_append_changes_nothing(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "refused").await;
    let (intended, ids) = ([desk.slot("intended")], ["free", "intended", "kept", "-gone"]);
    let hold = Duration::from_secs(7);
    desk.append(&["free"]).await;
    let begun = desk.backend.begin(&desk.keys, &intended, "writer", hold).await.unwrap();
    assert_eq!(begun, Begin::Begun { epoch: 1, generation: 1 });
    let before = desk.picture(&ids).await;
    let refused = desk.try_append(&["free", "intended"], "op", None, ROOMY).await;
    let Appended::Intended { wait } = refused else { panic!("{refused:?}") };
    assert!(!wait.is_zero() && wait <= hold, "{wait:?}");
    assert_eq!(desk.picture(&ids).await, before, "intended");

    let (slot, body) = (desk.slot("kept"), desk.body("kept"));
    let stamp = stamp(1, slot.hash);
    let content = Some(content(State::Kept, &stamp, &body));
    let puts = [Put { slot: &slot, id: "kept", content }];
    assert!(matches!(
        desk.backend.put(&desk.keys, &puts, false).await.unwrap(),
        PutReply::Written { .. }
    ));
    let before = desk.picture(&ids).await;
    assert_eq!(desk.try_append(&["free", "kept"], "op", None, ROOMY).await, Appended::Kept(1));
    assert_eq!(desk.picture(&ids).await, before, "kept");

    desk.plant(Meta::Home("gone")).await;
    let before = desk.picture(&ids).await;
    assert_eq!(desk.try_append(&["free", "-gone"], "op", None, ROOMY).await, Appended::Fenced);
    assert_eq!(desk.picture(&ids).await, before, "another home");
}

async fn a_full_journal_refuses_and_an_empty_one_takes_anything(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "full").await;
    let nothing = Bound { records: 1, bytes: 1 };
    let taken = desk.try_append(&["a", "b"], "op", None, nothing).await;
    let Appended::Written { versions, .. } = taken else { panic!("{taken:?}") };
    let before = desk.picture(&["a", "b", "c"]).await;
    let exact = Bound { records: 3, bytes: 27 };
    for bound in [Bound { records: 2, ..exact }, Bound { bytes: 26, ..exact }] {
        assert_eq!(desk.try_append(&["c"], "op", None, bound).await, Appended::Full);
        assert_eq!(desk.picture(&["a", "b", "c"]).await, before, "{bound:?}");
    }
    assert!(matches!(desk.try_append(&["c"], "op", None, exact).await, Appended::Written { .. }));
    desk.acknowledge(versions[0], &[]).await;
    assert!(
        matches!(desk.try_append(&["d"], "op", None, exact).await, Appended::Written { .. }),
        "what is drained does not count, though it is still there"
    );
}

async fn an_append_is_known_by_its_op_id(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "known").await;
    let first = desk.try_append(&["a", "b"], "mine", Some(0), ROOMY).await;
    let Appended::Written { versions, .. } = &first else { panic!("{first:?}") };
    let others: Vec<String> = (0..70).map(|i| format!("other-{i}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    desk.append(&others).await;
    desk.append(&others).await;
    let before = desk.picture(&["a", "b"]).await;
    let again = desk.try_append(&["a", "b"], "mine", Some(0), ROOMY).await;
    assert_eq!(again, first);
    let again = desk.try_append(&["a", "b"], "mine", Some(versions[0] - 1), ROOMY).await;
    assert_eq!(again, first);
    assert_eq!(desk.picture(&["a", "b"]).await, before, "a known append changes nothing");
    let again = desk.try_append(&["a", "b"], "mine", Some(u64::MAX >> 11), ROOMY).await;
    assert_eq!(again, first, "another server's versions may have been higher");
}

async fn a_first_attempt_that_comes_after_the_second_changes_nothing(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "overtaken").await;
    let second = desk.try_append(&["a"], "late", Some(0), ROOMY).await;
    assert!(matches!(second, Appended::Written { .. }));
    desk.append(&["a"]).await;
    let before = desk.picture(&["a"]).await;
    assert_eq!(desk.try_append(&["a"], "late", None, ROOMY).await, Appended::Overtaken);
    assert_eq!(desk.picture(&["a"]).await, before);
}

async fn records_come_in_bounded_batches(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "batches").await;
    assert_eq!(desk.records(0).await, []);
    let ids: Vec<String> = (100..250).map(|i| i.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let versions = desk.append(&ids).await;
    let batch = async |after, count, bytes| {
        let records = desk.backend.records(&desk.keys, 0, after, count, bytes).await.unwrap();
        records.into_iter().map(|record| record.version).collect::<Vec<u64>>()
    };
    assert_eq!(batch(0, 1000, usize::MAX).await, versions);
    assert_eq!(batch(versions[9], 100, usize::MAX).await, versions[10..110]);
    assert_eq!(batch(0, 3, usize::MAX).await, versions[..3]);
    // 11 bytes each.
    assert_eq!(batch(0, 1000, 23).await, versions[..3]);
    assert_eq!(batch(0, 1000, 11 * 130).await, versions[..130]);
    assert_eq!(batch(0, 1000, 0).await, versions[..1], "at least one, so that there is progress");
    assert!(batch(versions[149], 1000, 1).await.is_empty());
}

async fn data_that_is_nowhere_is_refused(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "data").await;
    let (slot, body) = (desk.slot("a"), Body::Fields(vec![("v".to_owned(), b"x".to_vec())]));
    let stamp = stamp(1, slot.hash);
    let content = content(State::Dirty, &stamp, &body);
    let writes = [Write { slot: &slot, content, deletes: false, data: None }];
    let append = Append {
        partition: 0,
        op_id: "op",
        tried_above: None,
        bound: ROOMY,
        schema: "fp",
        writes: &writes,
    };
    let before = desk.picture(&["a"]).await;
    assert!(desk.backend.append(&desk.keys, append).await.is_err());
    assert_eq!(desk.picture(&["a"]).await, before);
}
