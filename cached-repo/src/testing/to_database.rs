//! A process' calls of the kit's database.

use super::{
    Step,
    line::{About, Cut, Line, Patience},
};
use crate::{
    change::Change,
    schema::Schema,
    store::{Applied, Batch, BoxFuture, Description, Entry, Ledger, Query, Row, Store, StoreError},
};

/// The kit's database, as a process reaches it.
#[derive(Debug)]
pub(super) struct ToDatabase {
    pub(super) line: Line,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl ToDatabase {
    fn call<'a, T: Send + 'a>(
        &'a self,
        about: About<'a>,
        go: Answer<'a, T>,
        cut: fn(Cut) -> StoreError,
    ) -> Answer<'a, T> {
        let database = &self.line.shared.database;
        Box::pin(self.line.call(database, Patience::UntilItComes, about, go, cut))
    }
}

impl Store for ToDatabase {
    fn load<'a>(&'a self, schema: &'a Schema, query: Query<'a>) -> Answer<'a, Vec<Row>> {
        let what = match query {
            Query::Ids(ids) => ids.iter().map(|id| format!(" {id}")).collect(),
            Query::Scan { .. } => " a page".to_owned(),
        };
        let about = About { step: Step::Load, entity: schema.prefix(), what };
        // It has changed nothing, whatever was lost.
        let cut = |Cut { why, .. }| StoreError::transient(why);
        let tables = &self.line.shared.tables;
        self.call(about, Box::pin(async move { tables.load(schema, query).await }), cut)
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        self.line.shared.tables.check(schema, change)
    }

    fn apply<'a>(&'a self, schema: &'a Schema, batch: Batch<'a>) -> Answer<'a, Vec<Applied>> {
        let step = if batch.journaled.is_some() { Step::Drain } else { Step::Write };
        let what = batch.changes.iter().map(|change| format!(" {}", change.id())).collect();
        let about = About { step, entity: schema.prefix(), what };
        let shared = &self.line.shared;
        let write = async move {
            match shared.database.broken() {
                Some(why) => Err(StoreError::systemic(why)),
                None => shared.tables.apply(schema, batch).await,
            }
        };
        self.call(about, Box::pin(write), lost)
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> Answer<'a, Entry> {
        let (step, entity) = match operation {
            Ledger::Recover { entity, .. } => (Step::Raise, entity),
            Ledger::Settle { entity, .. } => (Step::Conclude, entity),
            Ledger::Offset { entity, .. } | Ledger::Seal { entity, .. } => (Step::Other, entity),
            Ledger::Letters { entity, .. } => (Step::Other, entity),
            Ledger::Letter(letter) | Ledger::Discard(letter) => (Step::Other, letter.entity),
            Ledger::Edit { letter, .. } => (Step::Other, letter.entity),
            Ledger::Install { schema } => (Step::Other, schema.prefix()),
            Ledger::Identity => (Step::Other, ""),
        };
        let about = About { step, entity: prefix(entity), what: String::new() };
        let tables = &self.line.shared.tables;
        self.call(about, Box::pin(async move { tables.ledger(operation).await }), lost)
    }

    fn describe<'a>(&'a self, schema: &'a Schema) -> Answer<'a, Description> {
        let about = About { step: Step::Other, entity: schema.prefix(), what: String::new() };
        let tables = &self.line.shared.tables;
        self.call(about, Box::pin(async move { tables.describe(schema).await }), lost)
    }
}

/// A write of which the answer was lost may have happened.
fn lost(Cut { why, happened }: Cut) -> StoreError {
    match happened {
        true => StoreError::unknown(why),
        false => StoreError::transient(why),
    }
}

/// The ledger's name of an entity has its namespace in front.
fn prefix(entity: &str) -> &str {
    entity.rsplit(':').next().unwrap_or(entity)
}
