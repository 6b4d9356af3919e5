//! Where a batch of a journal comes from, and what its transaction changes besides rows.

use super::{DeadLetter, Offset, StoreError};

/// Where a batch was read from: it and the reader's position are one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Journaled<'a> {
    /// How the position moves. This MUST be the first write of the transaction, and MUST fail with
    /// [`StoreError::fenced`] unless the partition's offset has exactly this journal, this epoch
    /// (settled) and this `from`, and is not sealed.
    pub position: Position<'a>,
    /// Which record each change comes from: `sources[i]` belongs to `changes[i]`. The store MUST
    /// mark waiting dead letters of a written id as superseded if they are older than its source.
    pub sources: &'a [Source<'a>],
    /// Records that cannot even be read. The store MUST make them dead letters in the same
    /// transaction.
    pub unreadable: &'a [Unreadable<'a>],
    /// How many records were left out because a later one of this batch has the same id. The store
    /// MUST add it, the number of written changes and the number of dead letters to those of
    /// [`Offset`].
    pub coalesced: u64,
    /// What to do with changes that the database refuses.
    pub refused: Refused,
}

impl Journaled<'_> {
    /// The dead letters of the records that cannot be read.
    pub(super) fn unreadable_letters(&self) -> impl Iterator<Item = DeadLetter> {
        self.unreadable.iter().map(|u| self.letter(&u.source, "", u.deletes, u.error))
    }

    pub(super) fn letter(
        &self,
        source: &Source<'_>,
        id: &str,
        deletes: bool,
        error: &str,
    ) -> DeadLetter {
        let Position { entity, partition, .. } = self.position;
        let key = LetterKey { entity, partition, version: source.version };
        DeadLetter {
            deletes,
            data: source.data.to_owned(),
            schema: source.schema.to_owned(),
            ..DeadLetter::new(key, id, error)
        }
    }
}

/// How a batch moves the reader's position in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The ledger's name of the entity.
    pub entity: &'a str,
    /// The partition.
    pub partition: u32,
    /// The journal's identity.
    pub journal: &'a str,
    /// The epoch that the journal is in.
    pub epoch: u64,
    /// The position that the batch was read from.
    pub from: u64,
    /// The version of the batch's last record.
    pub to: u64,
}

impl Position<'_> {
    /// Whether the position may move, where `offset` is what the store keeps for the partition.
    ///
    /// # Errors
    ///
    /// [`StoreError::fenced`] if not.
    pub fn check(&self, offset: Option<&Offset>) -> Result<(), StoreError> {
        let holds = offset.is_some_and(|offset| {
            offset.journal == self.journal
                && (offset.epoch, offset.settled) == (self.epoch, self.epoch)
                && offset.last_id == self.from
                && !offset.sealed
        });
        if holds { Ok(()) } else { Err(self.refused()) }
    }

    /// What to answer if the position may not move.
    pub(super) fn refused(&self) -> StoreError {
        let Self { entity, partition, epoch, from, .. } = self;
        StoreError::fenced(format!(
            "the journal of partition {partition} of {entity} is not in epoch {epoch} at {from} \
             any more"
        ))
    }
}

/// The record that a change comes from, as it stands in the journal.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its version.
    pub version: u64,
    /// Its columns as JSON text.
    pub data: &'a str,
    /// The fingerprint of the schema that wrote it.
    pub schema: &'a str,
}

/// A record that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable<'a> {
    /// The record.
    pub source: Source<'a>,
    /// Whether it is a delete.
    pub deletes: bool,
    /// Why.
    pub error: &'a str,
}

/// What to do with changes that the database refuses
/// ([`Class::is_refusal`](super::Class::is_refusal)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Fail the whole batch, with the class of the refusal.
    Fail,
    /// Find out which ones they are, make them dead letters in the same transaction, and write the
    /// others, however many are refused. The store SHOULD try them in the order of the journal, so
    /// that of two that exclude each other the first one is written, and SHOULD try a refused one
    /// again when the others are written: one of them may have made room for it.
    Bury {
        /// Whether those are dead letters too that refer to a row that is not there (yet). If not, they
        /// fail the whole batch with [`Class::Reference`](super::Class::Reference).
        references: bool,
    },
}

/// Which dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterKey<'a> {
    /// The ledger's name of the entity.
    pub entity: &'a str,
    /// The partition.
    pub partition: u32,
    /// The version of its record.
    pub version: u64,
}

impl LetterKey<'_> {
    /// What to answer if the letter does not wait.
    pub(super) fn refused(&self) -> StoreError {
        let Self { entity, partition, version } = self;
        StoreError::fenced(format!(
            "the dead letter {version} of partition {partition} of {entity} does not wait any more"
        ))
    }
}
