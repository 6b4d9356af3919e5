//! The configurations of the order between entities.

use super::{Order, RULES};
use crate::verdict::{
    Case,
    Expect::{Holds, Violated},
};

const FAILOVER: Order = Order { failovers: 1, crashes: 0, ..RULES };

/// Every configuration with its expected verdict.
pub(crate) fn cases() -> Vec<Case<Order>> {
    vec![
        Case::new("ORDER RULES a worker crashes once", RULES, Holds),
        Case::new(
            "ORDER RULES one failover, a write of the parent",
            Order { writes: [1, 2], ..FAILOVER },
            Holds,
        ),
        Case::new("ORDER RULES one failover, two writes of each", FAILOVER, Holds).big(),
        Case::new("ORDER RULES three writes of each", Order { writes: [3, 3], ..RULES }, Holds)
            .big(),
        Case::new("ORDER MUTANT nobody waits", Order { waits: false, ..RULES }, Violated),
        Case::new(
            "ORDER MUTANT the tails before the horizon",
            Order { tails_first: true, ..RULES },
            Violated,
        ),
        Case::new("ORDER MUTANT beyond the horizon", Order { within: false, ..RULES }, Violated),
        Case::new(
            "ORDER MUTANT a tail of a recovered journal is not looked at anew",
            Order { renewed: false, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "ORDER MUTANT a horizon of another epoch than the transaction",
            Order { bound: false, ..FAILOVER },
            Violated,
        ),
        Case::new(
            "ORDER MUTANT a horizon of an epoch before",
            Order { in_its_epoch: false, writes: [2, 3], ..FAILOVER },
            Violated,
        ),
    ]
}
