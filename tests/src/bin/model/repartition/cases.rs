//! The configurations of changing the number of partitions.

use super::{RULES, Repartition};
use crate::verdict::{
    Case,
    Expect::{Holds, Violated, ViolatedAll},
};

const FAILOVER: Repartition = Repartition { failovers: 1, behind: [1, 1], ..RULES };

const TWICE: Repartition =
    Repartition { failovers: 2, crashes: 0, first: false, behind: [2, 1], ..RULES };

/// Every configuration with its expected verdict.
pub(crate) fn cases() -> Vec<Case<Repartition>> {
    let mut cases = rules();
    cases.extend(mutants());
    cases
}

fn rules() -> Vec<Case<Repartition>> {
    vec![
        Case::new("MOVE RULES the mover crashes once", RULES, Holds),
        Case::new(
            "MOVE RULES it crashes twice, more writes",
            Repartition { crashes: 2, behind: [3, 2], ..RULES },
            Holds,
        ),
        Case::new(
            "MOVE RULES one failover, no crash",
            Repartition { crashes: 0, ..FAILOVER },
            Holds,
        ),
        Case::new("MOVE RULES one failover and a crash", FAILOVER, Holds).big(),
        Case::new("MOVE RULES two failovers, no crash", TWICE, Holds).big(),
    ]
}

fn mutants() -> Vec<Case<Repartition>> {
    vec![
        Case::new("MOVE MUTANT no seal", Repartition { sealed: false, ..RULES }, Violated),
        Case::new(
            "MOVE MUTANT closing compares no epoch, a recovery ends the seal",
            Repartition { close_compares: false, seal_ends: true, ..RULES },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT a closed partition is recovered",
            Repartition { closed_for_ever: false, seal_ends: true, ..RULES },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT closed, but the epoch is not raised",
            Repartition { raised: false, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT raised, but not closed",
            Repartition { closed: false, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT the new epoch is not above the old ones",
            Repartition { epoch_above: false, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT the new number counts before the drain",
            Repartition { layout_first: true, ..RULES },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT a recovery ends at another server than it began at",
            Repartition { stays_at_server: false, ..TWICE },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT what comes back of a closed partition stays",
            Repartition { retired: false, crashes: 0, ..FAILOVER },
            ViolatedAll(&["P4 whoever knows the new number reads what was acknowledged"]),
        ),
        Case::new(
            "MOVE MUTANT of a closed partition only what is drained goes",
            Repartition { retired_by_position: true, ..TWICE },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT with a closed partition goes what the new one has",
            Repartition { retired_by_id: true, crashes: 0, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "MOVE MUTANT a closed partition goes on going where another server was",
            Repartition { retired_by_cursor: true, ..TWICE },
            Violated,
        ),
    ]
}
