//! How a transaction begins and ends so that it takes effect before its deadline or never.

use std::time::Duration;

use crate::store::sql::Begin;

/// READ COMMITTED, whatever the session's default: the fences are read after their locks were granted,
/// and a transaction's snapshot must not be older than that. Values that do not fit are errors. What is
/// set for the transaction is what it was when it has ended: the pool may be the user's own.
///
/// The comments are for MariaDB alone, which ends statements that take too long and transactions whose
/// user is gone. MySQL waits for locks no longer than that, and lets the connection of a user who is gone
/// time out.
pub(super) fn begin(begin: &Begin) -> String {
    let left = begin.left.max(Duration::from_millis(1));
    let seconds = left.as_secs_f64().ceil();
    format!(
        "SET @cached_repo_lock = COALESCE(@cached_repo_lock, @@innodb_lock_wait_timeout), \
         @cached_repo_table = COALESCE(@cached_repo_table, @@lock_wait_timeout), \
         @cached_repo_mode = COALESCE(@cached_repo_mode, @@sql_mode) \
         /*M! , @cached_repo_run = COALESCE(@cached_repo_run, @@max_statement_time), \
         @cached_repo_idle = COALESCE(@cached_repo_idle, @@idle_transaction_timeout) */; \
         SET SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}, \
         SESSION sql_mode = '{MODE}' \
         /*M! , SESSION max_statement_time = {left}, \
         SESSION idle_transaction_timeout = {seconds} + 1 */; \
         SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION READ WRITE; \
         SET @cached_repo_begun = UNIX_TIMESTAMP(SYSDATE(6))",
        left = left.as_secs_f64(),
    )
}

/// MySQL knows the hint, and MariaDB the statement in the comment, which also bounds how long it is
/// waited for a table when the statement is prepared.
pub(super) fn limited(sql: &str, max: Duration) -> String {
    let seconds = max.as_secs().max(1);
    let head = format!(
        "/*M! SET STATEMENT max_statement_time = {seconds}, lock_wait_timeout = {seconds} FOR */ "
    );
    match sql.strip_prefix("SELECT ") {
        Some(rest) => {
            format!("{head}SELECT /*+ MAX_EXECUTION_TIME({}) */ {rest}", seconds * 1000)
        }
        None => head + sql,
    }
}

/// The server looks at its own clock when the message has arrived, however long it was on its way. If it
/// is too late, the first statement is an error and those behind it are not run.
pub(super) fn commit(within: Duration) -> String {
    let within = within.as_secs_f64();
    format!(
        "SET @cached_repo_begun = (SELECT 1 UNION SELECT IF(\
         UNIX_TIMESTAMP(SYSDATE(6)) - @cached_repo_begun <= {within:.6}, 1, 2)); \
         {SET_BACK}; COMMIT AND NO CHAIN NO RELEASE"
    )
}

/// Sets back what was saved, and forgets it: what is saved and not set back is never saved again. A
/// session that has saved nothing keeps what it has. Without a value that was saved, COALESCE is a text,
/// which a setting that is a number refuses.
macro_rules! set_back {
    () => {
        "SET SESSION innodb_lock_wait_timeout = \
         CAST(COALESCE(@cached_repo_lock, @@innodb_lock_wait_timeout) AS UNSIGNED), \
         SESSION lock_wait_timeout = \
         CAST(COALESCE(@cached_repo_table, @@lock_wait_timeout) AS UNSIGNED), \
         SESSION sql_mode = COALESCE(@cached_repo_mode, @@sql_mode), \
         @cached_repo_lock = NULL, @cached_repo_table = NULL, @cached_repo_mode = NULL \
         /*M! , SESSION max_statement_time = \
         COALESCE(@cached_repo_run, @@max_statement_time) + 0e0, \
         SESSION idle_transaction_timeout = \
         CAST(COALESCE(@cached_repo_idle, @@idle_transaction_timeout) AS UNSIGNED), \
         @cached_repo_run = NULL, @cached_repo_idle = NULL */"
    };
}
const SET_BACK: &str = set_back!();
pub(super) const ROLLBACK: &str = concat!("ROLLBACK AND NO CHAIN NO RELEASE; ", set_back!());

/// A subquery with more rows than one.
pub(super) const TOO_LATE: &str = "1242";

/// `NO_AUTO_VALUE_ON_ZERO`: an id of 0 is 0, also where the column would count by itself.
const MODE: &str = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,\
    NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO";
