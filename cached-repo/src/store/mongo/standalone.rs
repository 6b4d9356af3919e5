//! Writing without transactions: each document has the version of the record that it was written from,
//! so that a batch may be written again, and a late one changes nothing.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};

use super::{
    Collection, LETTERS, MongoStore, OFFSETS, StoreError, Times,
    collection::ID,
    error::{Fault, is_same, write_errors},
    ledger::number,
    letters, offsets,
    session::too_late,
    trial::Trial,
    write::{Statement, commands, partition_key, update},
};
use crate::{
    failpoint::{self, Point},
    store::{Applied, Batch, Class},
};

impl MongoStore {
    /// The rows first, then the letters, the position last: a crash in between writes them once more.
    pub(super) async fn apply_without_transaction(
        &self,
        collection: &Collection<'_>,
        batch: &Batch<'_>,
        trial: Trial,
        times: Times,
    ) -> Result<Vec<Applied>, StoreError> {
        check_names(collection)?;
        self.look(batch).await?;
        let Trial { order, mut refused, .. } = trial;
        refused.extend(self.write_each(collection, batch, &order, times).await?);
        reach(batch, Point::RowsWritten).await?;
        if let Some(journaled) = &batch.journaled {
            let of_refused = refused.iter().filter_map(|(index, e)| batch.letter(*index, e));
            for letter in of_refused.chain(journaled.unreadable_letters()) {
                self.command(letters::keeping(&letter), "keep a dead letter").await?;
            }
            reach(batch, Point::LettersWritten).await?;
        }
        self.supersede(batch, &refused).await?;
        if let Some(letter) = &batch.replays {
            let (query, update) = letters::replaying(letter);
            let replayed = self.find_and_update(LETTERS, query, update).await?;
            replayed.ok_or_else(|| letter.refused())?;
        }
        if let Some(journaled) = &batch.journaled {
            let counts =
                (batch.changes.len() - refused.len(), refused.len() + journaled.unreadable.len());
            let (query, update) = offsets::advancing(journaled, counts);
            let moved = self.find_and_update(OFFSETS, query, update).await?;
            moved.ok_or_else(|| journaled.position.refused())?;
            reach(batch, Point::PositionMoved).await?;
        }
        let mut applied = batch.applied();
        for (index, error) in refused {
            applied[index] = Applied::Buried { error };
        }
        Ok(applied)
    }

    /// Checks everything that a transaction would hold until it ends.
    async fn look(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        if let Some(journaled) = &batch.journaled {
            let position = &journaled.position;
            let offset = self.offset(position.entity, position.partition).await?;
            position.check(offset.as_ref())?;
        }
        if let Some(letter) = &batch.replays {
            let found = self.find_one(LETTERS, letters::replaying(letter).0).await?;
            found.ok_or_else(|| letter.refused())?;
        }
        if batch.fences.is_empty() {
            return Ok(());
        }
        let keys = batch.fences.iter().map(|f| partition_key(&f.entity, f.partition));
        let filter = doc! { ID: { "$in": keys.collect::<Vec<_>>() } };
        let limit = u32::try_from(batch.fences.len()).unwrap_or(u32::MAX);
        let found = self.find_all(OFFSETS, filter, doc! { ID: 1 }, limit).await?;
        batch.fences.iter().try_for_each(|fence| offsets::check(fence, &found))
    }

    /// Writes changes one by one. Those that were refused, and why, if they may be buried.
    async fn write_each(
        &self,
        collection: &Collection<'_>,
        batch: &Batch<'_>,
        order: &[usize],
        times: Times,
    ) -> Result<BTreeMap<usize, String>, StoreError> {
        let (mut statements, mut origins) = (Vec::new(), Vec::new());
        for &index in order {
            for statement in statements_of(collection, batch, index)? {
                statements.push(statement);
                origins.push(index);
            }
        }
        let buries = batch.buries();
        // What is found to be newer must not stop the others. Without versions nothing is.
        let is_versioned = batch.journaled.is_some() || batch.replays.is_some();
        let mut refused = BTreeMap::new();
        let mut is_first = true;
        for (first, mut command) in commands(collection.schema.table(), statements, !is_versioned) {
            let left = times.last_call.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                return Err(halved(too_late(), batch, !is_first));
            }
            command.insert("maxTimeMS", i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1));
            let reply = self.reply(command, "write").await;
            // Nobody knows how far a command got whose answer is lost.
            let reply = reply.map_err(|e| {
                let is_lost = e.class() == Class::Transient;
                halved(e, batch, !is_first || is_lost)
            })?;
            for entry in write_errors(&reply) {
                let fault = Fault::refused(entry);
                let at = usize::try_from(entry.get_i32("index").unwrap_or_default()).unwrap_or(0);
                if is_versioned && is_same(entry, &collection.unique().unwrap_or(vec![ID])) {
                    // There is a document of this id, and it is newer.
                    continue;
                }
                if !buries || !fault.error.class().is_refusal() {
                    return Err(halved(fault.error, batch, !is_first || at > 0));
                }
                if let Some(origin) = origins.get(first + at) {
                    refused.insert(*origin, fault.error.to_string());
                }
            }
            is_first = false;
        }
        Ok(refused)
    }

    async fn supersede(
        &self,
        batch: &Batch<'_>,
        refused: &BTreeMap<usize, String>,
    ) -> Result<(), StoreError> {
        for superseded in batch.supersedes(|index| !refused.contains_key(&index)) {
            let filter = letters::waiting_of(&superseded);
            let found = self.find_all(LETTERS, filter, doc! { ID: 1 }, u32::MAX).await?;
            if let Some(command) = letters::superseding(&superseded, &found) {
                self.command(command, "mark dead letters").await?;
            }
        }
        Ok(())
    }
}

/// The statements that write one change, unless the document is newer: then an update does not find it,
/// tries to insert it, and meets it.
fn statements_of(
    collection: &Collection<'_>,
    batch: &Batch<'_>,
    index: usize,
) -> Result<Vec<Statement>, StoreError> {
    let change = &batch.changes[index];
    let version = version(batch, index);
    let query = collection.one(change.id())?;
    let older = || {
        let mut older = query.clone();
        if let Some(version) = version {
            older.insert(VERSION, doc! { "$not": { "$gte": number(version) } });
        }
        older
    };
    if let Some(record) = change.record() {
        let (mut set, mut unset) = collection.fields(record)?;
        set.extend(version.map(|version| (VERSION.to_owned(), number(version))));
        unset.extend(doc! { DELETED: "", DELETED_AT: "" });
        let update = update((set, unset));
        return Ok(vec![Statement::Update(doc! { "q": older(), "u": update, "upsert": true })]);
    }
    let mut left: Document =
        collection.keys().map(|key| (key.to_owned(), format!("${key}").into())).collect();
    left.extend(doc! { DELETED: true, DELETED_AT: "$$NOW" });
    let kept = match version {
        Some(version) => number(version),
        None => format!("${VERSION}").into(),
    };
    left.insert(VERSION, kept);
    let deleted =
        doc! { "q": older(), "u": [{ "$replaceWith": left }], "upsert": version.is_some() };
    if version.is_some() {
        return Ok(vec![Statement::Update(deleted)]);
    }
    // One that never was in a journal need not be remembered.
    let mut never_journaled = query;
    never_journaled.insert(VERSION, doc! { "$exists": false });
    let delete = Statement::Delete(doc! { "q": never_journaled, "limit": 1 });
    Ok(vec![delete, Statement::Update(deleted)])
}

/// The version of the record that a change comes from. A store-first write has none, and leaves the
/// document's: what the journal has of its id is drained before it.
fn version(batch: &Batch<'_>, index: usize) -> Option<u64> {
    match (&batch.journaled, &batch.replays) {
        (Some(journaled), _) => journaled.sources.get(index).map(|source| source.version),
        (None, Some(letter)) => Some(letter.version),
        (None, None) => None,
    }
}

/// What a write ends with that may be there in part. A batch of a journal is written again.
fn halved(error: StoreError, batch: &Batch<'_>, is_in_part: bool) -> StoreError {
    match is_in_part && batch.journaled.is_none() {
        true => StoreError::unknown("MongoDB may have written a part of this").caused_by(error),
        false => error,
    }
}

async fn reach(batch: &Batch<'_>, point: Point) -> Result<(), StoreError> {
    let Some(journaled) = &batch.journaled else { return Ok(()) };
    failpoint::reach(point, journaled.position.entity).await.map_err(StoreError::transient)
}

/// Refuses columns with the names of what this keeps in documents.
pub(super) fn check_names(collection: &Collection<'_>) -> Result<(), StoreError> {
    let mut columns = collection.schema.columns().iter();
    match columns.find(|column| [VERSION, DELETED, DELETED_AT].contains(&column.column())) {
        None => Ok(()),
        Some(column) => Err(StoreError::systemic(format!(
            "the field `{}` is the library's own on a standalone MongoDB: choose another with the \
             attribute `column`",
            column.column()
        ))),
    }
}

/// The version of the record that a document was written from.
const VERSION: &str = "_v";
/// A deleted document is kept for a while, so that a late batch finds its version.
pub(super) const DELETED: &str = "_deleted";
pub(super) const DELETED_AT: &str = "_deleted_at";
pub(super) const DELETED_S: i32 = 60 * 60;
