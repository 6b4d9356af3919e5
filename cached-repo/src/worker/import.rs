//! Importing an entity: every row becomes an entity that `redis_only` keeps.

use super::{
    drained::drained,
    moving::{Halt, Mover, Tries, moved, standings},
};
use crate::{
    backend::{Side, Standing},
    cache::Unput,
    change::EntityId,
    codec::Body,
    error::{Error, ErrorKind, Result},
    failpoint::Point,
    journal::{Copying, Older, fell_back},
    store::{Query, Row, RowError, StoreError},
};

/// Rows of a page.
const PAGE: u32 = 200;

/// Imports an entity. Answers how many rows there were; none where `redis_only` keeps the entity already.
pub(crate) async fn import(copying: &Copying) -> Result<u64> {
    let mut tries = Tries::default();
    loop {
        // Before another mover is waited for.
        let found = standings(copying).await?;
        check(&found)?;
        let is_back = |(_, at): &(_, Standing)| matches!(at.side, Side::Open | Side::Stored);
        if tries.was_overtaken && found.iter().all(is_back) && tries.finds_others(&found) {
            return Err(moved());
        }
        if is_kept(copying, &found).await? {
            return Ok(0);
        }
        // Before anything is turned over: afterwards nobody could use the entity until it is mended.
        all_can_be_read(copying).await?;
        tries.know(&found);
        let Some(mover) = Mover::begin(copying).await? else { continue };
        tries.know_mover(&mover);
        let imported = try_once(&mover).await;
        if let Some(imported) = mover.end(imported).await {
            return imported;
        }
        tries.was_overtaken = true;
    }
}

/// Before anything is turned over: an export that was cut off goes on first.
fn check(standings: &[(u32, Standing)]) -> Result<()> {
    let is_leaving = |(_, at): &(_, Standing)| matches!(at.side, Side::Exporting | Side::Leaving);
    if standings.iter().any(is_leaving) { Err(exporting()) } else { Ok(()) }
}

/// Whether `redis_only` keeps all of these, and the store knows.
async fn is_kept(copying: &Copying, found: &[(u32, Standing)]) -> Result<bool> {
    if found.iter().any(|(_, at)| at.side != Side::Kept) {
        return Ok(false);
    }
    for &(partition, _) in found {
        match copying.older(partition).await? {
            None => {}
            Some(Older::Redis) => return Err(fell_back()),
            Some(Older::Store { .. }) => return Ok(false),
        }
    }
    Ok(true)
}

async fn try_once(mover: &Mover<'_>) -> Result<u64, Halt> {
    let copying = mover.copying;
    let found = standings(copying).await?;
    check(&found)?;
    mover.reach(Point::SidesSeen).await?;
    let kept: Vec<_> = found.iter().filter(|(_, at)| at.side == Side::Kept).cloned().collect();
    mover.reopen(&kept).await?;
    // What an export left behind is older than the rows.
    let stored = found.iter().filter(|(_, at)| at.side == Side::Stored);
    let stored: Vec<_> = stored.map(|(p, at)| (*p, at.turned_by.clone())).collect();
    mover.free(&stored).await?;
    let partitions = take(mover, found).await?;
    if partitions.is_empty() {
        return Ok(0);
    }
    mover.reach(Point::SidesTurned).await?;
    let mut epochs = Vec::with_capacity(partitions.len());
    for &partition in &partitions {
        mover.renew().await;
        drained(&copying.journal, partition, &mover.token).await?;
        copying.fence(partition).await?;
        mover.reach(Point::JournalFenced).await?;
        epochs.push((partition, mover.raise(partition, Side::Importing).await?.epoch));
    }
    let rows = keep_rows(mover, &partitions).await?;
    for (partition, epoch) in epochs {
        mover.reach(Point::MoveDone).await?;
        if !mover.keep(partition, epoch).await? {
            return Err(Halt::Overtaken);
        }
    }
    Ok(rows)
}

/// Finds a row that cannot be read as an entity.
async fn all_can_be_read(copying: &Copying) -> Result<()> {
    let mut after = None;
    loop {
        let rows = page(copying, after.as_ref()).await?;
        let is_last = rows.len() < PAGE as usize;
        for (id, _) in rows {
            after = Some(id);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Rows of the store behind this id, as entries hold them.
async fn page(copying: &Copying, after: Option<&EntityId>) -> Result<Vec<(EntityId, Body)>> {
    let entries = &copying.journal.entries;
    let query = Query::Scan { after, limit: PAGE };
    let rows = copying.journal.store.load(&entries.schema, query).await;
    let entry = |row: Row| {
        let row = row.map_err(RowError::into_error)?;
        let id = entries.id_of(&row).ok_or_else(|| {
            Error::new(ErrorKind::Undecodable, "the store has a row whose id cannot be one")
        })?;
        let body = entries.codec.encode(&row).map_err(|cause| {
            let message = "the row has no encoding in this format";
            Error::new(ErrorKind::Undecodable, message).of(&id).caused_by(cause)
        })?;
        Ok((id, body))
    };
    rows.map_err(StoreError::into_error)?.into_iter().map(entry).collect()
}

/// Turns the partitions over that are to be imported; all of them, or none.
async fn take(mover: &Mover<'_>, found: Vec<(u32, Standing)>) -> Result<Vec<u32>, Halt> {
    let mut taken: Vec<(u32, Side)> = Vec::new();
    for (partition, at) in found {
        if at.side == Side::Kept {
            continue;
        }
        if !mover.take(partition, &at, Side::Importing).await? {
            // Whatever it is that another process began, it could not go on.
            for (partition, side) in taken {
                mover.pass(partition, Side::Importing, side).await?;
            }
            return Err(Halt::Overtaken);
        }
        taken.push((partition, at.side));
    }
    Ok(taken.into_iter().map(|(partition, _)| partition).collect())
}

/// Writes the rows of these partitions as the only copies, page by page.
async fn keep_rows(mover: &Mover<'_>, partitions: &[u32]) -> Result<u64, Halt> {
    let entries = &mover.copying.journal.entries;
    let (mut after, mut count) = (None, 0);
    loop {
        mover.renew().await;
        let rows = page(mover.copying, after.as_ref()).await?;
        let is_last = rows.len() < PAGE as usize;
        let mut kept: Vec<(EntityId, Option<Body>)> = Vec::with_capacity(rows.len());
        for (id, body) in rows {
            if partitions.contains(&entries.keys.slot(&id).partition) {
                kept.push((id.clone(), Some(body)));
            }
            after = Some(id);
        }
        mover.reach(Point::RowsRead).await?;
        for written in entries.keep(&kept, &mover.token).await? {
            match written {
                Ok(_) => count += 1,
                Err(Unput::Dirty(_) | Unput::Elsewhere(_)) => return Err(Halt::Overtaken),
            }
        }
        if is_last {
            return Ok(count);
        }
    }
}

fn exporting() -> Error {
    Error::new(
        ErrorKind::Fenced,
        "an export of this entity is under way, or was cut off: call `Repository::export`, which goes on",
    )
}
