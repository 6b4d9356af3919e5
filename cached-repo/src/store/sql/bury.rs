//! Finds the changes that a database refuses, and writes all others.

use std::collections::BTreeMap;

use super::{
    Dialect, Session, StoreError, classify,
    write::{Write, write_rows},
};
use crate::store::Class;

/// Writes changes in this order, but for those that are refused, and says why those are: of two that
/// exclude each other it is the later one.
pub(super) async fn write_most<D: Dialect>(
    session: &mut Session<D>,
    write: &Write<'_>,
    order: &[usize],
    references: bool,
) -> Result<BTreeMap<usize, String>, StoreError> {
    undoable(session, MARK).await?;
    let mut refused = BTreeMap::new();
    let mut written = Vec::new();
    // The whole was refused before this was called.
    let mut parts: Vec<&[usize]> = order.chunks(order.len().div_ceil(2).max(1)).rev().collect();
    while let Some(part) = parts.pop() {
        match (try_write(session, write, &mut written, part).await?, part) {
            (None, _) => {}
            (Some(error), [index]) => drop(refused.insert(*index, error)),
            (Some(_), part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    // A change that was refused may only have come too early: what was written since has moved away
    // from its unique value, or is the row that it refers to.
    let mut is_written = !written.is_empty();
    while is_written {
        is_written = false;
        for index in order {
            let one = std::slice::from_ref(index);
            if refused.contains_key(index)
                && try_write(session, write, &mut written, one).await?.is_none()
            {
                refused.remove(index);
                is_written = true;
            }
        }
    }
    told(refused, references)
}

/// Why changes were refused. Fails where one refers to a row that may still come.
fn told(
    refused: BTreeMap<usize, StoreError>,
    references: bool,
) -> Result<BTreeMap<usize, String>, StoreError> {
    let mut reasons = BTreeMap::new();
    for (index, error) in refused {
        if error.class() == Class::Reference && !references {
            return Err(error);
        }
        reasons.insert(index, error.to_string());
    }
    Ok(reasons)
}

/// Writes all of these changes behind those that are written, or none and says why they were refused.
async fn try_write<'o, D: Dialect>(
    session: &mut Session<D>,
    write: &Write<'_>,
    written: &mut Vec<&'o [usize]>,
    part: &'o [usize],
) -> Result<Option<StoreError>, StoreError> {
    match write_rows(session, write.table, write.batch.changes, part).await {
        Ok(()) => {
            undoable(session, MARK_AGAIN).await?;
            written.push(part);
            Ok(None)
        }
        Err(error) if error.class().is_refusal() => {
            if let Err(undo) = undoable(session, UNDO).await {
                if !session.is_over().await {
                    return Err(undo);
                }
                write_again(session, write, written).await?;
            }
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

/// On SQLite a trigger or a constraint may roll the whole transaction back.
async fn write_again<D: Dialect>(
    session: &mut Session<D>,
    write: &Write<'_>,
    written: &[&[usize]],
) -> Result<(), StoreError> {
    write.begin_again(session).await?;
    for part in written {
        write_rows(session, write.table, write.batch.changes, part).await?;
    }
    undoable(session, MARK).await
}

async fn undoable<D: Dialect>(session: &mut Session<D>, sql: &str) -> Result<(), StoreError> {
    session.script(sql.to_owned()).await.map_err(|e| classify::<D>(e, "undo a part of a write"))
}

/// There is one savepoint, behind everything that was written.
const MARK: &str = "SAVEPOINT cached_repo";
const MARK_AGAIN: &str = "RELEASE SAVEPOINT cached_repo; SAVEPOINT cached_repo";
const UNDO: &str = "ROLLBACK TO SAVEPOINT cached_repo";
