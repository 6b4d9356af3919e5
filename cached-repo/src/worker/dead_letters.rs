//! The journaled writes that the store refused: looking at them, mending them, writing them after all.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::Refusal,
    change::Change,
    codec::Misread,
    error::{Error, ErrorKind, Result},
    journal::{Journal, Roster},
    store::{Batch, Class, DeadLetter, Entry, Fence, Ledger, LetterKey, LetterState, StoreError},
};

/// The dead letters of a cache's entities: journaled writes that the store refused for good, such as
/// one that violates a unique key. They lie in the store's table `cached_repo_dead_letters`.
///
/// A dead letter waits until a person (or a later write of the same id) decides.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    roster: Arc<Roster>,
}

/// Dead letters of one query.
const PAGE: u32 = 100;

impl DeadLetters {
    pub(crate) fn new(roster: Arc<Roster>) -> Self {
        Self { roster }
    }

    /// The dead letters of an entity (its prefix) that wait, oldest first in each partition.
    ///
    /// # Errors
    ///
    /// `Configuration` if this cache has no repository of the entity with a store, else the store's.
    pub async fn list(&self, entity: &str) -> Result<Vec<DeadLetter>> {
        let journal = self.journal(entity)?;
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|last: &DeadLetter| (last.partition, last.version));
            let page = Ledger::Letters { entity: journal.name(), after, limit: PAGE };
            let page = letters(journal.store.ledger(page).await)?;
            let more = page.len() == PAGE as usize;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// One dead letter, whatever became of it.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub async fn show(
        &self,
        entity: &str,
        partition: u32,
        version: u64,
    ) -> Result<Option<DeadLetter>> {
        let journal = self.journal(entity)?;
        let key = LetterKey { entity: journal.name(), partition, version };
        Ok(letters(journal.store.ledger(Ledger::Letter(key)).await)?.pop())
    }

    /// Replaces the data of a dead letter that waits by other columns, as JSON text.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the text is not that of the same entity; `Refused` if the
    /// letter does not wait any more.
    pub async fn edit(&self, letter: &DeadLetter, data: &str) -> Result<()> {
        let journal = self.journal_of(letter)?;
        let edited = DeadLetter { data: data.to_owned(), schema: String::new(), ..letter.clone() };
        let change = change(&journal, &edited).map_err(|e| {
            Error::invalid("the new data cannot be read").of(&letter.id).caused_by(e)
        })?;
        let checked = journal.store.check(&journal.entries.schema, &change);
        checked.map_err(|e| Error::invalid(e.to_string()).of(&letter.id))?;
        if !letter.id.is_empty() && change.id().text() != letter.id {
            return Err(Error::invalid("the data is that of another id").of(&letter.id));
        }
        let edit = Ledger::Edit { letter: letter.key(), data };
        self.changed(journal.store.ledger(edit).await, letter)
    }

    /// Gives a dead letter up.
    ///
    /// # Errors
    ///
    /// `Refused` if the letter does not wait any more.
    pub async fn discard(&self, letter: &DeadLetter) -> Result<()> {
        let journal = self.journal_of(letter)?;
        self.changed(journal.store.ledger(Ledger::Discard(letter.key())).await, letter)
    }

    /// Writes a dead letter to the store after all, as it is there now. It never overwrites something
    /// newer: a letter of whose id a later write reached the store, or is about to, is refused.
    ///
    /// # Errors
    ///
    /// `Refused` if the store refuses it again or the letter does not wait any more, `Dirty` if a later
    /// write of the id is journaled, `Undecodable` if the data cannot be read: edit it first.
    pub async fn replay(&self, letter: &DeadLetter) -> Result<()> {
        let journal = self.journal_of(letter)?;
        let key = letter.key();
        let found = letters(journal.store.ledger(Ledger::Letter(key)).await)?.pop();
        let Some(found) = found.filter(|found| found.state == LetterState::Waiting) else {
            return Err(decided(letter));
        };
        if found.id.is_empty() {
            let message = "the record was unreadable, so nobody knows what was written later: save the \
                           entity anew, and discard the dead letter";
            return Err(Error::new(ErrorKind::Undecodable, message));
        }
        let change = change(&journal, &found)?;
        let checked = journal.store.check(&journal.entries.schema, &change);
        checked.map_err(|e| e.into_error().of(&letter.id))?;
        // A task of its own: a caller that goes away must not leave half a write.
        let replayed = tokio::spawn(async move { write(&journal, &found, change).await }).await;
        replayed.unwrap_or_else(|stopped| {
            Err(Error::new(ErrorKind::Internal, "the replay was stopped").caused_by(stopped))
        })
    }

    /// By the prefix, or by the name with the namespace that events and letters have.
    fn journal(&self, entity: &str) -> Result<Arc<Journal>> {
        let prefix = entity.rsplit_once(':').map_or(entity, |(_, prefix)| prefix);
        self.roster.journal(prefix).ok_or_else(|| {
            Error::configuration(format!(
                "this cache has no repository of `{entity}` whose store takes journals"
            ))
        })
    }

    fn journal_of(&self, letter: &DeadLetter) -> Result<Arc<Journal>> {
        self.journal(&letter.entity)
    }

    fn changed(&self, answer: Result<Entry, StoreError>, letter: &DeadLetter) -> Result<()> {
        match answer.map_err(StoreError::into_error)? {
            Entry::Changed(true) => Ok(()),
            _ => Err(decided(letter)),
        }
    }
}

/// Writes until no recovery comes in between.
async fn write(journal: &Journal, letter: &DeadLetter, change: Change) -> Result<()> {
    let (changes, entries) = ([change], &journal.entries);
    for _ in 0..FENCED_MAX {
        if try_write(journal, letter, &changes).await? {
            return Ok(());
        }
        // Not the letter's, if the number of partitions was changed since.
        journal.recover_all(changes.iter().map(|c| entries.keys.slot(c.id()).partition)).await?;
    }
    let message = "the journal of this entity is recovered again and again: try again";
    Err(Error::new(ErrorKind::Fenced, message).of(&letter.id).retryable())
}

/// One store-first write, which also decides the letter. False: the journal has to be recovered.
async fn try_write(journal: &Journal, letter: &DeadLetter, changes: &[Change]) -> Result<bool> {
    let entries = &journal.entries;
    let ids: Vec<_> = changes.iter().map(|change| change.id().clone()).collect();
    let token = entries.random.token();
    let timeout = journal.settings.store_timeout;
    let hold = timeout + GRACE;
    let begun = match entries.begin(&ids, &token, hold).await {
        Ok(begun) => begun,
        Err(Refusal::Cache(error)) => return Err(error.into_error()),
        Err(Refusal::Fenced) => return Ok(false),
        Err(Refusal::Dirty(_) | Refusal::Kept(_)) => return Err(newer(letter)),
    };
    let fence = |b: &crate::cache::Begun| Fence::new(journal.name(), b.partition, b.epoch);
    let fences: Vec<_> = begun.iter().map(fence).collect();
    let batch = Batch::new(changes, entries.clock.now() + timeout);
    let batch = batch.fenced(&fences).replaying(letter.key());
    let written = journal.store.apply(&entries.schema, batch).await;
    // Where nobody knows, the token stays until its deadline.
    if !matches!(&written, Err(error) if error.class() == Class::Unknown) {
        let ended = entries.end(&ids, &begun, &[None], &token).await;
        if ended.is_err() {
            entries.owe(entries.slots(&ids), &token);
        }
    }
    match written {
        Ok(_) => Ok(true),
        // The epoch is another one, or the letter was decided.
        Err(error) if error.class() == Class::Fenced => {
            let found = journal.store.ledger(Ledger::Letter(letter.key())).await;
            match letters(found)?.first() {
                Some(found) if found.state == LetterState::Waiting => Ok(false),
                _ => Err(decided(letter)),
            }
        }
        Err(error) => Err(error.into_error().of(&letter.id)),
    }
}

fn change(journal: &Journal, letter: &DeadLetter) -> Result<Change> {
    let unreadable = |why: String| {
        let message = format!("the dead letter's data cannot be read ({why}): edit it first");
        Error::new(ErrorKind::Undecodable, message).of(&letter.id)
    };
    let entries = &journal.entries;
    let record = entries.codec.decode_data(letter.data.as_bytes(), &letter.schema);
    let record = record.map_err(|misread| match misread {
        Misread::Newer(name) => unreadable(format!("it has a column `{name}`")),
        Misread::Older(name) => unreadable(format!("it has no column `{name}`")),
        Misread::Unfit(why) => unreadable(why),
        Misread::Corrupt(error) => unreadable(error.to_string()),
    })?;
    let id = entries.id_of(&record).ok_or_else(|| unreadable("it has no id".to_owned()))?;
    Ok(if letter.deletes { Change::Delete { id } } else { Change::Put { id, record } })
}

fn letters(answer: Result<Entry, StoreError>) -> Result<Vec<DeadLetter>> {
    match answer.map_err(StoreError::into_error)? {
        Entry::Letters(letters) => Ok(letters),
        _ => Err(Error::new(ErrorKind::Internal, "the store did not answer dead letters")),
    }
}

fn decided(letter: &DeadLetter) -> Error {
    let message = "the dead letter does not wait any more: a later write reached the store, or somebody \
                   decided";
    Error::new(ErrorKind::Refused, message).of(&letter.id)
}

fn newer(letter: &DeadLetter) -> Error {
    let message = "a later write of this id is journaled and about to reach the store";
    Error::new(ErrorKind::Dirty, message).of(&letter.id)
}

/// How often a replay begins again because the journal was recovered.
const FENCED_MAX: usize = 3;
const GRACE: Duration = Duration::from_secs(5);
