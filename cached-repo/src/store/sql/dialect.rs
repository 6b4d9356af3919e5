//! What one SQL database says differently from the next.

use std::{borrow::Cow, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{Database, error::DatabaseError};

use super::{Connection, Row, Shape, StoreError, Table, source::Options};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::Kind,
    store::Class,
};

/// One SQL database. Implementing it, in one file, adds one.
pub(in crate::store) trait Dialect: Sized + Send + Sync + 'static {
    type Database: Database;

    /// In messages.
    const NAME: &'static str;
    /// What stands around identifiers; doubled inside them.
    const QUOTE: char;
    /// How many write transactions the database runs side by side.
    const WRITERS: usize;
    /// Whether a connection that does not come to an end with its last call is closed.
    const CLOSES_ABANDONED: bool;
    /// The greatest unsigned integer that a column of [`Kind::U64`] holds.
    const U64_MAX: u64;
    /// The column type of a moment in time.
    const TIMESTAMP: &'static str;
    /// The column type of a word that has a default.
    const WORD: &'static str;
    /// What stands behind a table's columns.
    const TABLE_OPTIONS: &'static str;

    /// Whether an UPDATE returns rows.
    const RETURNS: bool;
    /// Whether an index may be on some of the rows.
    const PARTIAL_INDEXES: bool;
    /// Whether roles are granted what they may do.
    const HAS_ROLES: bool;
    /// Whether tables are made in transactions.
    const TRANSACTIONAL_DDL: bool;
    /// Whether locks are rows of a table of the library, and not taken by [`begin`](Self::begin).
    const LOCKS_ARE_ROWS: bool;

    /// The members of a JSON array, the one parameter `?`, as the column `value` of a table `e`.
    const ELEMENTS: &'static str;
    /// The statement that marks dead letters as superseded, where it is not the one of all others.
    const SUPERSEDE: Option<&'static str>;
    /// Asks how many bytes a statement may have, if that is a setting of the server.
    const BYTES_MAX: Option<&'static str>;

    /// A statement or a table of the library's own, as PostgreSQL says it, as this database does.
    fn spell(sql: &str) -> Cow<'_, str>;

    /// Begins a transaction; one message to the server.
    fn begin(begin: &Begin) -> String;

    /// Begins a transaction in which no statement runs for longer than this, where that is a setting and
    /// the session is an application's own; one message to the server.
    fn begin_read(_: Duration) -> Option<String> {
        None
    }

    /// Whether these options set such a limit for all statements.
    fn limits_statements(_: &Options<Self>) -> bool {
        false
    }

    /// The same statement with such a limit, where a statement may have one.
    fn limited(sql: String, _: Duration) -> String {
        sql
    }

    /// Commits, if the server finds that no more than this time has passed since the transaction was
    /// begun; one message to the server.
    fn commit(within: Duration) -> String;

    /// Rolls back, and sets back what [`begin`](Self::begin) has set for longer than its transaction; one
    /// message to the server.
    const ROLLBACK: &'static str;
    /// What succeeds only where there is no transaction, if a ROLLBACK fails there; leaves none behind.
    const NO_TRANSACTION: Option<&'static str>;
    /// The code of the error of a commit that came too late, where it has one of its own.
    const TOO_LATE: Option<&'static str>;

    /// Sends a prepared statement and collects its rows.
    fn run(
        connection: &mut Connection<Self>,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<Vec<Row<Self>>, sqlx::Error>>;

    /// Sends a prepared statement, and answers how many rows it found to change.
    fn change(
        connection: &mut Connection<Self>,
        statement: Statement<Self>,
    ) -> BoxFuture<'_, Result<u64, sqlx::Error>>;

    /// Sends statements without parameters, separated by semicolons.
    fn script(
        connection: &mut Connection<Self>,
        sql: String,
    ) -> BoxFuture<'_, Result<(), sqlx::Error>>;

    /// How the `n`th parameter (from 1) is written.
    fn parameter(n: usize) -> String;

    /// Makes a statement of one value per parameter.
    fn bind<'v>(
        sql: String,
        values: impl Iterator<Item = &'v Value<'v>>,
    ) -> Result<Statement<Self>, StoreError>;

    /// A value as the column wants it, where that is not as the kind says.
    fn held<'v>(value: &'v Value<'v>, _: Shape<'_>) -> Value<'v> {
        value.borrowed()
    }

    /// How the parameter of a value that is compared with this column is written, where it is not numbered.
    #[cfg_attr(not(any(feature = "sqlite", feature = "mysql")), allow(dead_code))]
    fn place(_: Shape<'_>) -> &'static str {
        "?"
    }

    /// Inserts the rows, or overwrites the mapped columns of those that are there.
    fn upserts(table: &Table<'_>, rows: &[&Record<'_>])
    -> Result<Vec<Statement<Self>>, StoreError>;

    /// Deletes rows.
    fn deletes(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError>;

    /// Reads rows: the columns in the schema's order, in types that [`value`](Self::value) reads.
    fn selects(table: &Table<'_>, ids: &[&EntityId]) -> Result<Vec<Statement<Self>>, StoreError>;

    /// Reads rows behind this id, in the order of their ids.
    fn page(
        table: &Table<'_>,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Statement<Self>, StoreError>;

    /// The type that a column of this kind must have instead, if what was declared would change values.
    /// Databases that refuse such values when they are written need not say.
    fn misfit(kind: Kind, declared: &str) -> Option<&'static str>;

    /// Lists the columns of a table, each between a null and its declared type
    /// (`computed` if the database computes it), and then those of its unique indexes, each with a number of the index before it and, behind it, the type or collation
    /// because of which the index takes different ids for equal, if there is one.
    /// Rows without an index and a name are sentences about what else is wrong with the table.
    fn inspect(table: &Table<'_>) -> Result<Statement<Self>, StoreError>;

    /// Reads one column of a row, or says why not.
    fn value(row: &Row<Self>, index: usize, kind: Kind) -> Result<Value<'static>, String>;

    /// Why the column cannot hold this value exactly, if it cannot.
    fn refusal(value: &Value<'_>, column: Shape<'_>) -> Option<String>;

    /// The type of a column.
    fn column_type(kind: Kind, id: bool) -> &'static str;

    /// Gives a column this type.
    fn retype(table: &Table<'_>, column: &str, column_type: &str) -> Option<String>;

    /// The code of an error, as the methods below want it.
    fn code(error: &dyn DatabaseError) -> Option<Cow<'_, str>>;

    /// What an error with this code means.
    fn class(code: &str) -> Class;

    /// What an error means, where its code does not tell.
    fn class_of(error: &dyn DatabaseError) -> Class {
        Self::code(error).map_or(Class::Systemic, |code| Self::class(&code))
    }

    /// Whether an error says that the statement was prepared for a table that was changed since.
    fn is_stale(_: &dyn DatabaseError) -> bool {
        false
    }

    /// Table and column of an error that says that a column got null and may not have it. Databases with a
    /// code of its own for a column that got nothing need not say.
    fn null_in(_: &dyn DatabaseError) -> Option<(String, String)> {
        None
    }

    /// Whether an error with this code says that the connection is gone.
    fn is_lost(code: &str) -> bool;

    /// Whether a commit that was answered with this code may have happened.
    fn is_doubtful(code: &str) -> bool;
}

/// A statement with its parameters.
pub(in crate::store) struct Statement<D: Dialect> {
    pub(super) sql: String,
    pub(super) arguments: <D::Database as Database>::Arguments,
}

/// How a transaction begins.
// A database that serialises its writers and has no timeouts needs none of it.
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
pub(in crate::store) struct Begin {
    /// How long each statement may take.
    pub(super) left: Duration,
    /// How long the server may wait for the next statement before it rolls back.
    pub(super) idle: Duration,
    /// Locks to hold until the end, taken before the first statement.
    pub(super) locks: Vec<Lock>,
    /// Whether deferred triggers are to run with their statement.
    pub(super) immediate: bool,
}

/// A lock on a number, for databases that do not serialise their writers anyway.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
#[derive(Clone, Copy)]
pub(in crate::store) enum Lock {
    Shared(i64),
    Exclusive(i64),
}
