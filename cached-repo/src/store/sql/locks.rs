//! Locks on numbers, for databases without any: each is a row, which is made when it is first wanted.

use super::{Dialect, Lock, Session, StoreError};
use crate::record::Value;

/// Waits for locks and holds them until the end of the transaction.
pub(super) async fn take<D: Dialect>(
    session: &mut Session<D>,
    locks: &[Lock],
) -> Result<(), StoreError> {
    let mut numbers: Vec<_> = locks.iter().map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let shared = locks.iter().all(|lock| matches!(lock, Lock::Shared(_)));
    let places = vec!["?"; numbers.len()].join(", ");
    // In their order, so that two who want several do not wait for each other.
    let held = format!(
        "SELECT number FROM {LOCKS} WHERE number IN ({places}) ORDER BY number {}",
        if shared { "LOCK IN SHARE MODE" } else { "FOR UPDATE" }
    );
    let values: Vec<_> = numbers.iter().copied().map(Value::I64).collect();
    if session.run_text(&held, &values, "lock a partition").await?.len() == numbers.len() {
        return Ok(());
    }
    let places = vec!["(?)"; numbers.len()].join(", ");
    // Who is second takes the lock that it wants at once: two who both held it shared and wanted more
    // would wait for each other.
    let make = match shared {
        true => format!("INSERT IGNORE INTO {LOCKS} (number) VALUES {places}"),
        false => format!(
            "INSERT INTO {LOCKS} (number) VALUES {places} ON DUPLICATE KEY UPDATE number = number"
        ),
    };
    session.run_text(&make, &values, "make the lock of a partition").await?;
    match session.run_text(&held, &values, "lock a partition").await?.len() == numbers.len() {
        true => Ok(()),
        false => Err(StoreError::systemic(format!("{LOCKS} does not keep the rows it is given"))),
    }
}

fn number(lock: &Lock) -> i64 {
    match *lock {
        Lock::Shared(number) | Lock::Exclusive(number) => number,
    }
}

/// Their table.
pub(super) const LOCKS: &str = "cached_repo_locks";
