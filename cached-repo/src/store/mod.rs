//! Where entities live for good: the contract that every database adapter keeps.

use std::{fmt, sync::Arc};

pub use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    change::{Change, EntityId},
    clock::Clock,
    entity::CachedEntity,
    error::Result,
    record::Record,
    schema::Schema,
};

#[cfg(feature = "conformance")]
pub mod conformance;
mod check;
mod connect;
mod error;
mod json;
mod memory;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

pub use check::check_kinds;
pub use connect::connect;
pub use error::{Class, StoreError};
pub use json::{from_json, to_json};
pub use memory::memory;
#[cfg(feature = "postgres")]
pub use sql::connect::postgres;
#[cfg(feature = "sqlite")]
pub use sql::connect::sqlite;

/// A database. Implement it to add one; run [`conformance`] over it to see that it keeps the contract.
///
/// Everything is batched, nothing has a default, and all methods may be called at the same time
/// from many tasks.
///
/// # Contract
///
/// *Rows.*
/// - An implementation MUST map by [`ColumnSpec::column`](crate::ColumnSpec::column) names and MUST
///   leave columns of a row that the schema does not list as they are. Otherwise a save destroys data
///   that this library does not know of.
/// - [`check`](Self::check) MUST refuse a value that the database cannot hold exactly
///   ([`StoreError::record`]), and [`apply`](Self::apply) MUST NOT write it. Otherwise a read shows
///   something that nobody saved.
///
/// *Writes.*
/// - [`apply`](Self::apply) MUST be atomic: all changes of a batch, or none. Otherwise an error that
///   says "not applied" is a lie.
/// - It MUST check the batch's fences in the same transaction, before the first row is written.
///   Otherwise two writers that do not see each other can undo each other's writes.
/// - It MUST NOT let a change take effect after the batch's deadline. Otherwise a reader may keep the
///   value from before the write for as long as the entry's time to live.
/// - It MUST answer [`StoreError::unknown`] when it cannot tell whether the commit happened, and
///   anything else only when it can. Otherwise callers retry what already happened, or believe what
///   did not.
///
/// *Reads.*
/// - [`load`](Self::load) MUST see every write that was acknowledged before it was called: it reads
///   from the primary. Otherwise a fill caches a row that is older than the last write.
///
/// *Everything.* An implementation SHOULD bound each call in time, and SHOULD NOT put values or
/// passwords into messages.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Finds rows. Rows come in any order, each once, even if its id is there twice; an id without a
    /// row is left out.
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Record<'static>>, StoreError>>;

    /// Looks whether the database can hold a change exactly, without asking it. Repositories call it
    /// before they announce a write to other processes. The function [`check_kinds`] has what every store
    /// must refuse.
    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError>;

    /// Writes a batch in one transaction. No id occurs twice in a batch.
    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>>;

    /// Reads or changes the library's own records in this database.
    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>>;

    /// Says what the database has and lacks for this schema. Changes nothing.
    fn describe<'a>(&'a self, schema: &'a Schema)
    -> BoxFuture<'a, Result<Description, StoreError>>;
}

impl dyn Store {
    /// The DDL of an entity's table and of the library's own tables, for a person to read or run.
    /// Running it twice does no harm.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn schema_sql<E: CachedEntity>(&self) -> Result<String> {
        let schema = E::SCHEMA;
        let description = self.describe(&schema).await;
        Ok(description.map_err(|e| e.into_error().during("schema_sql", schema.prefix()))?.ddl)
    }

    /// Runs [`schema_sql`](#method.schema_sql): creates the tables that are missing, changes none.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or the role may not create tables.
    pub async fn create_tables<E: CachedEntity>(&self) -> Result<()> {
        let schema = E::SCHEMA;
        let created = self.ledger(Ledger::Install { schema: &schema }).await;
        created.map_err(|e| e.into_error().during("create_tables", schema.prefix()))?;
        Ok(())
    }
}

/// A store as repositories share it.
pub type SharedStore = Arc<dyn Store>;

/// Which rows to load.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Query<'a> {
    /// The rows with these ids.
    Ids(&'a [EntityId]),
}

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
}

impl<'a> Batch<'a> {
    /// A batch without fences that returns no rows.
    pub fn new(changes: &'a [Change], deadline: Instant) -> Self {
        Self { changes, fences: &[], deadline, returning: false }
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

    /// What became of the changes, for a store that writes rows as they are: it has no triggers.
    pub fn applied(&self) -> Vec<Applied> {
        let applied = self.changes.iter().map(|change| match change.record() {
            Some(record) => Applied::Put(self.returning.then(|| record.clone())),
            None => Applied::Deleted,
        });
        applied.collect()
    }

    /// Whether the batch may be written now, for a store that decides and writes in one step: all
    /// values are of their kinds, the fences hold where `epoch` tells the epoch that a fence's
    /// partition is in (0 if it has no row), and the deadline has not passed.
    ///
    /// # Errors
    ///
    /// The error to answer with if not.
    pub fn check(&self, schema: &Schema, epoch: impl Fn(&Fence) -> u64) -> Result<(), StoreError> {
        self.changes.iter().try_for_each(|change| check::check_kinds(schema, change))?;
        self.fences.iter().try_for_each(|fence| fence.check(epoch(fence)))?;
        if self.deadline <= Clock::new().now() {
            return Err(StoreError::transient("the deadline of the write has passed"));
        }
        Ok(())
    }
}

/// The epoch that a partition's journal must be in for a store-first write to be safe.
///
/// From the check until the commit, the transaction MUST keep the epoch from being raised; several
/// transactions may do so at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Fence {
    /// The entity, by its prefix.
    pub entity: String,
    /// The partition.
    pub partition: u32,
    /// The epoch that the writer saw. 0: the partition has no row, nothing was ever journaled.
    pub epoch: u64,
}

impl Fence {
    /// A fence.
    pub fn new(entity: impl Into<String>, partition: u32, epoch: u64) -> Self {
        Self { entity: entity.into(), partition, epoch }
    }

    fn check(&self, found: u64) -> Result<(), StoreError> {
        if self.epoch == found {
            return Ok(());
        }
        let Self { entity, partition, epoch } = self;
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
}

/// An operation on the library's own records.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ledger<'a> {
    /// Create the library's tables and the table of this schema where they are missing. Answers
    /// [`Entry::Done`].
    Install {
        /// The entity whose table is wanted.
        schema: &'a Schema,
    },
    /// The identity of this database: drawn when it is first asked for, the same ever after, and
    /// different for every database. Answers [`Entry::Identity`].
    Identity,
    /// Raise the epoch of a partition by one, making the row with epoch 1 if there is none. Waits for
    /// the transactions that hold it as a [`Fence`]. Answers [`Entry::Epoch`].
    RaiseEpoch {
        /// The entity, by its prefix.
        entity: &'a str,
        /// The partition.
        partition: u32,
    },
}

/// The answer to a [`Ledger`] operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// It was done.
    Done,
    /// The database's identity.
    Identity(String),
    /// The partition's epoch, after it was raised.
    Epoch(u64),
}

/// What a database has and lacks for a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The DDL that makes everything that is needed.
    pub ddl: String,
    /// What is missing, one sentence each; empty when a repository can be built.
    pub missing: Vec<String>,
}

impl Description {
    /// A description.
    pub fn new(ddl: impl Into<String>, missing: Vec<String>) -> Self {
        Self { ddl: ddl.into(), missing }
    }
}
