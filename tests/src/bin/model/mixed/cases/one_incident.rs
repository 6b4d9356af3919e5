//! Configurations with one incident in Redis: a failover to an earlier state, or a flush.

use super::{
    Flavour::{Invalidate, Put},
    Mixed, PUT, RULES, Rules, Scene, base, case, incident, incident_of_two,
};
use crate::{
    mixed::oracle::{LOST, STALE_ENTRY, STALE_READ},
    verdict::{
        Case,
        Expect::{Holds, Violated, ViolatedAll, ViolatedOnly},
    },
};

/// Without the rights to have rows of its own in the store.
const NO_FENCE: Rules = Rules { store_fence: false, ..RULES };

pub(super) fn cases() -> Vec<Case<Mixed>> {
    let all = [rules(), fence(), mutants_of_scripts(), mutants_of_recovery(), mutants_of_the_end()];
    all.into_iter().flatten().collect()
}

fn split() -> Scene {
    Scene { is_split: true, flushes: false, ..incident(Put) }
}

fn cold() -> Scene {
    Scene { is_cold: true, workers: 1, ..incident(Put) }
}

fn rules() -> Vec<Case<Mixed>> {
    let both = Scene { store_first: base().store_first, workers: 1, ..incident(Put) };
    let crash = || Scene { crashes: 1, workers: 1, ..incident(Put) };
    let twice = Scene {
        store_first: vec![(Put, vec![PUT, PUT])],
        write_behind: vec![vec![PUT]],
        ..crash()
    };
    let two_recoverers = Scene {
        recoverers: 2,
        tickets_max: 4,
        readers: Vec::new(),
        write_behind: vec![vec![PUT]],
        ..crash()
    };
    let cold_blind = Scene {
        readers: vec![vec![0, 0]],
        write_behind: vec![vec![PUT]],
        store_first: vec![(Invalidate, vec![PUT])],
        ..cold()
    };
    vec![
        case("LOSS RULES invalidate", RULES, incident(Invalidate), Holds).big(),
        case("LOSS RULES put", RULES, incident(Put), Holds),
        case("LOSS RULES invalidate and put", RULES, incident_of_two(Invalidate, Put), Holds),
        case("LOSS RULES put and put", RULES, incident_of_two(Put, Put), Holds).big(),
        case("LOSS RULES invalidate and put, delete behind", RULES, both, Holds).big(),
        case("LOSS RULES one crash, eviction", RULES, Scene { evicts: true, ..crash() }, Holds)
            .big(),
        case("LOSS RULES one crash, one store-first writer twice", RULES, twice, Holds),
        case("LOSS RULES two recoverers, one crash", RULES, two_recoverers, Holds).big(),
        case("LOSS RULES cold start", RULES, cold(), Holds),
        case("LOSS RULES split brain", RULES, Scene { workers: 1, ..split() }, Holds),
        case("LOSS RULES split brain, two workers", RULES, split(), Holds).big(),
        case(
            "LOSS RULES a store-first write without a token, only without an offset row",
            Rules { blind_writes: true, ..RULES },
            cold_blind,
            ViolatedOnly(&[STALE_READ]),
        ),
        case(
            "LOSS MUTANT a store-first write without a token, with an offset row",
            Rules { blind_writes: true, blind_checks_row: false, ..RULES },
            incident(Put),
            ViolatedAll(&[LOST]),
        ),
    ]
}

fn fence() -> Vec<Case<Mixed>> {
    let only_reads = ViolatedOnly(&[STALE_READ]);
    let crash = Scene { crashes: 1, workers: 1, ..incident(Invalidate) };
    let two = || incident_of_two(Invalidate, Put);
    let plain_end = Rules { end_marks_overlap: false, end_flags_dirty: false, ..RULES };
    vec![
        case("LOSS without store fence, invalidate", NO_FENCE, incident(Invalidate), only_reads)
            .big(),
        case("LOSS without store fence, put", NO_FENCE, incident(Put), only_reads).big(),
        case("LOSS without store fence, invalidate and put", NO_FENCE, two(), only_reads),
        case(
            "LOSS without store fence, one crash",
            NO_FENCE,
            crash,
            ViolatedOnly(&[STALE_ENTRY, STALE_READ]),
        )
        .big(),
        case("LOSS with store fence the end needs neither mark nor flag", plain_end, two(), Holds)
            .big(),
        case(
            "LOSS with store fence the end needs neither mark nor flag, one crash",
            plain_end,
            Scene { crashes: 1, workers: 1, ..incident(Put) },
            Holds,
        )
        .big(),
        case("LOSS MUTANT split brain, no store fence", NO_FENCE, split(), ViolatedAll(&[LOST])),
    ]
}

fn mutants_of_scripts() -> Vec<Case<Mixed>> {
    let put = || incident(Put);
    vec![
        case(
            "LOSS MUTANT begin does not check home",
            Rules { begin_checks_home: false, ..RULES },
            Scene { crashes: 0, ..put() },
            ViolatedAll(&[LOST]),
        ),
        case(
            "LOSS MUTANT begin does not check home, no store fence",
            Rules { begin_checks_home: false, ..NO_FENCE },
            put(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "LOSS MUTANT write-behind does not check home",
            Rules { write_checks_home: false, ..RULES },
            put(),
            ViolatedAll(&[LOST]),
        ),
        case(
            "LOSS a worker that checks the epoch need not check home",
            Rules { worker_checks_home: false, ..RULES },
            put(),
            Holds,
        )
        .big(),
        case(
            "LOSS MUTANT split brain, worker takes the epoch from the store only",
            Rules { worker_checks_epoch: false, ..RULES },
            split(),
            ViolatedAll(&[LOST]),
        ),
    ]
}

fn mutants_of_recovery() -> Vec<Case<Mixed>> {
    vec![
        case(
            "LOSS MUTANT recovery does not bump the epoch",
            Rules { recovery_bumps_epoch: false, ..RULES },
            incident(Put),
            ViolatedAll(&[LOST]),
        ),
        case(
            "LOSS MUTANT recovery keeps clean entries",
            Rules { recovery_drops_clean: false, ..RULES },
            incident(Put),
            ViolatedAll(&[STALE_READ]),
        ),
        case(
            "LOSS MUTANT the fill does not check the generation",
            Rules { fill_checks_generation: false, ..RULES },
            incident(Invalidate),
            ViolatedAll(&[STALE_ENTRY]),
        ),
        case(
            "LOSS MUTANT generation counted in Redis, cold start",
            Rules { generation_is_epoch: false, ..RULES },
            cold(),
            ViolatedAll(&[STALE_READ]),
        ),
    ]
}

fn mutants_of_the_end() -> Vec<Case<Mixed>> {
    vec![
        case(
            "LOSS MUTANT put does not check the generation",
            Rules { put_checks_generation: false, ..RULES },
            incident_of_two(Put, Put),
            Violated,
        ),
        case(
            "LOSS MUTANT the end without token does not mark the others, no store fence",
            Rules { end_marks_overlap: false, ..NO_FENCE },
            incident_of_two(Invalidate, Put),
            ViolatedAll(&[STALE_ENTRY]),
        ),
        case(
            "LOSS MUTANT the end without token does not flag a dirty entry, no store fence",
            Rules { end_flags_dirty: false, ..NO_FENCE },
            incident(Invalidate),
            ViolatedAll(&[STALE_ENTRY]),
        ),
    ]
}
