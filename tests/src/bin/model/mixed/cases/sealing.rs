//! Configurations in which a partition is sealed, so that it can be written without Redis.

use super::{DELETE, Flavour::Invalidate, Mixed, PUT, RULES, Rules, Scene, case, incident};
use crate::{
    mixed::oracle::{LOST, STALE_ENTRY, STALE_READ},
    verdict::{
        Case,
        Expect::{Holds, ViolatedAll, ViolatedOnly},
    },
};

/// Store-first writes need no token where the partition is sealed.
const BLIND: Rules = Rules { blind_writes: true, ..RULES };

pub(super) fn cases() -> Vec<Case<Mixed>> {
    [rules(), mutants()].into_iter().flatten().collect()
}

/// No incident, one worker, one crash.
fn sealed() -> Scene {
    Scene {
        failovers: 0,
        flushes: false,
        losses: 0,
        crashes: 1,
        workers: 1,
        recoverers: 1,
        tickets_max: 3,
        seals_max: 2,
        readers: Vec::new(),
        store_first: vec![(Invalidate, vec![PUT, PUT])],
        write_behind: vec![vec![PUT, DELETE]],
        ..incident(Invalidate)
    }
}

/// One or two incidents, no crash.
fn incidents(losses: u8) -> Scene {
    Scene {
        failovers: 1,
        flushes: true,
        losses,
        crashes: 0,
        seals_max: 1,
        store_first: vec![(Invalidate, vec![PUT])],
        ..sealed()
    }
}

fn rules() -> Vec<Case<Mixed>> {
    let read = Scene { readers: vec![vec![0]], crashes: 0, ..sealed() };
    let blind_read = Scene { readers: vec![vec![0, 0]], ..read.clone() };
    let crash = Scene { crashes: 1, ..incidents(1) };
    let split = Scene { is_split: true, ..incidents(2) };
    vec![
        case("SEAL RULES with tokens", RULES, read, Holds),
        // The entry that nobody deletes stays until it expires.
        case("SEAL RULES without tokens, one crash", BLIND, sealed(), ViolatedOnly(&[STALE_ENTRY])),
        case(
            "SEAL RULES without tokens, two reads",
            BLIND,
            blind_read,
            ViolatedOnly(&[STALE_READ]),
        ),
        case("SEAL RULES without tokens, one incident", BLIND, incidents(1), Holds),
        case(
            "SEAL RULES without tokens, one incident, one crash",
            BLIND,
            crash,
            ViolatedOnly(&[STALE_ENTRY]),
        )
        .big(),
        case("SEAL RULES without tokens, two incidents", BLIND, incidents(2), Holds).big(),
        // The end may go to the old master.
        case("SEAL RULES without tokens, split brain", BLIND, split, ViolatedOnly(&[STALE_ENTRY]))
            .big(),
    ]
}

fn mutants() -> Vec<Case<Mixed>> {
    let lost = ViolatedAll(&[LOST]);
    vec![
        case(
            "SEAL MUTANT the store is sealed before Redis",
            Rules { seal_begins_in_redis: false, ..BLIND },
            sealed(),
            lost,
        ),
        case(
            "SEAL MUTANT Redis is opened before the store",
            Rules { opening_begins_in_store: false, ..BLIND },
            sealed(),
            lost,
        ),
        case(
            "SEAL MUTANT the store is sealed in another epoch than Redis",
            Rules { seal_compares_epoch: false, ..BLIND },
            sealed(),
            lost,
        ),
        case(
            "SEAL MUTANT a partition is sealed with a journal",
            Rules { seal_needs_empty_journal: false, ..BLIND },
            sealed(),
            lost,
        ),
    ]
}
