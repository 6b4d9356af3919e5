//! What the store in memory holds: rows, offsets of journals, dead letters.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use crate::{
    change::Change,
    record::Value,
    schema::Schema,
    store::{
        Batch, DeadLetter, Entry, Ledger, LetterKey, LetterState, Offset, StoreError, Supersedes,
    },
};

#[derive(Default)]
pub(super) struct Tables {
    /// By table, then by the id's text.
    pub(super) rows: HashMap<String, BTreeMap<String, Row>>,
    /// By entity and partition.
    offsets: HashMap<(String, u32), Offset>,
    /// By entity, partition and version.
    letters: BTreeMap<(String, u32, u64), DeadLetter>,
}

/// By column, so that those that a schema does not list stay as they are.
pub(super) type Row = BTreeMap<String, Value<'static>>;

impl Tables {
    /// Whether everything holds that a batch relies on.
    pub(super) fn check(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let offset = |entity: &str, partition| self.offsets.get(&(entity.to_owned(), partition));
        if let Some(letter) = &batch.replays
            && !self.letters.get(&key(letter)).is_some_and(waits)
        {
            return Err(letter.refused());
        }
        for fence in batch.fences {
            fence.check(offset(&fence.entity, fence.partition))?;
        }
        if let Some(journaled) = &batch.journaled {
            let position = &journaled.position;
            position.check(offset(position.entity, position.partition))?;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, schema: &Schema, change: &Change) {
        let rows = self.rows.entry(schema.table().to_owned()).or_default();
        let Some(written) = change.record() else {
            rows.remove(change.id().text());
            return;
        };
        let row = rows.entry(change.id().text().to_owned()).or_default();
        for (index, value) in written.iter() {
            row.insert(schema.columns()[index].column().to_owned(), value.clone());
        }
    }

    /// What a batch changes besides rows, when it is written but for these changes.
    pub(super) fn remember(&mut self, batch: &Batch<'_>, refused: &BTreeMap<usize, String>) {
        if let Some(journaled) = &batch.journaled {
            let position = &journaled.position;
            let offset = (position.entity.to_owned(), position.partition);
            let offset = self.offsets.entry(offset).or_default();
            offset.last_id = position.to;
            offset.applied += (batch.changes.len() - refused.len()) as u64;
            offset.coalesced += journaled.coalesced;
            offset.dead_lettered += (refused.len() + journaled.unreadable.len()) as u64;
            let refused = refused.iter().filter_map(|(index, error)| batch.letter(*index, error));
            for letter in refused.chain(journaled.unreadable_letters()) {
                self.letters.insert(key(&letter.key()), letter);
            }
        }
        if let Some(letter) = &batch.replays {
            self.decide(letter, |letter| letter.state = LetterState::Replayed);
        }
        for Supersedes { entity, ids } in batch.supersedes(|i| !refused.contains_key(&i)) {
            // Behind a fence that holds without an offset there are no letters.
            for letter in self.letters.values_mut().filter(|letter| waits(letter)) {
                let is_older =
                    |&(id, before): &(&str, u64)| letter.id == id && letter.version < before;
                if letter.entity == entity && ids.iter().any(is_older) {
                    letter.state = LetterState::Superseded;
                }
            }
        }
    }

    pub(super) fn ledger(&mut self, operation: Ledger<'_>) -> Entry {
        match operation {
            Ledger::Install { .. } | Ledger::Identity => Entry::Done,
            Ledger::Offset { entity, partition } => {
                Entry::Offset(self.offsets.get(&(entity.to_owned(), partition)).cloned())
            }
            Ledger::Recover { entity, partition, journal, home, epoch_min, seen } => {
                let made = || Offset { journal: journal.to_owned(), ..Offset::default() };
                let offset =
                    self.offsets.entry((entity.to_owned(), partition)).or_insert_with(made);
                if offset.epoch != 0 && offset.epoch != seen {
                    return Entry::Offset(None);
                }
                offset.epoch = offset.epoch.max(epoch_min) + 1;
                home.clone_into(&mut offset.home);
                offset.sealed = false;
                Entry::Offset(Some(offset.clone()))
            }
            Ledger::Settle { entity, partition, epoch } => self.change(
                entity,
                partition,
                |offset| offset.epoch == epoch && offset.settled != epoch,
                |offset| offset.settled = epoch,
            ),
            Ledger::Seal { entity, partition, epoch, last_id } => {
                let is_so = |offset: &Offset| {
                    (offset.epoch, offset.settled, offset.last_id) == (epoch, epoch, last_id)
                };
                self.change(entity, partition, is_so, |offset| offset.sealed = true)
            }
            Ledger::Letters { entity, after, limit } => self.waiting(entity, after, limit),
            Ledger::Letter(letter) => {
                Entry::Letters(self.letters.get(&key(&letter)).cloned().into_iter().collect())
            }
            Ledger::Edit { letter, data } => self.decide(&letter, |letter| {
                data.clone_into(&mut letter.data);
                letter.schema.clear();
            }),
            Ledger::Discard(letter) => {
                self.decide(&letter, |letter| letter.state = LetterState::Discarded)
            }
        }
    }

    fn change(
        &mut self,
        entity: &str,
        partition: u32,
        is_so: impl FnOnce(&Offset) -> bool,
        change: impl FnOnce(&mut Offset),
    ) -> Entry {
        let offset = self.offsets.get_mut(&(entity.to_owned(), partition));
        let offset = offset.filter(|offset| is_so(offset));
        Entry::Changed(offset.map(change).is_some())
    }

    fn waiting(&self, entity: &str, after: Option<(u32, u64)>, limit: u32) -> Entry {
        let from = match after {
            Some((partition, version)) => Bound::Excluded((entity.to_owned(), partition, version)),
            None => Bound::Included((entity.to_owned(), 0, 0)),
        };
        let behind = self.letters.range((from, Bound::Unbounded)).map(|(_, letter)| letter);
        let mine = behind.take_while(|letter| letter.entity == entity);
        Entry::Letters(mine.filter(|l| waits(l)).take(limit as usize).cloned().collect())
    }

    /// The letters that wait, of all entities.
    #[cfg(feature = "testing")]
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = &DeadLetter> {
        self.letters.values().filter(|letter| waits(letter))
    }

    /// Changes a letter that waits.
    fn decide(&mut self, letter: &LetterKey<'_>, change: impl FnOnce(&mut DeadLetter)) -> Entry {
        let letter = self.letters.get_mut(&key(letter)).filter(|letter| waits(letter));
        Entry::Changed(letter.map(change).is_some())
    }
}

fn waits(letter: &DeadLetter) -> bool {
    letter.state == LetterState::Waiting
}

fn key(letter: &LetterKey<'_>) -> (String, u32, u64) {
    (letter.entity.to_owned(), letter.partition, letter.version)
}
