//! What an error of a database means for whoever asked.

use std::borrow::Cow;

use sqlx::Error;

use super::{Dialect, StoreError, Table, table::split};
use crate::store::Class;

/// Turns the driver's error into the store's. Nothing was written.
pub(super) fn classify<D: Dialect>(error: Error, doing: &str) -> StoreError {
    let name = D::NAME;
    let class = match &error {
        Error::Database(e) => D::class_of(&**e),
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => {
            Class::Transient
        }
        Error::PoolTimedOut | Error::PoolClosed | Error::BeginFailed => Class::Transient,
        Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => Class::Record,
        _ => Class::Systemic,
    };
    let code = told::<D>(&error);
    match class {
        Class::Transient => {
            StoreError::transient(format!("{name} could not {doing}; try again{code}"))
        }
        Class::Record => StoreError::record(format!("{name} refused a record{code}")),
        Class::Reference => StoreError::reference(format!(
            "{name} refused a record because of a row that it refers to, or that refers to it{code}"
        )),
        _ => StoreError::systemic(format!("{name} cannot {doing} as it is set up{code}")),
    }
    .caused_by(error)
}

/// Why rows were not written. A column that no record has is the fault of the table, not of the record that was first.
pub(super) fn unwritten<D: Dialect>(table: &Table<'_>, error: Error) -> StoreError {
    let null = error.as_database_error().and_then(D::null_in);
    let columns = table.schema.columns();
    match null.filter(|(of, _)| of == split(table.schema.table()).1) {
        Some((of, column)) if columns.iter().all(|c| c.column() != column) => {
            StoreError::systemic(format!(
                "the column `{column}` of the table `{of}` is NOT NULL without a default, and no field is \
                 mapped to it: give it a default, or add the field{}",
                told::<D>(&error)
            ))
            .caused_by(error)
        }
        _ => classify::<D>(error, "write"),
    }
}

/// The code as messages tell it.
pub(super) fn told<D: Dialect>(error: &Error) -> String {
    code::<D>(error).map(|code| format!(" (code {code})")).unwrap_or_default()
}

/// Whether a statement was prepared for a table as it was before somebody changed it. The connection's
/// other statements may be as old.
pub(super) fn is_stale<D: Dialect>(error: &Error) -> bool {
    error.as_database_error().is_some_and(D::is_stale)
}

/// The database's own code.
pub(super) fn code<D: Dialect>(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(D::code)
}

/// Whether the connection is gone, which says nothing about the database.
pub(super) fn is_lost<D: Dialect>(error: &Error) -> bool {
    match error {
        Error::Database(e) => D::code(&**e).is_some_and(|code| D::is_lost(&code)),
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether a commit that ended with this error may have happened.
pub(super) fn is_doubtful<D: Dialect>(error: &Error) -> bool {
    match error {
        Error::Database(e) => D::code(&**e).is_none_or(|code| D::is_doubtful(&code)),
        _ => true,
    }
}
