//! How a transaction begins so that the server ends it in time.

use std::{fmt::Write, time::Duration};

use crate::store::sql::{Begin, Lock};

/// READ COMMITTED, whatever the role's default: the fences are read after their locks were
/// granted, and a transaction's snapshot must not be older than that.
pub(super) fn begin(begin: &Begin) -> String {
    let (left, idle) = (begin.left.as_millis().max(1), begin.idle.as_millis().max(1));
    let mut sql = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {left}; \
         SET LOCAL lock_timeout = {left}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle}; \
         SELECT set_config('synchronous_commit', 'on', true) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    );
    for lock in &begin.locks {
        let _ = match lock {
            Lock::Shared(key) => write!(sql, "; SELECT pg_advisory_xact_lock_shared({key})"),
            Lock::Exclusive(key) => write!(sql, "; SELECT pg_advisory_xact_lock({key})"),
        };
    }
    if begin.immediate {
        // No timeout of the server bounds what is deferred to the COMMIT; as a part of its
        // statement it is bounded, and rows that are read back show what it did.
        sql.push_str("; SET CONSTRAINTS ALL IMMEDIATE");
    }
    sql
}

/// Begins a read on a connection whose statements may have no limit.
pub(super) fn begin_read(max: Duration) -> String {
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", limit(max, true))
}

/// Limits how long a statement may run, unless it is limited, in the transaction or in the session.
pub(in crate::store::sql) fn limit(max: Duration, local: bool) -> String {
    let max = max.as_millis();
    format!(
        "SELECT set_config('statement_timeout', '{max}', {local}) \
         WHERE current_setting('statement_timeout') = '0'"
    )
}
