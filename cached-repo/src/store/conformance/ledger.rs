//! The library's own records: tables, identity, epochs.

use futures_util::future::join_all;

use super::*;
use crate::store::Entry;

pub(super) async fn installing_twice_leaves_nothing_missing(suite: &Suite<'_>) {
    for schema in [&suite.things, &suite.pairs, &suite.numbers] {
        // At the same time, as the processes of one deployment do.
        let installs = (0..4).map(|_| suite.store.ledger(Ledger::Install { schema }));
        for installed in join_all(installs).await {
            assert_eq!(installed.ok(), Some(Entry::Done), "installing {}", schema.table());
        }
        let description = suite.store.describe(schema).await;
        let description = description.unwrap_or_else(|e| panic!("describe failed: {e:?}"));
        assert_eq!(description.missing, Vec::<String>::new(), "missing after installing");
    }
}

pub(super) async fn the_identity_stays(suite: &Suite<'_>) {
    let asked = join_all((0..4).map(|_| suite.store.ledger(Ledger::Identity))).await;
    let mut identities = asked.into_iter().map(|entry| match entry {
        Ok(Entry::Identity(identity)) => identity,
        other => panic!("asked for the identity, the store answered {other:?}"),
    });
    let first = identities.next().unwrap_or_default();
    assert!(!first.is_empty(), "the identity is empty");
    assert!(identities.all(|identity| identity == first), "the identity changed");
}

pub(super) async fn epochs_count_per_entity_and_partition(suite: &Suite<'_>) {
    let (todos, users) = (suite.unique("todos"), suite.unique("users"));
    for (entity, partition, expected) in [
        (&todos, 0, 1),
        (&todos, 0, 2),
        (&todos, 7, 1),
        (&users, 0, 1),
        (&todos, 0, 3),
        (&users, 0, 2),
    ] {
        let raised = suite.raise(entity, partition).await;
        assert_eq!(raised.ok(), Some(expected), "epoch of partition {partition}");
    }
    let entity = &suite.unique("raced");
    let raise = || suite.raise(entity, 1);
    let mut epochs: Vec<_> = join_all((0..8).map(|_| raise()))
        .await
        .into_iter()
        .map(|raised| match raised {
            Ok(epoch) => epoch,
            other => panic!("asked to raise an epoch, the store answered {other:?}"),
        })
        .collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=8).collect::<Vec<_>>(), "no two raises give one epoch");
}
