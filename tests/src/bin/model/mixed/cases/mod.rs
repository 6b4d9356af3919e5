//! The configurations of the mixed model: the rules as they are, and a mutant for each.

use super::{
    Mixed, Rules,
    rules::RULES,
    scene::{Flavour, Operation, Scene},
};
use crate::verdict::{Case, Expect};

mod calm;

mod one_incident;

mod two_incidents;

mod sealing;

const PUT: Operation = Operation::PUT;
const DELETE: Operation = Operation::DELETE;

/// Every configuration with its expected verdict.
pub(crate) fn cases() -> Vec<Case<Mixed>> {
    [calm::cases(), one_incident::cases(), two_incidents::cases(), sealing::cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(name: &'static str, rules: Rules, scene: Scene, expect: Expect) -> Case<Mixed> {
    Case::new(name, Mixed::new(rules, scene), expect)
}

/// One id; put and delete behind; a store-first writer of each flavour; a reader; two workers; one
/// crash anywhere.
fn base() -> Scene {
    Scene {
        store_first: vec![(Flavour::Invalidate, vec![PUT]), (Flavour::Put, vec![PUT])],
        write_behind: vec![vec![PUT, DELETE]],
        readers: vec![vec![0]],
        workers: 2,
        recoverers: 1,
        tickets_max: 2,
        batch_max: 2,
        seals_max: 0,
        crashes: 1,
        evicts: true,
        failovers: 0,
        flushes: false,
        losses: 0,
        is_split: false,
        is_cold: false,
    }
}

/// One incident in Redis, a failover to any earlier state (also an empty one) or a flush; one
/// store-first writer, no crash.
fn incident(flavour: Flavour) -> Scene {
    Scene {
        store_first: vec![(flavour, vec![PUT])],
        failovers: 1,
        flushes: true,
        losses: 1,
        crashes: 0,
        evicts: false,
        ..base()
    }
}

/// One incident, two store-first writers, one write behind, one worker.
fn incident_of_two(first: Flavour, second: Flavour) -> Scene {
    Scene {
        store_first: vec![(first, vec![PUT]), (second, vec![PUT])],
        write_behind: vec![vec![PUT]],
        workers: 1,
        ..incident(first)
    }
}
