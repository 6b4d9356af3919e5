//! Mutants of what a write waits for before it is acknowledged.

use super::{IN_PROCESS, REDIS};
use crate::mutant::{Edit, Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("replicas-not-waited-for": "a failover loses what was acknowledged",
        "cached-repo/src/redis/durable.rs",
        "                replicas = command.query_async(&mut connection).await?;\n" =>
        "                drop(command);\n                replicas = count;\n",
        "durability::a_write_that_no_replica_has"),
    mutant!("too-few-replicas-are-enough": "the same",
        "cached-repo/src/journal/confirm.rs",
        "Durability::Replicated(wanted) => reached.replicas >= wanted," =>
        "Durability::Replicated(wanted) => reached.replicas <= wanted,",
        "durability::a_write_that_no_replica_has"),
    mutant!("settings-of-the-disk-believed": "a server that does not sync counts as one that does",
        "cached-repo/src/redis/durable.rs",
        "is(\"appendonly\", \"yes\") && is(\"appendfsync\", \"always\")" => "is(\"appendonly\", \"yes\")",
        "durability::an_old_server"),
    mutant!("disk-not-waited-for": "a power loss loses what was acknowledged",
        "cached-repo/src/redis/durable.rs",
        "fsynced = local >= 1;" => "fsynced = local <= 1;",
        "durability::a_newer_server"),
    mutant!("confirmed-by-another-journal": "another server confirms what it does not have",
        "cached-repo/src/redis/durable.rs",
        "Ok(confirmed) if is_here => Ok(*confirmed)," => "Ok(confirmed) if is_here || true => Ok(*confirmed),",
        REDIS),
    mutant!("confirmed-in-another-epoch": "the same in process",
        "cached-repo/src/memory/journal.rs",
        "meta.journal == mark.journal && meta.epoch == mark.epoch" => "meta.journal == mark.journal",
        IN_PROCESS),
    mutant!("each-waits-for-itself": "as many round trips as writes",
        "cached-repo/src/redis/durable.rs",
        ".partition::<Vec<_>, _>(|waiter| waiter.durability == durability);" =>
        ".enumerate().partition::<Vec<_>, _>(|(i, waiter)| *i == 0 && waiter.durability == durability);\n            let same: Vec<_> = same.into_iter().map(|(_, w)| w).collect();\n            let others: Vec<_> = others.into_iter().map(|(_, w)| w).collect();",
        "durability::writes_that_wait_at_a_time"),
    mutant!("written-through-behind-an-attempt": "a first attempt that comes late is drained over a later write",
        "cached-repo/src/journal/append.rs",
        "OnFull::WriteThrough if attempts.tried_above.is_none() => {" => "OnFull::WriteThrough => {",
        "overflow::an_attempt_that_may_be_on_its_way"),
    mutant!("full-is-an-error-all-the-same": "a journal without room refuses writes that the store would take",
        "cached-repo/src/journal/append.rs",
        "OnFull::WriteThrough if attempts.tried_above.is_none() => {" => "OnFull::WriteThrough if false => {",
        "overflow::what_has_no_room"),
    mutant!("asks-for-nobody": "who was asked for by somebody who is gone waits for an answer that nobody wants",
        "cached-repo/src/redis/durable.rs",
        "Err(TryRecvError::Closed) => continue," => "Err(TryRecvError::Closed) => {}",
        "who_waits_for_a_confirmation_gets_one"),
    mutant!("as-impatient-as-others": "who would wait for longer is told what an impatient one is",
        "cached-repo/src/journal/confirm.rs",
        "if !is_met(level, Reached { fsynced, replicas })\n" => "if false && !is_met(level, Reached { fsynced, replicas })\n",
        "who_is_more_patient_than_others"),
    Mutant {
        name: "m17-waits-on-the-shared-connection",
        breaks: "a write that waits holds up every other call",
        edits: &[
            Edit {
                file: "cached-repo/src/redis/connection.rs",
                from: "/// A connection to one Redis server.\npub(super) struct Connection {\n    timeout: Duration,\n    shared:",
                to: "/// A connection to one Redis server.\npub(super) struct Connection {\n    pub(super) timeout: Duration,\n    pub(super) shared:",
            },
            Edit {
                file: "cached-repo/src/redis/connection.rs",
                from: "/// What calls and the task that connects share.\nstruct Shared",
                to: "pub(super) struct Shared",
            },
            Edit {
                file: "cached-repo/src/redis/mod.rs",
                from: "Durable::new(waiting, nature.has_waitaof)",
                to: "{ drop(waiting); Durable::new(Connection { timeout, shared: std::sync::Arc::clone(&connection.shared) }, nature.has_waitaof) }",
            },
        ],
        tests: &["durability::the_connection_that_waits"],
    },
];
