//! The configurations of the store-first strategies alone.

use super::{
    Scheme::{
        DeleteThenWrite, DeleteTwice, Intents, Lease, NewerWins, OneIntent, Tombstone,
        WriteThenDelete,
    },
    StoreFirst,
};
use crate::verdict::{
    Case,
    Expect::{self, Holds, Violated},
};

/// Every configuration with its expected verdict.
pub(crate) fn cases() -> Vec<Case<StoreFirst>> {
    let case = |name, scheme, writers, may_crash, expect: Expect| {
        let model = StoreFirst { scheme, writers, may_crash, may_expire_early: false };
        Case::new(name, model, expect)
    };
    let early = |name, may_crash, expect| {
        let model = StoreFirst { scheme: Intents, writers: 2, may_crash, may_expire_early: true };
        Case::new(name, model, expect)
    };
    vec![
        case("write, then delete the key", WriteThenDelete, 1, false, Violated),
        case("delete the key, then write", DeleteThenWrite, 1, false, Violated),
        case("delete, write, delete again later", DeleteTwice, 1, false, Violated),
        case("newer wins, but the writer deletes", NewerWins, 1, false, Violated),
        case("newer wins, with tombstones", Tombstone, 2, false, Holds),
        case("newer wins, with tombstones, one crash", Tombstone, 2, true, Violated),
        case("lease", Lease, 2, false, Holds),
        case("lease, one crash", Lease, 2, true, Violated),
        case("lease and one slot for intents, one writer, one crash", OneIntent, 1, true, Holds),
        case("lease and one slot for intents, one crash", OneIntent, 2, true, Violated),
        case("RULES lease and an intent for each writer, one crash", Intents, 2, true, Holds),
        early("MUTANT intents expire before the statement is over, one crash", true, Violated),
        early("MUTANT intents expire before the statement is over, no crash", false, Holds),
    ]
}
