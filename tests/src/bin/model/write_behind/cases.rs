//! The configurations of write-behind alone.

use super::{RULES, WriteBehind};
use crate::verdict::{
    Case,
    Expect::{Holds, Violated},
};

/// Where positions cannot be part of transactions: rows have versions instead.
const VERSIONED_ROWS: WriteBehind = WriteBehind {
    position_compared: false,
    position_in_transaction: false,
    rows_versioned: true,
    tombstones: true,
    ..RULES
};
const UNFENCED: WriteBehind =
    WriteBehind { position_compared: false, position_in_transaction: false, ..RULES };
const FAILOVER: WriteBehind = WriteBehind { failover: true, crashes: 0, ..RULES };
const RECOVERED: WriteBehind = WriteBehind {
    home_checked: true,
    recovery_bumps_epoch: true,
    epoch_compared: true,
    ..FAILOVER
};

/// Every configuration with its expected verdict.
pub(crate) fn cases() -> Vec<Case<WriteBehind>> {
    let mut cases = without_failover();
    cases.extend(with_failover());
    cases
}

fn without_failover() -> Vec<Case<WriteBehind>> {
    let in_order = WriteBehind { position_compared: false, ..RULES };
    vec![
        Case::new("RULES position compared in the data transaction", RULES, Holds),
        Case::new(
            "epoch from the store and position in the transaction",
            WriteBehind { epoch_compared: true, ..in_order },
            Holds,
        ),
        Case::new("position skips what is applied, nothing compared", in_order, Holds),
        Case::new("versioned rows and tombstones, no position", VERSIONED_ROWS, Holds),
        Case::new(
            "versioned rows and tombstones, consumer group",
            WriteBehind { fan_out: true, ..VERSIONED_ROWS },
            Holds,
        ),
        Case::new(
            "MUTANT versioned rows without tombstones",
            WriteBehind { tombstones: false, ..VERSIONED_ROWS },
            Violated,
        ),
        Case::new("MUTANT plain upserts, lease without fence", UNFENCED, Violated),
        Case::new(
            "MUTANT plain upserts, epoch compared, no position",
            WriteBehind { epoch_compared: true, ..UNFENCED },
            Violated,
        ),
        Case::new(
            "MUTANT plain upserts, consumer group, no crash",
            WriteBehind { fan_out: true, crashes: 0, ..UNFENCED },
            Violated,
        ),
        Case::new(
            "MUTANT unknown outcome of a commit taken for success",
            WriteBehind { unknown_trusted: true, ..RULES },
            Violated,
        ),
        Case::new(
            "MUTANT acknowledged before the commit",
            WriteBehind { acknowledged_before_commit: true, ..RULES },
            Violated,
        ),
        Case::new(
            "MUTANT dirty entries may be evicted",
            WriteBehind { dirty_evicted: true, ..RULES },
            Violated,
        ),
    ]
}

fn with_failover() -> Vec<Case<WriteBehind>> {
    let versioned =
        WriteBehind { failover: true, home_checked: true, crashes: 0, ..VERSIONED_ROWS };
    let unhomed = WriteBehind { epoch_compared: true, ..FAILOVER };
    vec![
        Case::new(
            "FAILOVER RULES counted versions",
            WriteBehind { versions_by_time: false, ..RECOVERED },
            Holds,
        ),
        Case::new(
            "FAILOVER RULES versions by time, promoted clock behind",
            WriteBehind { clock_behind: true, ..RECOVERED },
            Holds,
        )
        .big(),
        Case::new(
            "FAILOVER MUTANT recovery does not bump the epoch",
            WriteBehind { versions_by_time: false, home_checked: true, ..FAILOVER },
            Violated,
        ),
        Case::new("FAILOVER MUTANT home not checked, versions by time", unhomed, Violated),
        Case::new(
            "FAILOVER MUTANT home not checked, counted versions",
            WriteBehind { versions_by_time: false, ..unhomed },
            Violated,
        ),
        Case::new(
            "FAILOVER MUTANT no recovery",
            WriteBehind { recovers: false, versions_by_time: false, ..FAILOVER },
            Violated,
        ),
        Case::new("FAILOVER versioned rows, versions by time", versioned, Violated),
        Case::new(
            "FAILOVER versioned rows, promoted clock behind",
            WriteBehind { clock_behind: true, ..versioned },
            Violated,
        ),
        Case::new(
            "FAILOVER versioned rows, counted versions",
            WriteBehind { versions_by_time: false, ..versioned },
            Violated,
        ),
    ]
}
