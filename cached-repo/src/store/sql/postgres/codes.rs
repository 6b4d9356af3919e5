//! What PostgreSQL's errors mean, by their codes and by who in the server raised them.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use crate::store::Class;

/// The class of an error, by its code.
pub(super) fn class(code: &str) -> Class {
    match (code, code.get(..2).unwrap_or("")) {
        ("25006" | "25P03" | "25P04" | "55P03" | "55006", _) => Class::Transient,
        (_, "08" | "28" | "40" | "53" | "57" | "58") => Class::Transient,
        // The last one is for ON DELETE RESTRICT.
        ("23503" | "23001", _) => Class::Reference,
        // P0: raised by a trigger. 44: a view's CHECK OPTION. 54: a limit, as on an index row.
        (_, "22" | "23" | "44" | "54" | "P0") => Class::Record,
        _ => Class::Systemic,
    }
}

/// A policy refuses a row, a missing grant all of them; the code is the same, the message is in the
/// server's language.
pub(super) fn class_of(error: &dyn DatabaseError) -> Class {
    let code = error.code().unwrap_or_default();
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(|e| e.routine());
    match (&*code, routine) {
        ("42501", Some("ExecWithCheckOptions")) => Class::Record,
        _ if is_stale(error) => Class::Transient,
        (code, _) => class(code),
    }
}

/// "cached plan must not change result type"; 0A000 has other meanings as well.
pub(super) fn is_stale(error: &dyn DatabaseError) -> bool {
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(|e| e.routine());
    routine == Some("RevalidateCachedQuery")
}

/// Table and column of an error that says that a column is null and may not be.
pub(super) fn null_in(error: &dyn DatabaseError) -> Option<(String, String)> {
    let error = error.try_downcast_ref::<PgDatabaseError>().filter(|e| e.code() == "23502")?;
    Some((error.table()?.to_owned(), error.column()?.to_owned()))
}
