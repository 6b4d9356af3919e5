//! Moving an entity between `redis_only` and the strategies with a store, by a copy that loses nothing.
//!
//! While a partition moves nobody may write to it: whoever tries is refused. Each step may be the last one
//! of a process that dies; the same call goes on, and the other one is refused until it has.

use tokio::time::sleep;

use super::{
    Snapshot,
    copy::Copier,
    drained::drained,
    snapshot::{Ask, copy_all},
    survey::{TAKEN_WAIT, importing, slots_of},
};
use crate::{
    backend::{CacheError, Side, snapshot::Turned},
    cache::Unput,
    change::EntityId,
    codec::Body,
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::Copying,
    store::{Query, StoreError},
};

/// Rows of a page.
const PAGE: u32 = 200;
/// Keys of a page, about so many.
const KEYS: usize = 500;

/// Makes every row an entity that `redis_only` keeps. Answers how many rows there were; none where
/// `redis_only` keeps the entity already.
pub(crate) async fn import(copying: &Copying) -> Result<u64> {
    let mut stored = Vec::new();
    for partition in copying.journal.partitions() {
        match copying.side(partition).await? {
            // Before anything is turned: an export that was cut off goes on first.
            Side::Exporting => return Err(exporting()),
            Side::Stored => stored.push(partition),
            _ => {}
        }
    }
    // What an export left behind is older than the rows.
    release(copying, &stored).await?;
    let partitions = take(copying).await?;
    if partitions.is_empty() {
        return Ok(0);
    }
    let token = copying.journal.entries.random.token();
    for &partition in &partitions {
        drained(&copying.journal, partition, &token).await?;
        copying.fence(partition).await?;
        copying.raise(partition).await?;
    }
    let rows = keep_rows(copying, &partitions).await?;
    for &partition in &partitions {
        reach(copying, Point::Acknowledged).await?;
        copying.turn(partition, &[Side::Importing], Side::Kept).await?;
    }
    Ok(rows)
}

/// Turns the partitions over that are to be imported; all of them, or none.
async fn take(copying: &Copying) -> Result<Vec<u32>> {
    let mut taken: Vec<(u32, Side)> = Vec::new();
    for partition in copying.journal.partitions() {
        let from = [Side::Open, Side::Stored];
        match copying.turn(partition, &from, Side::Importing).await? {
            Turned::From(side) => taken.push((partition, side)),
            Turned::Is(Side::Kept) => {}
            Turned::Is(_) => {
                // An export began meanwhile, and could not go on.
                for (partition, side) in taken {
                    copying.turn(partition, &[Side::Importing], side).await?;
                }
                return Err(exporting());
            }
        }
    }
    Ok(taken.into_iter().map(|(partition, _)| partition).collect())
}

/// Writes the rows of these partitions as the only copies, page by page.
async fn keep_rows(copying: &Copying, partitions: &[u32]) -> Result<u64> {
    let entries = &copying.journal.entries;
    let (mut after, mut count) = (None, 0);
    loop {
        let page = Query::Scan { after: after.as_ref(), limit: PAGE };
        let rows = copying.journal.store.load(&entries.schema, page).await;
        let rows = rows.map_err(StoreError::into_error)?;
        let is_last = rows.len() < PAGE as usize;
        let mut kept: Vec<(EntityId, Option<Body>)> = Vec::with_capacity(rows.len());
        for row in rows {
            let id = entries.id_of(&row).ok_or_else(|| {
                Error::new(ErrorKind::Undecodable, "the store has a row whose id cannot be one")
            })?;
            if partitions.contains(&entries.keys.slot(&id).partition) {
                let body = entries.codec.encode(&row).map_err(|cause| {
                    let message = "the row has no encoding in this format";
                    Error::new(ErrorKind::Undecodable, message).of(&id).caused_by(cause)
                })?;
                kept.push((id.clone(), Some(body)));
            }
            after = Some(id);
        }
        reach(copying, Point::RecordsRead).await?;
        for written in entries.keep(&kept).await.map_err(CacheError::into_error)? {
            match written {
                Ok(_) => count += 1,
                // Another process imports it as well, and was faster.
                Err(Unput::Elsewhere(Side::Kept)) => {}
                Err(_) => return Err(exporting()),
            }
        }
        if is_last {
            return Ok(count);
        }
    }
}

/// Moves everything that `redis_only` keeps to the store.
pub(crate) async fn export(copying: &Copying) -> Result<Snapshot> {
    let (mut partitions, mut sealed, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for partition in copying.journal.partitions() {
        match copying.side(partition).await? {
            Side::Stored => stored.push(partition),
            Side::Importing => return Err(importing()),
            // It was cut off here, or Redis came back in a state from before: the store has newer rows.
            from if copying.is_sealed(partition).await? => {
                copying.turn(partition, &[from], Side::Exporting).await?;
                sealed.push(partition);
            }
            _ => partitions.push(partition),
        }
    }
    let mut summary = Snapshot::default();
    if !partitions.is_empty() {
        // Most of it while others go on writing.
        let ask = Ask { retries: true, waits: true, skips_stored: true };
        summary = copy_all(copying, ask).await?;
        check(&summary)?;
    }
    for partition in partitions {
        if export_partition(copying, partition, &mut summary).await? {
            sealed.push(partition);
        }
    }
    // First the entries go, then others may write: a Redis that falls behind has none then that the store
    // has a newer row of.
    release(copying, &[&sealed[..], &stored[..]].concat()).await?;
    for partition in sealed {
        let from = [Side::Exporting];
        let Turned::From(_) = copying.turn(partition, &from, Side::Stored).await? else {
            return Err(importing());
        };
    }
    Ok(summary)
}

/// Copies the rest of a partition, to which nobody writes from then on; false where another process did.
async fn export_partition(
    copying: &Copying,
    partition: u32,
    summary: &mut Snapshot,
) -> Result<bool> {
    match copying.turn(partition, &[Side::Kept], Side::Exporting).await? {
        Turned::From(_) => {}
        // Another process exports it as well, and was faster.
        Turned::Is(Side::Stored) => return Ok(false),
        Turned::Is(_) => return Err(importing()),
    }
    reach(copying, Point::Claimed).await?;
    copying.raise(partition).await?;
    let epoch = copying.position(partition).await?.epoch;
    if let Err(error) = copy_rest(copying, partition, summary).await {
        // It goes on as before, unless another export took it over since: that may remove entries. An
        // earlier one cannot end any more.
        if copying.raise_above(partition, epoch).await.is_ok_and(|raised| raised) {
            drop(copying.turn(partition, &[Side::Exporting], Side::Kept).await);
        }
        return Err(error);
    }
    reach(copying, Point::Committed).await?;
    copying.seal(partition, epoch).await?;
    reach(copying, Point::Acknowledged).await?;
    Ok(true)
}

/// Copies what changed up to the moment from which on nobody writes.
async fn copy_rest(copying: &Copying, partition: u32, summary: &mut Snapshot) -> Result<()> {
    let token = copying.journal.entries.random.token();
    let copier = Copier::new(copying, partition, &token);
    while copier.run(true, summary).await?.is_none() {
        sleep(TAKEN_WAIT).await;
    }
    check(summary)
}

fn check(summary: &Snapshot) -> Result<()> {
    let Snapshot { refused, postponed, .. } = summary;
    if summary.is_complete() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "the store does not take all entities ({refused} are refused, {postponed} refer to rows that \
             are not there), so `redis_only` keeps them: the events `CopyRefused` say which. Mend them, \
             and call `export` again"
        ),
    ))
}

/// Removes what `redis_only` left behind in these partitions, which are exported.
async fn release(copying: &Copying, partitions: &[u32]) -> Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let entries = &copying.journal.entries;
    let mut cursor = 0;
    loop {
        let scanned = entries.backend.scan(&entries.keys, cursor, KEYS).await;
        let (next, found) = scanned.map_err(CacheError::into_error)?;
        let slots = slots_of(entries, found).await?;
        for group in slots.chunk_by(|(one, _), (other, _)| one.partition == other.partition) {
            let partition = group[0].0.partition;
            if !partitions.contains(&partition) {
                continue;
            }
            let keys: Vec<String> = group.iter().map(|(slot, _)| slot.entry.clone()).collect();
            let freed = entries.backend.free(&entries.keys, partition, &keys).await;
            freed.map_err(CacheError::into_error)?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

async fn reach(copying: &Copying, point: Point) -> Result<()> {
    let reached = failpoint::reach(point, copying.ledger()).await;
    reached.map_err(|why| Error::new(ErrorKind::StoreUnavailable, why))
}

fn exporting() -> Error {
    Error::new(
        ErrorKind::Fenced,
        "an export of this entity is under way, or was cut off: call `Repository::export`, which goes on",
    )
}
