//! The part of the suite that drains a journal: claims, acknowledgements, trimming.

use super::{
    desk::{Desk, LONG},
    *,
};
use crate::backend::journal::{Acknowledged, Acknowledgement, Fate, Settled};

const CLEAN: Fate = Fate::Clean { ttl: HOLD };
const GONE: Fate = Fate::Clean { ttl: Duration::ZERO };

pub(super) async fn run(suite: &Suite<'_>) {
    settled_entries_become_copies(suite).await;
    a_later_write_stays_dirty_and_an_earlier_one_goes(suite).await;
    a_dropped_entry_goes(suite).await;
    what_is_not_journaled_is_left_alone(suite).await;
    an_older_copy_goes(suite).await;
    acknowledging_moves_forward_only(suite).await;
    without_a_home_nothing_is_acknowledged(suite).await;
    behind_a_gap_nothing_is_acknowledged(suite).await;
    records_are_retained_for_a_while(suite).await;
    what_the_store_has_lost_is_not_trimmed(suite).await;
    one_worker_has_the_claim(suite).await;
}

async fn settled_entries_become_copies(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "settled").await;
    let v = desk.append(&["put", "-deleted", "-forgotten", "brief"]).await;
    let brief = Fate::Clean { ttl: Duration::from_millis(20) };
    let settled = [
        ("put", v[0], CLEAN),
        ("deleted", v[1], CLEAN),
        ("forgotten", v[2], GONE),
        ("brief", v[3], brief),
    ];
    assert_eq!(desk.acknowledge(v[3], &settled).await, 0);
    let put = desk.envelope("put").await.unwrap();
    assert_eq!((put.state, put.version, put.generation), (State::Clean, v[0], 1));
    assert_eq!(desk.state("deleted").await, Some(State::Negative));
    assert_eq!(desk.state("forgotten").await, None);
    // The entry's own lifetime is what this waits for.
    while desk.read("brief").await.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let known = desk.known().await;
    assert_eq!((known.acked, known.acked_count, known.acked_bytes), (v[3], 4, known.bytes));
    assert_eq!((known.backlog(), desk.oldest().await), (0, None));
    let slot = [desk.slot("put")];
    let begun = desk.backend.begin(&desk.keys, &slot, "w", HOLD).await.unwrap();
    assert_eq!(begun, Begin::Begun { epoch: 1, generation: 1 }, "it is a copy like any other");
}

async fn a_later_write_stays_dirty_and_an_earlier_one_goes(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "versions").await;
    let v = desk.append(&["a", "b", "a"]).await;
    let settled = [("a", v[0], CLEAN), ("b", v[1], CLEAN)];
    assert_eq!(desk.acknowledge(v[1], &settled).await, 1);
    let a = desk.envelope("a").await.unwrap();
    assert_eq!((a.state, a.version), (State::Dirty, v[2]));
    assert_eq!(desk.state("b").await, Some(State::Clean));
    assert_eq!(desk.oldest().await, Some(v[2]));
    let known = desk.known().await;
    assert_eq!((known.acked, known.acked_count, known.backlog()), (v[1], 2, 1));
    // As if the entry of the later write had been lost.
    assert_eq!(desk.acknowledge(v[2], &[("a", v[2] + 1, CLEAN)]).await, 0);
    assert_eq!(desk.state("a").await, None);
}

async fn a_dropped_entry_goes(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "dropped").await;
    let v = desk.append(&["a", "-b", "c", "c"]).await;
    let settled = [("a", v[0], Fate::Drop), ("b", v[1] + 1, Fate::Drop), ("c", v[2], Fate::Drop)];
    assert_eq!(desk.acknowledge(v[2], &settled).await, 1);
    assert_eq!((desk.state("a").await, desk.state("b").await), (None, None));
    assert_eq!(desk.state("c").await, Some(State::Dirty), "a later write stays");
}

async fn what_is_not_journaled_is_left_alone(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "others").await;
    for state in [State::Clean, State::Negative, State::Kept] {
        let id = state.letter().to_string();
        desk.plant_entry(&id, state, 5).await;
        let before = desk.read(&id).await;
        for fate in [CLEAN, GONE, Fate::Drop] {
            desk.acknowledge(7, &[(&id, 4, fate), (&id, 5, fate)]).await;
        }
        assert_eq!(desk.read(&id).await, before);
    }
}

/// Somebody removed the entry of a write, and a reader copied the row from before it.
async fn an_older_copy_goes(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "copied").await;
    for (state, is_left) in [(State::Clean, false), (State::Negative, false), (State::Kept, true)] {
        let id = state.letter().to_string();
        desk.plant_entry(&id, state, 0).await;
        desk.acknowledge(7, &[(&id, 6, CLEAN)]).await;
        assert_eq!(desk.read(&id).await.is_some(), is_left, "{state:?}");
    }
}

async fn acknowledging_moves_forward_only(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "late").await;
    let v = desk.append(&["a", "b", "c", "d"]).await;
    assert_eq!(desk.acknowledge(v[1], &[]).await, 2);
    assert_eq!(desk.acknowledge(v[0], &[]).await, 2, "late");
    assert_eq!(desk.acknowledge(v[1], &[("a", v[0], CLEAN)]).await, 2, "repeated");
    assert_eq!(desk.state("a").await, Some(State::Clean), "the cleaning was made up for");
    let known = desk.known().await;
    assert_eq!((known.acked, known.acked_count, known.acked_bytes), (v[1], 2, 18));
    assert_eq!(desk.oldest().await, Some(v[2]));
    assert_eq!(desk.versions().await, v);
    // A position that no record has, between two of them and above all.
    let sparse = Desk::open(suite, "sparse").await;
    let first = sparse.append(&["a", "bb"]).await;
    while sparse.append(&["ccc"]).await[0] <= first[1] + 1 {}
    assert!(sparse.acknowledge(first[1] + 1, &[]).await > 0);
    assert_eq!((sparse.known().await.acked_count, sparse.known().await.acked_bytes), (2, 19));
    assert_eq!(sparse.acknowledge(u64::from(u32::MAX) << 20, &[]).await, 0);
    let known = sparse.known().await;
    assert_eq!((known.acked_count, known.acked_bytes), (known.count, known.bytes));
}

async fn without_a_home_nothing_is_acknowledged(suite: &Suite<'_>) {
    let desk = Desk::bare(suite, "nowhere");
    let before = desk.picture(&["a"]).await;
    assert_eq!(desk.acknowledge(5, &[("a", 5, CLEAN)]).await, 0);
    assert_eq!(desk.picture(&["a"]).await, before);
}

/// As after a restart that lost an acknowledgement.
async fn behind_a_gap_nothing_is_acknowledged(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "gap").await;
    let v = desk.append(&["a", "b"]).await;
    let before = desk.picture(&["a", "b"]).await;
    let slot = desk.slot("b");
    let settled = [Settled { entry: &slot.entry, version: v[1], fate: CLEAN }];
    let behind = |epoch, from| Acknowledgement {
        partition: 0,
        epoch,
        from,
        last_id: v[1],
        settled: &settled,
        retention: LONG,
        retained_bytes: 0,
        token: "w",
        hold: HOLD,
    };
    let epoch = desk.known().await.epoch;
    for (epoch, from) in [(epoch, v[0]), (epoch + 1, 0), (epoch - 1, 0)] {
        let place = behind(epoch, from);
        let acknowledged = desk.backend.acknowledge(&desk.keys, place).await.unwrap();
        assert_eq!(acknowledged, Acknowledged::Elsewhere);
        assert_eq!(desk.picture(&["a", "b"]).await, before);
    }
    desk.acknowledge(v[0], &[("a", v[0], CLEAN)]).await;
    let acknowledged = desk.backend.acknowledge(&desk.keys, behind(epoch, v[0])).await.unwrap();
    assert_eq!(acknowledged, Acknowledged::Done { left: 0 });
    assert_eq!(desk.state("b").await, Some(State::Clean));
}

async fn records_are_retained_for_a_while(suite: &Suite<'_>) {
    let long = (desk::LONG, u64::MAX);
    let heavy = Desk::open(suite, "heavy").await;
    let v = heavy.append(&["a", "b"]).await;
    for version in &v {
        heavy.acknowledge_as("w", *version, &[], (desk::LONG, 0)).await;
    }
    assert_eq!(heavy.versions().await, v, "a write that may be tried again is found");
    let brief = (Duration::ZERO, u64::MAX);
    let desk = Desk::open(suite, "aged").await;
    let v = desk.append(&["a", "b", "c", "d"]).await;
    desk.acknowledge_as("w", v[0], &[], long).await;
    desk.acknowledge_as("w", v[1], &[], long).await;
    assert_eq!((desk.versions().await, desk.known().await.trimmed_to), (v.clone(), 0));
    // What was acknowledged at the mark is old enough now, what came later is not.
    desk.acknowledge_as("w", v[2], &[], brief).await;
    assert_eq!(desk.versions().await, v[1..]);
    assert_eq!(desk.known().await.trimmed_to, v[0]);
    desk.acknowledge_as("w", v[3], &[], long).await;
    assert_eq!(desk.versions().await, v[1..], "the next mark is younger");
    desk.acknowledge_as("w", v[3], &[], brief).await;
    assert_eq!(desk.versions().await, v[3..]);
    let after = desk.append(&["e"]).await;
    for _ in 0..3 {
        desk.acknowledge_as("w", v[3], &[], (Duration::ZERO, 0)).await;
    }
    assert_eq!(desk.versions().await, after, "never above what is acknowledged");
    let known = desk.known().await;
    assert_eq!((known.trimmed_to, known.acked, known.backlog()), (v[3], v[3], 1));
}

async fn what_the_store_has_lost_is_not_trimmed(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "restored").await;
    let v = desk.append(&["a", "b", "c", "d"]).await;
    desk.acknowledge_as("w", v[2], &[], (desk::LONG, u64::MAX)).await;
    // A reader of a restored store acknowledges from its position on; the mark is above that.
    for at in [v[0], v[1]] {
        assert_eq!(desk.acknowledge_as("w", at, &[], (Duration::ZERO, 0)).await, 1);
        assert_eq!((desk.versions().await, desk.known().await.trimmed_to), (v.clone(), 0));
    }
    desk.acknowledge_as("w", v[2], &[], (Duration::ZERO, 0)).await;
    assert_eq!(desk.versions().await, v[3..]);
}

async fn one_worker_has_the_claim(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "claim").await;
    let claim = async |token, hold| desk.backend.claim(&desk.keys, 0, token, hold).await.unwrap();
    let v = desk.append(&["a", "b"]).await;
    assert_eq!(claim("one", HOLD).await, Some(desk.known().await));
    assert_eq!(claim("two", HOLD).await, None);
    assert!(claim("one", HOLD).await.is_some(), "renewed");
    desk.backend.release(&desk.keys, 0, "two").await.unwrap();
    assert_eq!(claim("two", HOLD).await, None, "only the holder releases");
    desk.acknowledge_as("two", v[0], &[], (HOLD, 0)).await;
    desk.acknowledge_as("one", v[0], &[], (HOLD, 0)).await;
    assert_eq!(claim("two", HOLD).await, None, "there is more to drain");
    desk.acknowledge_as("two", v[1], &[], (HOLD, 0)).await;
    assert_eq!(claim("two", HOLD).await, None, "not the holder's acknowledgement");
    desk.acknowledge_as("one", v[1], &[], (HOLD, 0)).await;
    assert!(claim("two", HOLD).await.is_some(), "given back when nothing was left");
    desk.backend.release(&desk.keys, 0, "two").await.unwrap();
    assert!(claim("three", Duration::from_millis(20)).await.is_some());
    // The holder's own deadline is what this waits for.
    while claim("four", HOLD).await.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(claim("three", HOLD).await.is_none());
}
