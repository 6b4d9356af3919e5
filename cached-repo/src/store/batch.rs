//! What a store is asked to write in one transaction, and what became of it.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{DeadLetter, Journaled, LetterKey, Offset, Refused, StoreError, check};
use crate::{change::Change, clock::Clock, record::Record, schema::Schema};

/// Changes to write in one transaction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Batch<'a> {
    /// The changes; no two of the same id.
    pub changes: &'a [Change],
    /// What must still hold when the transaction writes.
    pub fences: &'a [Fence],
    /// The moment after which nothing of this batch may take effect any more.
    pub deadline: Instant,
    /// Whether the answer is to carry the rows as the database holds them after its triggers.
    pub returning: bool,
    /// Where the changes come from, if they come from a journal.
    pub journaled: Option<Journaled<'a>>,
    /// The dead letter that this batch replays: it MUST be waiting, and is replayed when the batch
    /// commits. Otherwise nothing is written ([`StoreError::fenced`]). Older letters of the same id
    /// are superseded by it, newer ones go on waiting.
    pub replays: Option<LetterKey<'a>>,
}

impl<'a> Batch<'a> {
    /// A batch without fences that returns no rows.
    pub fn new(changes: &'a [Change], deadline: Instant) -> Self {
        Self { changes, fences: &[], deadline, returning: false, journaled: None, replays: None }
    }

    /// The same batch behind these fences.
    #[must_use]
    pub fn fenced(self, fences: &'a [Fence]) -> Self {
        Self { fences, ..self }
    }

    /// The same batch, asking for the written rows.
    #[must_use]
    pub fn returning(self, returning: bool) -> Self {
        Self { returning, ..self }
    }

    /// The same batch, read from a journal.
    #[must_use]
    pub fn journaled(self, journaled: Journaled<'a>) -> Self {
        Self { journaled: Some(journaled), ..self }
    }

    /// The same batch, replaying a dead letter.
    #[must_use]
    pub fn replaying(self, letter: LetterKey<'a>) -> Self {
        Self { replays: Some(letter), ..self }
    }

    /// What became of the changes, for a store that writes rows as they are: it has no triggers.
    pub fn applied(&self) -> Vec<Applied> {
        let applied = self.changes.iter().map(|change| match change.record() {
            Some(record) => Applied::Put(self.returning.then(|| record.clone())),
            None => Applied::Deleted,
        });
        applied.collect()
    }

    /// Whether the batch may be written now, for a store that takes no journals, and decides and
    /// writes in one step: all values are of their kinds, the fences hold where `offset` tells what
    /// the store keeps for a fence's partition, and the deadline has not passed.
    ///
    /// # Errors
    ///
    /// The error to answer with if not; [`StoreError::systemic`] if the batch comes from a journal or
    /// replays a dead letter.
    pub fn check(
        &self,
        schema: &Schema,
        offset: impl Fn(&Fence) -> Option<Offset>,
    ) -> Result<(), StoreError> {
        if self.journaled.is_some() || self.replays.is_some() {
            return Err(StoreError::systemic("this store takes no journals"));
        }
        self.changes.iter().try_for_each(|change| check::check_kinds(schema, change))?;
        self.fences.iter().try_for_each(|fence| fence.check(offset(fence).as_ref()))?;
        self.in_time()
    }

    /// Whether the deadline has not passed.
    pub(super) fn in_time(&self) -> Result<(), StoreError> {
        match self.deadline <= Clock::new().now() {
            true => Err(StoreError::transient("the deadline of the write has passed")),
            false => Ok(()),
        }
    }

    /// Which waiting dead letters the batch supersedes when it is written but for some changes.
    pub(super) fn supersedes(&self, is_written: impl Fn(usize) -> bool) -> Vec<Supersedes<'_>> {
        let written = self.changes.iter().enumerate().filter(|(index, _)| is_written(*index));
        let written: Vec<_> = written.map(|(index, change)| (index, change.id().text())).collect();
        let before = |version| written.iter().map(|(_, id)| (*id, version)).collect();
        if let Some(Journaled { position, sources, .. }) = self.journaled {
            let version = |index: usize| sources.get(index).map_or(0, |source| source.version);
            let ids = written.iter().map(|(index, id)| (*id, version(*index))).collect();
            return vec![Supersedes { entity: position.entity, ids }];
        }
        if let Some(LetterKey { entity, version, .. }) = self.replays {
            return vec![Supersedes { entity, ids: before(version) }];
        }
        let entities: BTreeSet<&str> = self.fences.iter().map(|f| f.entity.as_str()).collect();
        let all = |entity| Supersedes { entity, ids: before(VERSION_MAX) };
        entities.into_iter().map(all).collect()
    }

    /// Indices of changes in the order of their records in the journal.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb"))]
    pub(super) fn in_journal_order(&self, indices: &[usize]) -> Vec<usize> {
        let mut ordered = indices.to_vec();
        if let Some(Journaled { sources, .. }) = self.journaled {
            ordered.sort_by_key(|&index| sources.get(index).map(|source| source.version));
        }
        ordered
    }

    /// Whether changes that refer to a row that is not there may become dead letters.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub(super) fn buries_references(&self) -> bool {
        let refused = self.journaled.map(|journaled| journaled.refused);
        matches!(refused, Some(Refused::Bury { references: true, .. }))
    }

    /// Whether changes that are refused become dead letters. Otherwise one of them fails the batch.
    pub(super) fn buries(&self) -> bool {
        let refused = self.journaled.map(|journaled| journaled.refused);
        matches!(refused, Some(Refused::Bury { .. }))
    }

    /// What a change that is refused becomes. `None` if the batch does not come from a journal, or
    /// does not say which record the change comes from.
    pub(super) fn letter(&self, index: usize, error: &str) -> Option<DeadLetter> {
        let journaled = self.journaled.as_ref()?;
        let (change, source) = (self.changes.get(index)?, journaled.sources.get(index)?);
        let deletes = change.record().is_none();
        Some(journaled.letter(source, change.id().text(), deletes, error))
    }
}

/// The epoch that a partition's journal must be in for a store-first write to be safe.
///
/// From the check until the commit, the transaction MUST keep the epoch from being raised; several
/// transactions may do so at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Fence {
    /// The ledger's name of the entity.
    pub entity: String,
    /// The partition.
    pub partition: u32,
    /// The epoch that the writer saw. 0: it saw none, so there must be no journal, or a sealed one.
    pub epoch: u64,
}

impl Fence {
    /// A fence.
    pub fn new(entity: impl Into<String>, partition: u32, epoch: u64) -> Self {
        Self { entity: entity.into(), partition, epoch }
    }

    /// Whether the fence holds, where `offset` is what the store keeps for the partition.
    ///
    /// # Errors
    ///
    /// [`StoreError::fenced`] if not.
    pub fn check(&self, offset: Option<&Offset>) -> Result<(), StoreError> {
        let Self { entity, partition, epoch } = self;
        let holds = match offset {
            None => *epoch == 0,
            Some(offset) if offset.sealed && *epoch == 0 => true,
            Some(offset) => *epoch == offset.epoch && offset.settled == offset.epoch,
        };
        if holds {
            return Ok(());
        }
        let found = offset.map_or(0, |offset| offset.epoch);
        Err(StoreError::fenced(format!(
            "partition {partition} of {entity} is in epoch {found}, the write expected {epoch}"
        )))
    }
}

/// What became of one change, in the order of the batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Applied {
    /// The row was written. Carries what the database holds now, if the batch asked for it.
    Put(Option<Record<'static>>),
    /// The row is gone.
    Deleted,
    /// The database refused the change, and it is a dead letter now.
    Buried {
        /// What the database said.
        error: String,
    },
}

/// Which waiting dead letters of an entity a batch supersedes, in whatever partition: an id's was
/// another one before their number was changed.
pub(super) struct Supersedes<'a> {
    pub(super) entity: &'a str,
    /// Those of these ids' texts that are older than this version.
    pub(super) ids: Vec<(&'a str, u64)>,
}

/// Above every version, and exact as an integer of every database.
const VERSION_MAX: u64 = i64::MAX as u64;
