//! Configurations with two incidents in Redis, and with a store-first writer in between.

use super::{DELETE, Flavour::Put, Mixed, PUT, RULES, Rules, Scene, case, incident};
use crate::{
    mixed::oracle::{LOST, STUCK},
    verdict::{
        Case,
        Expect::{Holds, ViolatedAll},
    },
};

pub(super) fn cases() -> Vec<Case<Mixed>> {
    [rules(), mutants()].into_iter().flatten().collect()
}

/// Two flushes, everything through the journal.
fn behind_only() -> Scene {
    Scene {
        losses: 2,
        recoverers: 2,
        tickets_max: 4,
        workers: 1,
        readers: Vec::new(),
        store_first: Vec::new(),
        write_behind: vec![vec![PUT, DELETE, PUT]],
        failovers: 0,
        ..incident(Put)
    }
}

/// Two incidents, one write by each strategy.
fn one_each() -> Scene {
    Scene {
        losses: 2,
        tickets_max: 4,
        workers: 1,
        readers: Vec::new(),
        write_behind: vec![vec![PUT]],
        ..incident(Put)
    }
}

/// Two incidents, three writes behind, one crash.
fn three_behind() -> Scene {
    Scene {
        crashes: 1,
        store_first: Vec::new(),
        write_behind: vec![vec![PUT, PUT, PUT]],
        ..one_each()
    }
}

/// A recovery of the old master ends after that of the new one has.
fn slow_recoverer() -> Scene {
    Scene { is_cold: true, losses: 1, recoverers: 2, tickets_max: 3, ..one_each() }
}

/// Two incidents, and the old master can still be reached.
fn split() -> Scene {
    Scene { is_split: true, ..one_each() }
}

/// The same, with writes behind only: versions of both masters meet.
fn split_behind() -> Scene {
    Scene { store_first: Vec::new(), write_behind: vec![vec![PUT, PUT]], ..split() }
}

fn rules() -> Vec<Case<Mixed>> {
    let crash = || Scene { crashes: 1, ..one_each() };
    let two_recoverers = Scene { recoverers: 2, tickets_max: 4, ..one_each() };
    let two_failovers = Scene { failovers: 2, ..crash() };
    let split_read = Scene { readers: vec![vec![0]], ..split() };
    vec![
        case("TWICE RULES two flushes, two recoverers", RULES, behind_only(), Holds),
        case("TWICE RULES one write each", RULES, one_each(), Holds),
        case("TWICE RULES one write each, one crash", RULES, crash(), Holds),
        case("TWICE RULES two failovers, one crash", RULES, two_failovers, Holds),
        case("TWICE RULES three writes behind, one crash", RULES, three_behind(), Holds),
        case("TWICE RULES a slow recoverer of the old master", RULES, slow_recoverer(), Holds)
            .big(),
        case("TWICE RULES split brain", RULES, split(), Holds),
        case("TWICE RULES split brain, one crash", RULES, Scene { crashes: 1, ..split() }, Holds),
        case("TWICE RULES split brain, writes behind only", RULES, split_behind(), Holds),
        case("TWICE RULES split brain, one reader", RULES, split_read, Holds),
        case("TWICE RULES two recoverers", RULES, two_recoverers, Holds).big(),
    ]
}

fn mutants() -> Vec<Case<Mixed>> {
    let crash = || Scene { crashes: 1, ..one_each() };
    vec![
        case(
            "TWICE MUTANT recovery without ticket, two flushes",
            Rules { recovery_has_ticket: false, ..RULES },
            behind_only(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT recovery keeps an old journal",
            Rules { recovery_discards_old: false, ..RULES },
            one_each(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT store-first does not need the epoch to be settled",
            Rules { store_needs_settled: false, ..RULES },
            crash(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT drains do not need the epoch to be settled",
            Rules { drain_needs_settled: false, ..RULES },
            three_behind(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT the epoch is settled when it is bumped",
            Rules { recovery_settles_last: false, ..RULES },
            crash(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT a home that the store does not name is refused for ever",
            Rules { recovery_trusts_discovery: false, ..RULES },
            slow_recoverer(),
            ViolatedAll(&[STUCK]),
        ),
        case(
            "TWICE MUTANT recovery of a home keeps an old journal",
            Rules { recovery_discards_old_at_home: false, ..RULES },
            split(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "TWICE MUTANT acknowledgements do not check the epoch",
            Rules { acknowledgement_checks_epoch: false, ..RULES },
            split_behind(),
            ViolatedAll(&[LOST]),
        ),
    ]
}
