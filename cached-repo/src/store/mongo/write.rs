//! Writing a batch: fences, rows and commit in one transaction that ends before its deadline.

use std::{collections::BTreeMap, time::Duration};

use mongodb::bson::{Bson, Document, doc};

use super::{
    Collection, Fault, Mode, MongoStore, Session, StoreError, Times, collection::ID, letters,
    offsets, session::too_late, trial::Trial,
};
use crate::{
    change::Change,
    failpoint::{self, Point},
    schema::Schema,
    store::{Applied, Batch, check::check_kinds},
};

impl MongoStore {
    /// The commit is sent early enough that the time in which it is on its way is allowed for.
    pub(super) async fn apply_batch(
        &self,
        schema: &Schema,
        batch: Batch<'_>,
    ) -> Result<Vec<Applied>, StoreError> {
        let collection = Collection::new(schema)?;
        let mut trial = plan(&collection, &batch)?;
        let left = batch.deadline.saturating_duration_since(self.clock.now());
        if left.is_zero() {
            return Err(too_late());
        }
        if is_nothing(&batch) {
            return Ok(Vec::new());
        }
        let last_call = batch.deadline - (left / 4).min(ON_ITS_WAY_MAX);
        let times = Times { last_call, deadline: batch.deadline };
        if self.mode == Mode::Standalone {
            return self.apply_without_transaction(&collection, &batch, trial, times).await;
        }
        loop {
            let write =
                Write { collection: &collection, batch: &batch, trial: &trial, store: self };
            match (self.transaction(times, &write).await, batch.buries()) {
                (Ok(answer), _) => return Ok(answer),
                (Err(fault), false) => return Err(fault.error),
                (Err(fault), true) => trial.without(fault)?,
            }
        }
    }
}

/// Refuses the batch if one of its values cannot be held exactly, and may not be buried. Otherwise
/// answers what is to be written: what is deleted first, because that may free a unique value.
fn plan(collection: &Collection<'_>, batch: &Batch<'_>) -> Result<Trial, StoreError> {
    let (mut order, mut refused) = (Vec::with_capacity(batch.changes.len()), BTreeMap::new());
    for (index, change) in batch.changes.iter().enumerate() {
        let checked = check_kinds(collection.schema, change)
            .and_then(|()| change.record().map_or(Ok(()), |record| collection.check(record)));
        match (checked, batch.buries()) {
            (Err(e), false) => return Err(e),
            (Err(e), true) => drop(refused.insert(index, e.to_string())),
            // A document with an id that cannot be held is gone already.
            _ if change.record().is_none() && !collection.can_hold(change.id()) => {}
            _ => order.push(index),
        }
    }
    let mut order = batch.in_journal_order(&order);
    order.sort_by_key(|&index| batch.changes[index].record().is_some());
    Ok(Trial::new(order, refused))
}

/// One transaction's work.
pub(super) struct Write<'a> {
    collection: &'a Collection<'a>,
    batch: &'a Batch<'a>,
    trial: &'a Trial,
    store: &'a MongoStore,
}

impl Write<'_> {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Vec<Applied>, Fault> {
        let Self { collection, batch, trial, store } = *self;
        if let Some(journaled) = &batch.journaled {
            let refused = trial.refused.len();
            let counts = (batch.changes.len() - refused, refused + journaled.unreadable.len());
            offsets::advance(session, journaled, counts).await?;
            self.reach(Point::PositionMoved).await?;
        }
        if let Some(letter) = &batch.replays {
            letters::replay(session, letter).await?;
        }
        let is_journaled = offsets::hold(session, batch.fences, &store.random).await?;
        write_rows(session, collection, batch.changes, &trial.order).await?;
        self.reach(Point::RowsWritten).await?;
        if let Some(journaled) = &batch.journaled {
            let refused = trial.refused.iter();
            let refused = refused.filter_map(|(index, error)| batch.letter(*index, error));
            letters::keep(session, refused.chain(journaled.unreadable_letters())).await?;
            self.reach(Point::LettersWritten).await?;
        }
        // Where nothing was ever journaled, there are no letters.
        if is_journaled || batch.journaled.is_some() || batch.replays.is_some() {
            letters::supersede(session, batch, |i| !trial.refused.contains_key(&i)).await?;
        }
        // There are no triggers: what was written is what the documents hold.
        let mut applied = batch.applied();
        for (index, error) in &trial.refused {
            applied[*index] = Applied::Buried { error: error.clone() };
        }
        Ok(applied)
    }

    async fn reach(&self, point: Point) -> Result<(), StoreError> {
        let Some(journaled) = &self.batch.journaled else { return Ok(()) };
        failpoint::reach(point, journaled.position.entity).await.map_err(StoreError::transient)
    }
}

/// Writes the changes with these indices, in this order but for those that only delete. What is
/// refused is told by its place in the order.
async fn write_rows(
    session: &mut Session,
    collection: &Collection<'_>,
    changes: &[Change],
    order: &[usize],
) -> Result<(), Fault> {
    let mut statements = Vec::with_capacity(order.len());
    for change in order.iter().map(|&index| &changes[index]) {
        let query = collection.one(change.id())?;
        statements.push(match change.record() {
            None => Statement::Delete(doc! { "q": query, "limit": 1 }),
            Some(record) => {
                let mut update = update(collection.fields(record)?);
                if update.is_empty() {
                    // A document of nothing but its id.
                    update.insert("$setOnInsert", created(&query));
                }
                Statement::Update(doc! { "q": query, "u": update, "upsert": true })
            }
        });
    }
    for (first, command) in commands(collection.schema.table(), statements, true) {
        session.run(command, "write").await.map_err(|fault| {
            let refused = fault.refused.map(|index| first + index);
            Fault { refused, ..fault }
        })?;
    }
    Ok(())
}

/// An update that sets and removes fields: no operator may be empty.
pub(super) fn update((set, unset): (Document, Document)) -> Document {
    let operators = [("$set", set), ("$unset", unset)];
    let used = operators.into_iter().filter(|(_, fields)| !fields.is_empty());
    used.map(|(operator, fields)| (operator.to_owned(), fields.into())).collect()
}

/// The fields of an inserted document that an update's query already says.
fn created(query: &Document) -> Document {
    let equal = |value: &Bson| value.as_document().and_then(|e| e.get("$eq")).cloned();
    query.iter().filter_map(|(name, value)| Some((name.clone(), equal(value)?))).collect()
}

/// One change of one document.
pub(super) enum Statement {
    Update(Document),
    Delete(Document),
}

/// Statements as few commands, in their order; each with the place of its first statement.
pub(super) fn commands(
    collection: &str,
    statements: Vec<Statement>,
    ordered: bool,
) -> Vec<(usize, Document)> {
    let mut commands: Vec<(usize, &str, Vec<Bson>)> = Vec::new();
    let mut bytes = 0;
    for (at, statement) in statements.into_iter().enumerate() {
        let (verb, statement) = match statement {
            Statement::Update(statement) => (UPDATE, statement),
            Statement::Delete(statement) => (DELETE, statement),
        };
        let size = statement.to_vec().map_or(0, |bytes| bytes.len());
        bytes += size;
        match commands.last_mut() {
            Some((_, last, some))
                if *last == verb && some.len() < STATEMENTS_MAX && bytes <= COMMAND_BYTES_MAX =>
            {
                some.push(statement.into());
            }
            _ => {
                commands.push((at, verb, vec![statement.into()]));
                bytes = size;
            }
        }
    }
    let command = |(first, verb, statements): (usize, &str, Vec<Bson>)| {
        let list = if verb == UPDATE { "updates" } else { "deletes" };
        (first, doc! { verb: collection, list: statements, "ordered": ordered })
    };
    commands.into_iter().map(command).collect()
}

fn is_nothing(batch: &Batch<'_>) -> bool {
    let Batch { changes, fences, journaled, replays, .. } = batch;
    changes.is_empty() && fences.is_empty() && journaled.is_none() && replays.is_none()
}

/// The key of a document of the library's own, which is the same in every collection of theirs.
pub(super) fn partition_key(entity: &str, partition: u32) -> Document {
    doc! { "entity": entity, "partition": i64::from(partition) }
}

/// A query for one document of the library's own.
pub(super) fn by_key(key: Document) -> Document {
    doc! { ID: { "$eq": key } }
}

/// The time that a commit may be on its way, little beside the deadlines in use.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(1);
const UPDATE: &str = "update";
const DELETE: &str = "delete";
/// A server takes at most 100,000.
const STATEMENTS_MAX: usize = 10_000;
/// A command has at most 16 MiB; a single statement may have nearly as much.
const COMMAND_BYTES_MAX: usize = 8 * 1024 * 1024;
