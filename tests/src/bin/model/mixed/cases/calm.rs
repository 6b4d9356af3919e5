//! Configurations without an incident in Redis.

use super::{DELETE, Flavour, Mixed, Operation, PUT, RULES, Rules, Scene, base, case};
use crate::{
    mixed::oracle::{LOST, RESURRECTED, STALE_READ, STUCK},
    verdict::{
        Case,
        Expect::{Holds, Violated, ViolatedAll},
    },
};

pub(super) fn cases() -> Vec<Case<Mixed>> {
    [rules(), variants(), mutants(), mutants_of_the_end()].into_iter().flatten().collect()
}

/// Two store-first writers that put.
fn two_putting() -> Scene {
    Scene { store_first: vec![(Flavour::Put, vec![PUT]), (Flavour::Put, vec![PUT])], ..base() }
}

/// Two ids, written by both strategies.
fn two_ids() -> Scene {
    Scene {
        store_first: vec![(Flavour::Put, vec![PUT, Operation::PUT_OTHER])],
        write_behind: vec![vec![Operation::PUT_OTHER, DELETE]],
        readers: vec![vec![0, 1]],
        ..base()
    }
}

fn rules() -> Vec<Case<Mixed>> {
    let two_readers = Scene { readers: vec![vec![0, 0], vec![0]], workers: 1, ..base() };
    let two_behind = Scene {
        write_behind: vec![vec![PUT, PUT], vec![DELETE]],
        store_first: vec![(Flavour::Invalidate, vec![PUT, DELETE])],
        ..base()
    };
    let two_ids_and_flavours = Scene {
        store_first: vec![
            (Flavour::Put, vec![PUT, Operation::PUT_OTHER]),
            (Flavour::Invalidate, vec![Operation::DELETE_OTHER]),
        ],
        evicts: false,
        workers: 1,
        ..two_ids()
    };
    vec![
        case("RULES base", RULES, base(), Holds),
        case("RULES two readers, three reads", RULES, two_readers, Holds).big(),
        case("RULES two write-behind writers", RULES, two_behind, Holds).big(),
        case(
            "RULES two putting writers, two crashes",
            RULES,
            Scene { crashes: 2, ..two_putting() },
            Holds,
        ),
        case("RULES two ids", RULES, two_ids(), Holds),
        case("RULES two ids, both flavours", RULES, two_ids_and_flavours, Holds).big(),
    ]
}

fn variants() -> Vec<Case<Mixed>> {
    let takes_position = Rules { begin_takes_position: true, ..RULES };
    vec![
        case("RULES begin is given the committed position", takes_position, base(), Holds).big(),
        case(
            "RULES begin is given the committed position: no repeated acknowledgement needed",
            Rules { acknowledgement_repeated: false, ..takes_position },
            base(),
            Holds,
        )
        .big(),
        case(
            "without store fence (no incident: not needed)",
            Rules { store_fence: false, ..RULES },
            base(),
            Holds,
        )
        .big(),
    ]
}

fn mutants() -> Vec<Case<Mixed>> {
    let no_crash = || Scene { crashes: 0, ..base() };
    let neither = Rules { begin_refuses_dirty: false, write_waits_for_tokens: false, ..RULES };
    let delete_first = Scene {
        store_first: vec![(Flavour::Invalidate, vec![DELETE])],
        write_behind: vec![vec![PUT]],
        ..base()
    };
    vec![
        case(
            "MUTANT begin accepts a dirty id",
            Rules { begin_refuses_dirty: false, ..RULES },
            base(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "MUTANT write-behind ignores tokens",
            Rules { write_waits_for_tokens: false, ..RULES },
            no_crash(),
            Violated,
        ),
        case("MUTANT both sides ignore each other", neither, no_crash(), ViolatedAll(&[LOST])),
        case(
            "MUTANT both sides ignore each other, deletes",
            neither,
            delete_first,
            ViolatedAll(&[LOST, RESURRECTED]),
        ),
        case(
            "MUTANT a token may expire before the statement is over",
            Rules { token_expires_early: true, ..RULES },
            base(),
            Violated,
        ),
        case(
            "MUTANT write-behind keeps the fill lease",
            Rules { write_deletes_lease: false, ..RULES },
            base(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "MUTANT the acknowledgement ignores the version",
            Rules { acknowledgement_checks_version: false, ..RULES },
            base(),
            ViolatedAll(&[STALE_READ]),
        ),
        case(
            "MUTANT the acknowledgement is not repeated after a crash",
            Rules { acknowledgement_repeated: false, ..RULES },
            base(),
            ViolatedAll(&[STUCK]),
        ),
        case(
            "MUTANT an acknowledgement skips a missing one",
            Rules { acknowledgement_in_order: false, ..RULES },
            two_ids_behind(),
            ViolatedAll(&[STUCK]),
        ),
        case("RULES two ids behind, one store-first", RULES, two_ids_behind(), Holds),
        case(
            "MUTANT a store-first write without a token",
            Rules { blind_writes: true, blind_checks_row: false, ..RULES },
            no_crash(),
            ViolatedAll(&[LOST]),
        ),
    ]
}

/// The journal has records of two ids, and each must become writable store-first.
fn two_ids_behind() -> Scene {
    Scene {
        store_first: vec![(Flavour::Invalidate, vec![PUT])],
        write_behind: vec![vec![PUT, Operation::PUT_OTHER]],
        readers: Vec::new(),
        ..two_ids()
    }
}

fn mutants_of_the_end() -> Vec<Case<Mixed>> {
    vec![
        case(
            "MUTANT the end touches a dirty entry",
            Rules { end_spares_dirty: false, ..RULES },
            base(),
            ViolatedAll(&[STALE_READ]),
        ),
        case(
            "MUTANT put although another token overlapped",
            Rules { put_needs_sole: false, ..RULES },
            Scene { crashes: 0, ..two_putting() },
            ViolatedAll(&[STALE_READ]),
        ),
        case(
            "MUTANT put although the own token expired",
            Rules { put_needs_token: false, ..RULES },
            two_putting(),
            ViolatedAll(&[STALE_READ]),
        ),
    ]
}
