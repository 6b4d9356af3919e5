//! What a store keeps for each partition of a journal, and the fences that rely on it.

use futures_util::future::join_all;

use super::*;
use crate::store::{Fence, Offset};

impl Suite<'_> {
    /// Raises the epoch of a partition and settles it, as a recovery does. Answers it.
    pub(super) async fn raise(&self, entity: &str, partition: u32) -> Result<u64, StoreError> {
        let offset = self.recover(entity, partition, 0).await?;
        let Offset { epoch, .. } = offset;
        self.store.ledger(Ledger::Settle { entity, partition, epoch }).await?;
        Ok(epoch)
    }

    async fn recover(
        &self,
        entity: &str,
        partition: u32,
        epoch_min: u64,
    ) -> Result<Offset, StoreError> {
        loop {
            let seen = self.offset(entity, partition).await.map_or(0, |offset| offset.epoch);
            let (journal, home) = (JOURNAL, HOME);
            let recover = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
            match self.store.ledger(recover).await? {
                Entry::Offset(Some(offset)) => return Ok(offset),
                // Another recovery was faster.
                Entry::Offset(None) => {}
                other => panic!("asked to recover, the store answered {other:?}"),
            }
        }
    }

    pub(super) async fn offset(&self, entity: &str, partition: u32) -> Option<Offset> {
        match self.store.ledger(Ledger::Offset { entity, partition }).await {
            Ok(Entry::Offset(offset)) => offset,
            other => panic!("asked for an offset, the store answered {other:?}"),
        }
    }

    /// Whether an operation was done that compares before it sets.
    pub(super) async fn changed(&self, operation: Ledger<'_>) -> bool {
        match self.store.ledger(operation).await {
            Ok(Entry::Changed(changed)) => changed,
            other => panic!("{operation:?} was answered with {other:?}"),
        }
    }
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

pub(super) async fn a_recovery_keeps_the_journal_and_the_position(suite: &Suite<'_>) {
    let entity = &suite.unique("recovered");
    assert_eq!(suite.offset(entity, 3).await, None, "an offset nobody made");
    let made = suite.recover(entity, 3, 41).await.ok();
    let expected = Offset {
        epoch: 42,
        journal: JOURNAL.to_owned(),
        home: HOME.to_owned(),
        ..Offset::default()
    };
    assert_eq!(made.as_ref(), Some(&expected), "a new offset is in the epoch behind the server's");
    assert_eq!(suite.offset(entity, 3).await, made, "the offset that a recovery answered");
    assert!(suite.changed(Ledger::Settle { entity, partition: 3, epoch: 42 }).await, "settled");
    let seal = Ledger::Seal { entity, partition: 3, epoch: 42, last_id: 0 };
    assert!(suite.changed(seal).await, "sealed");

    let other = Ledger::Recover {
        entity,
        partition: 3,
        journal: "another journal",
        home: "another home",
        epoch_min: 7,
        seen: 42,
    };
    for seen in [0, 41, 43] {
        let Ledger::Recover { entity, partition, journal, home, epoch_min, .. } = other else {
            unreachable!("it is a recovery");
        };
        let late = Ledger::Recover { entity, partition, journal, home, epoch_min, seen };
        assert_eq!(suite.store.ledger(late).await.ok(), Some(Entry::Offset(None)), "it was {seen}");
    }
    let Ok(Entry::Offset(recovered)) = suite.store.ledger(other).await else {
        panic!("a second recovery failed");
    };
    let expected = Offset { epoch: 43, settled: 42, home: "another home".to_owned(), ..expected };
    assert_eq!(
        recovered,
        Some(expected),
        "a recovery raises the epoch, names the home and opens; the journal stays"
    );
    let raised = suite.recover(entity, 3, 50).await.ok();
    assert_eq!(raised.map(|o| o.epoch), Some(51), "the epoch is above that of the server");
}

pub(super) async fn settling_and_sealing_compare_before_they_set(suite: &Suite<'_>) {
    let entity = &suite.unique("settled");
    let settle = |epoch| Ledger::Settle { entity, partition: 0, epoch };
    let seal = |epoch, last_id| Ledger::Seal { entity, partition: 0, epoch, last_id };
    assert!(!suite.changed(settle(0)).await, "a partition without an offset was settled");
    assert!(!suite.changed(seal(0, 0)).await, "a partition without an offset was sealed");
    assert_eq!(suite.offset(entity, 0).await, None, "settling made an offset");
    for epoch in 1..=2 {
        assert!(suite.recover(entity, 0, 0).await.is_ok(), "a recovery");
        assert!(!suite.changed(seal(epoch, 0)).await, "an epoch was sealed before it was settled");
        assert!(!suite.changed(settle(epoch - 1)).await, "an epoch that is over was settled");
        assert!(!suite.changed(settle(epoch + 1)).await, "an epoch to come was settled");
        assert!(suite.changed(settle(epoch)).await, "the epoch was not settled");
        assert!(!suite.changed(settle(epoch)).await, "it was settled twice");
        assert!(!suite.changed(seal(epoch - 1, 0)).await, "an epoch that is over was sealed");
        assert!(!suite.changed(seal(epoch, 1)).await, "sealed at another position");
        assert!(suite.changed(seal(epoch, 0)).await, "the partition was not sealed");
        let offset = suite.offset(entity, 0).await.unwrap_or_default();
        assert_eq!((offset.settled, offset.sealed), (epoch, true), "what was set is kept");
    }
    assert_eq!(suite.offset(entity, 1).await, None, "another partition was changed");
}

pub(super) async fn a_fence_that_does_not_hold_stops_the_whole_batch(suite: &Suite<'_>) {
    let entity = suite.unique("fenced");
    let put = suite.thing_with("fenced", BIG, Value::I64(1));
    let write = async |fences: &[Fence]| {
        let batch = Batch::new(std::slice::from_ref(&put), soon()).fenced(fences);
        suite.store.apply(&suite.things, batch).await
    };
    let fence = |partition, epoch| Fence::new(&entity, partition, epoch);

    for (fences, raised) in [
        (vec![fence(1, 1)], false),
        (vec![fence(1, 0), fence(0, 1)], false),
        (vec![fence(1, 0)], true),
        (vec![fence(1, 2)], false),
        (vec![fence(0, 0), fence(1, 0)], false),
    ] {
        if raised {
            assert_eq!(suite.raise(&entity, 1).await.ok(), Some(1));
        }
        refused(write(&fences).await, Class::Fenced, &format!("{fences:?}"));
        let found = suite.load_one(&suite.things, put.id()).await;
        assert!(found.is_none(), "a fenced batch was written");
    }
    for fences in [vec![fence(1, 1)], vec![fence(0, 0)], vec![fence(0, 0), fence(1, 1)], vec![]] {
        let applied = write(&fences).await;
        assert!(applied.is_ok(), "the fences {fences:?} hold: {applied:?}");
    }
}

pub(super) async fn fences_know_settled_and_sealed_partitions(suite: &Suite<'_>) {
    let entity = &suite.unique("fences");
    let put = suite.thing_with("fences", BIG, Value::I64(1));
    let holds = async |epoch| {
        let fences = [Fence::new(entity, 0, epoch)];
        let batch = Batch::new(std::slice::from_ref(&put), soon()).fenced(&fences);
        let applied = suite.store.apply(&suite.things, batch).await;
        if let Err(e) = &applied {
            assert_eq!(e.class(), Class::Fenced, "a fence of epoch {epoch}: {e:?}");
        }
        applied.is_ok()
    };
    assert!(holds(0).await, "0 holds where nothing was journaled");
    assert!(suite.recover(entity, 0, 0).await.is_ok(), "a recovery");
    assert!(!holds(1).await, "an epoch holds before its recovery is complete");
    assert!(!holds(0).await, "0 holds while there may be a journal");
    assert!(suite.changed(Ledger::Settle { entity, partition: 0, epoch: 1 }).await, "settled");
    assert!(holds(1).await, "a settled epoch does not hold");
    assert!(!holds(0).await, "0 holds while there may be a journal");
    let seal = Ledger::Seal { entity, partition: 0, epoch: 1, last_id: 0 };
    assert!(suite.changed(seal).await, "sealed");
    assert!(holds(0).await, "0 does not hold where the journal is known to be empty");
    assert!(holds(1).await, "a settled epoch does not hold once it is sealed");
    assert!(!holds(2).await, "an epoch to come holds");
    assert!(suite.recover(entity, 0, 0).await.is_ok(), "a recovery");
    assert!(!holds(0).await, "0 holds after a recovery opened the partition");
    assert!(!holds(1).await, "an epoch that is over holds");
}

pub(super) const JOURNAL: &str = "journal";
const HOME: &str = "home";
