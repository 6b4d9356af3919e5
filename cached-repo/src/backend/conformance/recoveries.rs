//! The part of the suite that recovers and seals a journal.

use super::{
    desk::{self, Desk, JOURNAL, REPAIR, ROOMY},
    *,
};
use crate::{
    backend::{
        journal::{Appended, Confirmed, Fate, Mark, News, Repair, Repaired},
        snapshot::Turn,
    },
    entity::Durability,
};

pub(super) async fn run(suite: &Suite<'_>) {
    the_last_ticket_counts(suite).await;
    what_was_found_is_news_until_it_is_settled(suite).await;
    at_home_a_recovery_raises_the_epoch_only(suite).await;
    a_journal_moves_to_another_server(suite).await;
    what_was_acknowledged_is_not_dirty(suite).await;
    an_outdated_journal_is_thrown_away(suite).await;
    a_wiped_partition_begins_again(suite).await;
    a_sealed_journal_takes_nothing(suite).await;
    a_write_is_confirmed_by_its_own_journal_only(suite).await;
}

async fn a_write_is_confirmed_by_its_own_journal_only(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "confirmed").await;
    let of = |journal, epoch| Mark::Journal { partition: 0, journal, epoch };
    let mark = of(JOURNAL, 1);
    let confirm = async |marks: &[Mark<'_>]| {
        desk.backend.confirm(&desk.keys, marks, Durability::Memory, HOLD).await.unwrap()
    };
    desk.append(&["a"]).await;
    let here = Confirmed::Here { fsynced: false, replicas: 0 };
    assert_eq!(confirm(&[mark]).await, here);
    let older = of(JOURNAL, 0);
    assert_eq!(confirm(&[mark, older]).await, Confirmed::Elsewhere, "an epoch that is over");
    let other = of("journal-b", 1);
    assert_eq!(confirm(&[other, mark]).await, Confirmed::Elsewhere, "another journal");
    desk.plant(Meta::Home("gone")).await;
    assert_eq!(confirm(&[mark]).await, Confirmed::Elsewhere, "another server");
    desk.recover(Repair { epoch: 2, settled: 1, ..REPAIR }).await;
    assert_eq!(confirm(&[mark]).await, Confirmed::Elsewhere, "recovered since");
    assert_eq!(confirm(&[of(JOURNAL, 2)]).await, here);
    let bare = Desk::bare(suite, "unconfirmed");
    let marks = [mark];
    let asked = bare.backend.confirm(&bare.keys, &marks, Durability::Memory, HOLD);
    assert_eq!(asked.await.unwrap(), Confirmed::Elsewhere, "no journal");
    // Beside all journals: by the server that took them.
    let (slot, kept) = (bare.slot("kept"), bare.body("kept"));
    let stamp = stamp(1, slot.hash);
    let put = Put { slot: &slot, id: "kept", content: Some(content(State::Kept, &stamp, &kept)) };
    for asks in [false, true] {
        let reply = bare.backend.put(&bare.keys, &[put], asks).await.unwrap();
        let PutReply::Written { server, .. } = reply else { panic!("{reply:?}") };
        if asks {
            let confirm = async |server: &str| {
                let marks = [Mark::Server { partition: 0, server }];
                bare.backend.confirm(&bare.keys, &marks, Durability::Memory, HOLD).await.unwrap()
            };
            assert_eq!(confirm(&server).await, here);
            assert_eq!(confirm("gone").await, Confirmed::Elsewhere, "another server took it");
        } else {
            assert_eq!(server, "", "nobody asked");
        }
    }
}

async fn the_last_ticket_counts(suite: &Suite<'_>) {
    let desk = Desk::bare(suite, "ticket");
    let repair = async |ticket| {
        let repair = Repair { ticket, ..REPAIR };
        desk.backend.repair(&desk.keys, repair).await.unwrap()
    };
    assert_eq!(repair("mine").await, Repaired::Overtaken, "without a ticket");
    assert!(!desk.known().await.exists());
    let seen = desk.backend.ticket(&desk.keys, 0, "mine").await.unwrap();
    assert_eq!(seen, desk.known().await);
    desk.backend.ticket(&desk.keys, 0, "other").await.unwrap();
    let before = desk.picture(&[]).await;
    assert_eq!(repair("mine").await, Repaired::Overtaken);
    assert_eq!(desk.picture(&[]).await, before);
    desk.plant(Meta::Ticket("other", "gone")).await;
    let before = desk.picture(&[]).await;
    assert_eq!(repair("other").await, Repaired::Overtaken, "that of another server");
    assert_eq!(desk.picture(&[]).await, before);
    desk.backend.ticket(&desk.keys, 0, "other").await.unwrap();
    assert_eq!(repair("other").await, Repaired::Replaced { discarded: 0 });
    assert_eq!(repair("other").await, Repaired::Overtaken, "a ticket is used up");
}

/// Whoever settles it tells, so it is there until then.
async fn what_was_found_is_news_until_it_is_settled(suite: &Suite<'_>) {
    let desk = Desk::bare(suite, "news");
    let found = async |repair| {
        desk.recover(repair).await;
        desk.known().await.news
    };
    assert_eq!(
        found(Repair { expects_empty: true, ..REPAIR }).await,
        News::None,
        "the first write"
    );
    let v = desk.append(&["a", "b"]).await;
    assert_eq!(found(Repair { expects_kept: true, ..REPAIR }).await, News::None, "it was sealed");
    let moved = Repair { epoch: 2, settled: 1, ..REPAIR };
    desk.plant(Meta::Home("gone")).await;
    assert_eq!(found(moved).await, News::Recovered { left: 2 });
    assert_eq!(
        desk.backend.ticket(&desk.keys, 0, "x").await.unwrap().news,
        desk.known().await.news
    );
    let quiet = Repair { epoch: 3, expects_kept: true, expects_empty: true, ..moved };
    assert_eq!(found(quiet).await, News::Recovered { left: 2 }, "nobody has told it");
    assert_eq!(found(Repair { settled: 3, ..quiet }).await, News::None, "it was told");
    // A journal that went on, two losses, and a journal that goes on.
    desk.plant(Meta::Home("gone")).await;
    let kept = Repair { epoch: 4, settled: 3, ..REPAIR };
    assert_eq!(found(kept).await, News::Recovered { left: 2 });
    let lost = Repair { epoch: 5, settled: 3, journal: "other", ..quiet };
    desk.plant(Meta::Home("gone")).await;
    assert_eq!(found(lost).await, News::Lost { discarded: 2 }, "whatever was expected");
    assert!(desk.append(&["c"]).await[0] > v[1]);
    desk.plant(Meta::Home("gone")).await;
    assert_eq!(found(Repair { epoch: 6, ..REPAIR }).await, News::Lost { discarded: 3 });
    desk.plant(Meta::Home("gone")).await;
    let kept = Repair { epoch: 7, settled: 5, ..REPAIR };
    assert_eq!(found(kept).await, News::Lost { discarded: 3 });
    let v = desk.append(&["d"]).await;
    desk.acknowledge_as("w", v[0], &[], (desk::LONG, 0)).await;
    assert_eq!(desk.known().await.news, News::None, "what is drained is settled");
}

async fn at_home_a_recovery_raises_the_epoch_only(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "raised").await;
    let v = desk.append(&["a", "b"]).await;
    desk.acknowledge(v[0], &[]).await;
    let before = desk.known().await;
    let far = v[1] + (1 << 40);
    let repair = Repair { epoch: 4, settled: 1, journal: "other", last_id: far, ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 1 });
    let after = desk.known().await;
    assert_eq!((after.epoch, after.clock), (4, far));
    let rest =
        crate::backend::journal::Meta { epoch: 1, clock: before.clock, news: before.news, ..after };
    assert_eq!(rest, before);
    assert_eq!(desk.generation().await, 4);
    assert_eq!(desk.state("a").await, Some(State::Dirty));
    assert_eq!(desk.recover(Repair { epoch: 2, ..REPAIR }).await, Repaired::Kept { left: 1 });
    assert_eq!((desk.known().await.epoch, desk.generation().await), (4, 4), "never back");
    let later = desk.append(&["c"]).await[0];
    assert!(later > far, "versions are above the store's position");
    let outdated = Repair { epoch: 9, settled: 8, last_id: v[1], ..REPAIR };
    assert_eq!(desk.recover(outdated).await, Repaired::Replaced { discarded: 1 }, "though at home");
}

async fn a_journal_moves_to_another_server(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "moved").await;
    let v = desk.append(&["a", "bb", "ccc"]).await;
    desk.acknowledge(v[1], &[]).await;
    // The store was restored to an older state as well.
    desk.plant(Meta::Home("gone")).await;
    let repair = Repair { epoch: 3, settled: 1, last_id: v[0], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 2 });
    let known = desk.known().await;
    assert!(known.is_at_home());
    assert_eq!((known.epoch, known.acked, known.acked_count, known.acked_bytes), (3, v[0], 1, 9));
    assert_eq!((known.clock, known.trimmed_to, desk.generation().await), (v[2], 0, 3));
    assert_eq!((desk.versions().await, desk.oldest().await), (v.clone(), Some(v[1])));
    assert_eq!(desk.state("bb").await, Some(State::Dirty));
    assert!(desk.append(&["d"]).await[0] > v[2]);

    // The store is ahead of what the server knows.
    desk.plant(Meta::Home("gone")).await;
    let repair = Repair { epoch: 4, settled: 3, last_id: v[1], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 3 });
    assert_eq!(desk.known().await.acked, v[0], "an acknowledgement says so");
    assert_eq!(desk.state("bb").await, None, "the store may have something later");
    assert_eq!(desk.state("ccc").await, Some(State::Dirty));
    assert_eq!(desk.acknowledge(v[1], &[]).await, 2);

    // But for an entry with a later write of this journal.
    desk.append(&["ccc"]).await;
    desk.plant(Meta::Home("gone")).await;
    let repair = Repair { epoch: 5, settled: 4, last_id: v[2], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 3 });
    assert_eq!(desk.state("ccc").await, Some(State::Dirty));
}

/// A server that lost power may find parts of what it lost at its next restart.
async fn what_was_acknowledged_is_not_dirty(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "undead").await;
    let v = desk.append(&["a", "b", "b"]).await;
    desk.acknowledge(v[1], &[("a", v[0], Fate::Drop), ("b", v[1], Fate::Drop)]).await;
    desk.plant_entry("a", State::Dirty, v[0]).await;
    desk.plant(Meta::Home("gone")).await;
    let repair = Repair { epoch: 2, settled: 1, last_id: v[1], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 1 });
    // Whether or not the repair looks at what was acknowledged: it is found here.
    desk.plant_entry("a", State::Dirty, v[0]).await;
    let mut after = Some(0);
    while let Some(at) = after {
        after = desk.backend.sweep(&desk.keys, 0, at, v[1]).await.unwrap();
    }
    assert_eq!(desk.state("a").await, None);
    assert_eq!(desk.state("b").await, Some(State::Dirty), "it was written again");
    // Where nothing names it any more, whoever writes or evicts it finds out.
    for evicts in [false, true] {
        desk.plant_entry("a", State::Dirty, v[0]).await;
        let slot = [desk.slot("a")];
        if evicts {
            assert_eq!(desk.backend.evict(&desk.keys, &slot).await.unwrap(), [true]);
        } else {
            let begun = desk.backend.begin(&desk.keys, &slot, "w", HOLD).await.unwrap();
            assert_eq!(begun, Begin::Begun { epoch: 2, generation: 2 });
        }
        assert_eq!(desk.state("a").await, None);
    }
    let slot = [desk.slot("b")];
    let begun = desk.backend.begin(&desk.keys, &slot, "w", HOLD).await.unwrap();
    assert_eq!(begun, Begin::Dirty(0));
    assert_eq!(desk.backend.evict(&desk.keys, &slot).await.unwrap(), [false]);
}

async fn an_outdated_journal_is_thrown_away(suite: &Suite<'_>) {
    for (name, journal, settled) in [("foreign", "journal-b", 1), ("outdated", JOURNAL, 2)] {
        let desk = Desk::open(suite, name).await;
        let v = desk.append(&["clean", "a", "-b", "a", "c"]).await;
        let clean = Fate::Clean { ttl: HOLD };
        desk.acknowledge(v[0], &[("clean", v[0], clean)]).await;
        desk.plant(Meta::Home("gone")).await;
        let repair = Repair { epoch: 3, settled, journal, last_id: v[1], ..REPAIR };
        assert_eq!(desk.recover(repair).await, Repaired::Replaced { discarded: 3 }, "{name}");
        for id in ["a", "b", "c"] {
            assert_eq!(desk.read(id).await, None, "{id} is of no journal any more");
        }
        assert_eq!(desk.state("clean").await, Some(State::Clean));
        assert_eq!(desk.generation().await, 3, "and copies are outdated");
        let known = desk.known().await;
        assert_eq!((&*known.journal, known.epoch, known.is_at_home()), (journal, 3, true));
        assert_eq!((known.acked, known.trimmed_to, known.clock), (v[1], v[1], v[4]));
        assert_eq!((known.count, known.bytes, known.acked_count, known.acked_bytes), (0, 0, 0, 0));
        assert_eq!((desk.versions().await, desk.oldest().await), (vec![], None));
        let later = desk.append(&["a"]).await;
        assert!(later[0] > v[4]);
        assert_eq!((desk.versions().await, desk.oldest().await), (later.clone(), Some(later[0])));
    }
}

async fn a_wiped_partition_begins_again(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "wiped").await;
    let v = desk.append(&["a", "b"]).await;
    desk.backend.incident(&desk.keys, Incident::Wipe).await.unwrap();
    assert!(!desk.known().await.exists());
    assert_eq!((desk.read("a").await, desk.oldest().await), (None, None));
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    let far = v[1] + (1 << 40);
    let repair = Repair { epoch: 2, last_id: far, ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Replaced { discarded: 0 });
    assert!(desk.append(&["a"]).await[0] > far);
    assert_eq!(desk.envelope("a").await.unwrap().generation, 2);
}

async fn a_sealed_journal_takes_nothing(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "sealed").await;
    let seal = async |epoch| desk.backend.seal(&desk.keys, 0, epoch, false).await.unwrap();
    let v = desk.append(&["a"]).await;
    assert_eq!(seal(1).await, None, "there is more to drain");
    desk.acknowledge(v[0], &[("a", v[0], Fate::Drop)]).await;
    assert_eq!(seal(2).await, None, "another epoch");
    desk.plant(Meta::Home("gone")).await;
    assert_eq!(seal(1).await, None, "not at home");
    let repair = Repair { epoch: 2, last_id: v[0], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 0 });
    assert!(!desk.known().await.sealed);
    let turn = async |from, to| {
        let turn = Turn { token: "mover", from: &[from], behind: None, to, epoch: None };
        desk.backend.turn(&desk.keys, 0, turn).await.unwrap();
    };
    turn(Side::Open, Side::Kept).await;
    assert_eq!(seal(2).await, None, "`redis_only` has it");
    turn(Side::Kept, Side::Open).await;
    assert_eq!(seal(2).await, Some(v[0]));
    assert!(desk.known().await.sealed);
    let before = desk.picture(&["a"]).await;
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    assert_eq!(desk.picture(&["a"]).await, before);
    let repair = Repair { epoch: 3, settled: 2, last_id: v[0], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 0 }, "reopened");
    assert!(!desk.known().await.sealed && desk.append(&["a"]).await[0] > v[0]);
    let stop = async |epoch| desk.backend.seal(&desk.keys, 0, epoch, true).await.unwrap();
    assert_eq!(stop(2).await, None, "another epoch");
    assert_eq!(stop(3).await, Some(v[0]), "although something is left");
    assert_eq!(desk.try_append(&["a"], "op", None, ROOMY).await, Appended::Fenced);
    let left = desk.known().await.backlog();
    assert_eq!((left, seal(3).await), (1, None), "it is drained as it was");
    assert_eq!(desk.bare_seal(suite).await, None, "nothing to seal");
}

impl Desk<'_> {
    pub(super) async fn generation(&self) -> u64 {
        let slots = [self.slot("any")];
        self.backend.read(&self.keys, self.format, &slots).await.unwrap()[0].generation
    }

    async fn bare_seal(&self, suite: &Suite<'_>) -> Option<u64> {
        let bare = Desk::bare(suite, "unsealed");
        bare.backend.seal(&bare.keys, 0, 0, true).await.unwrap()
    }
}
