//! What an error of a database means for whoever asked.

use std::borrow::Cow;

use sqlx::Error;

use super::{Dialect, StoreError};
use crate::store::Class;

/// Turns the driver's error into the store's. Nothing was written.
pub(super) fn classify<D: Dialect>(error: Error, doing: &str) -> StoreError {
    let name = D::NAME;
    let class = match &error {
        Error::Database(e) => D::code(&**e).map_or(Class::Systemic, |code| D::class(&code)),
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => {
            Class::Transient
        }
        Error::PoolTimedOut | Error::PoolClosed | Error::BeginFailed => Class::Transient,
        Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => Class::Record,
        _ => Class::Systemic,
    };
    let code = code::<D>(&error);
    let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
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
