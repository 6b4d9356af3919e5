//! The library's own records: tables, identity.

use futures_util::future::join_all;

use super::*;

pub(super) async fn installing_twice_leaves_nothing_missing(suite: &Suite<'_>) {
    for schema in [&suite.things, &suite.pairs, &suite.numbers, &suite.spelled] {
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
