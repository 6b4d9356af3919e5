//! Where entities live for good: the contract that every database adapter keeps.

use std::{fmt, sync::Arc};

pub use futures_util::future::BoxFuture;

use crate::{
    change::{Change, EntityId},
    entity::CachedEntity,
    error::{Error, Result},
    schema::Schema,
};

#[cfg(feature = "conformance")]
pub mod conformance;
mod batch;
mod check;
mod connect;
mod error;
mod journaled;
mod json;
mod ledger;
mod memory;
#[cfg(feature = "mongodb")]
mod mongo;
mod row;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(all(
    feature = "conformance",
    any(feature = "sqlite", feature = "postgres", feature = "mysql")
))]
pub(crate) use sql::hostile as statements;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "mongodb"))]
mod security;

use batch::Supersedes;
pub use batch::{Applied, Batch, Fence};
pub use check::check_kinds;
pub use connect::{StoreBuilder, builder, connect};
pub use error::{Class, StoreError};
pub use journaled::{Journaled, LetterKey, Position, Refused, Source, Unreadable};
pub use json::{from_json, to_json};
pub use ledger::{DeadLetter, Entry, Ledger, LetterState, Offset};
#[cfg(feature = "testing")]
pub(crate) use memory::MemoryStore;
pub use memory::memory;
#[cfg(feature = "mongodb")]
pub use mongo::connect::{mongodb, mongodb_standalone};
pub use row::{Row, RowError};
#[cfg(feature = "mysql")]
pub use sql::connect::mysql;
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
/// *Journals.* A store MAY refuse them: then its [`Description::journals`] is false, and no repository
/// under `write_behind` can be built on it. One that takes them:
/// - MUST move the position in the transaction that writes the batch, as its first write, and only from
///   the expected one. Otherwise a worker that was paused repeats what a newer one overwrote.
/// - MUST make dead letters in that transaction too. Otherwise a crash loses or doubles them.
/// - MUST mark the waiting dead letters of an id as superseded in every transaction that writes that
///   id, in whatever partition of the entity they are (their number may have been changed): the older ones
///   if it is journaled or a replay, all of them if it is behind a fence whose partition has an
///   [`Offset`]. Otherwise a replay overwrites something newer.
///
/// *Reads.*
/// - [`load`](Self::load) MUST see every write that was acknowledged before it was called: it reads
///   from the primary. Otherwise a fill caches a row that is older than the last write.
///
/// *Everything.* An implementation SHOULD bound each call in time, and SHOULD NOT put values or
/// passwords into messages.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Finds rows. Rows with given ids come in any order, each once, even if its id is there twice; an id
    /// without a row is left out.
    ///
    /// A row that cannot be read MUST be a [`RowError`] in its place, and MUST NOT be left out or fail the
    /// call. Otherwise one bad row hides good ones, or is taken for none.
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;

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

    /// What grants a role the rights to run repositories of this entity and to make no tables, for a person
    /// to read and run. On SQL databases these are GRANT statements, and the role stands in them as it is
    /// given, with the quotes that the database wants; on PostgreSQL it needs USAGE of the tables' schema as
    /// well, where that is not `public`. On MongoDB they are lines for its shell, and the role is one of the
    /// store's database.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or has no roles (SQLite).
    pub async fn grant_sql<E: CachedEntity>(&self, role: &str) -> Result<String> {
        let schema = E::SCHEMA;
        let described = self.describe(&schema).await;
        let described =
            described.map_err(|e| e.into_error().during("grant_sql", schema.prefix()))?;
        if described.privileges.is_empty() {
            return Err(Error::configuration("this store has no GRANT")
                .during("grant_sql", schema.prefix()));
        }
        let grant = |privilege: &String| match privilege.starts_with('{') {
            // A document is MongoDB's way to say it.
            true => format!("db.grantPrivilegesToRole({role:?}, [{privilege}]);\n"),
            false => format!("GRANT {privilege} TO {role};\n"),
        };
        Ok(described.privileges.iter().map(grant).collect())
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
    /// All rows, page by page, in an order of the store's own that stays the same. A store that takes
    /// journals MUST find each row that is there all the time exactly once, and MUST answer fewer than
    /// `limit` only at the end. Otherwise an import of the entity leaves rows behind.
    Scan {
        /// Begin behind this id, the one of the last page's last row.
        after: Option<&'a EntityId>,
        /// At most so many; 1 at least.
        limit: u32,
    },
}

/// What a database has and lacks for a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The DDL that makes everything that is needed.
    pub ddl: String,
    /// What a role must be allowed, each as it stands between GRANT and TO; on MongoDB each a document.
    pub privileges: Vec<String>,
    /// What is missing, one sentence each; empty when a repository can be built.
    pub missing: Vec<String>,
    /// Whether the store keeps offsets and dead letters, so that it can drain a journal.
    pub journals: bool,
    /// Whether the store has columns that it computes, leaves those of the schema out when it writes
    /// ([`ColumnSpec::is_generated`](crate::ColumnSpec::is_generated)), and answers them when it is asked for
    /// the rows that it wrote.
    pub computes: bool,
}

impl Description {
    /// A description.
    pub fn new(ddl: impl Into<String>, missing: Vec<String>) -> Self {
        Self { ddl: ddl.into(), missing, ..Self::default() }
    }

    /// The same, of a store that can drain a journal.
    #[must_use]
    pub fn journaling(self) -> Self {
        Self { journals: true, ..self }
    }

    /// The same, of a store that computes columns.
    #[must_use]
    pub fn computing(self) -> Self {
        Self { computes: true, ..self }
    }

    /// The same, of a database whose roles must be allowed this.
    #[must_use]
    pub fn demanding(self, privileges: Vec<String>) -> Self {
        Self { privileges, ..self }
    }
}
