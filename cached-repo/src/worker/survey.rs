//! Surveying an entity: marks what `redis_only` kept before its changes were marked, page by page.
//!
//! How far it is stands in Redis, so whoever comes next goes on. A server that was restarted or replaced is
//! surveyed anew: it may lack what the first one had, and a cursor means nothing to it.

use std::time::Duration;

use tokio::time::sleep;

use super::{copy::COPY_HOLD, drained::drained};
use crate::{
    backend::{
        CacheError, Side,
        snapshot::{Mark, Survey, Turn, Turned},
    },
    cache::Entries,
    change::EntityId,
    error::{Error, ErrorKind, Result},
    failpoint::{self, Point},
    journal::{Copying, exported},
    key::{self, KeyedId, Slot},
};

/// Keys of a page, about so many.
const PAGE: usize = 500;
/// So many pages, and what they marked is copied.
const PAGES_MAX: usize = 20;

/// How a part of a survey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surveyed {
    /// Everything is marked.
    All,
    /// There is more.
    More,
    /// Another process is at it.
    Taken,
}

/// Goes on with the survey for some pages.
pub(super) async fn survey(copying: &Copying, token: &str, skips_stored: bool) -> Result<Surveyed> {
    let surveyed = go_on(copying, token, skips_stored).await;
    if surveyed.is_err() {
        // So that nobody waits for it; if that fails as well it ends by itself.
        let entries = &copying.journal.entries;
        drop(entries.backend.survey(&entries.keys, token, Duration::ZERO, None).await);
    }
    surveyed
}

async fn go_on(copying: &Copying, token: &str, skips_stored: bool) -> Result<Surveyed> {
    let mut progress = None;
    for _ in 0..PAGES_MAX {
        let cursor = match tell(copying, token, progress).await? {
            None => return Ok(Surveyed::Taken),
            Some(Survey::Done) => return Ok(Surveyed::All),
            Some(Survey::At(cursor)) => cursor,
        };
        if cursor == 0 {
            take_over(copying, token, skips_stored).await?;
        }
        let entries = &copying.journal.entries;
        let scanned = entries.backend.scan(&entries.keys, cursor, PAGE).await;
        let (next, found) = scanned.map_err(CacheError::into_error)?;
        mark(copying, found).await?;
        let reached = failpoint::reach(Point::RecordsRead, copying.ledger()).await;
        reached.map_err(|why| Error::new(ErrorKind::CacheUnavailable, why))?;
        progress = Some(if next == 0 { Survey::Done } else { Survey::At(next) });
    }
    Ok(match tell(copying, token, progress).await? {
        None => Surveyed::Taken,
        Some(Survey::Done) => Surveyed::All,
        Some(Survey::At(_)) => Surveyed::More,
    })
}

async fn tell(copying: &Copying, token: &str, progress: Option<Survey>) -> Result<Option<Survey>> {
    let entries = &copying.journal.entries;
    let told = entries.backend.survey(&entries.keys, token, COPY_HOLD, progress).await;
    told.map_err(CacheError::into_error)
}

/// Has everything be marked once more, by whoever surveys next.
pub(super) async fn survey_anew(copying: &Copying, token: &str) -> Result<()> {
    let entries = &copying.journal.entries;
    let begin = Some(Survey::At(0));
    loop {
        let told = entries.backend.survey(&entries.keys, token, Duration::ZERO, begin).await;
        if told.map_err(CacheError::into_error)?.is_some() {
            return Ok(());
        }
        sleep(TAKEN_WAIT).await;
    }
}

/// Has `redis_only` keep every partition: from then on others write nothing, and changes are marked. What
/// others have journaled or begun before is at its end when this returns.
async fn take_over(copying: &Copying, token: &str, skips_stored: bool) -> Result<()> {
    for partition in copying.journal.partitions() {
        if skips_stored && copying.standing(partition).await?.side.is_exported() {
            continue;
        }
        if copying.older(partition).await?.is_some() {
            return Err(copying.why_sealed(partition).await);
        }
        // If it is sealed in a higher one some day, it was exported since.
        let epoch = Some(copying.epoch(partition).await?);
        let turn = Turn { token, from: &[Side::Open], behind: None, to: Side::Kept, epoch };
        match copying.turn(partition, turn).await? {
            Turned::From(_) => {}
            Turned::Is(at) => match at.side {
                Side::Open | Side::Kept | Side::Exporting => {}
                Side::Leaving | Side::Stored => return Err(exported()),
                Side::Importing => return Err(importing()),
            },
        }
        drained(&copying.journal, partition, token).await?;
        copying.fence(partition).await?;
        // The claim lives on.
        tell(copying, token, Some(Survey::At(0))).await?;
    }
    Ok(())
}

async fn mark(copying: &Copying, found: Vec<String>) -> Result<()> {
    let entries = &copying.journal.entries;
    let slots = slots_of(entries, found).await?;
    for group in slots.chunk_by(|(one, _), (other, _)| one.partition == other.partition) {
        let marks: Vec<_> = group.iter().map(|(slot, id)| Mark { slot, id: id.text() }).collect();
        let marked = entries.backend.mark(&entries.keys, &marks).await;
        marked.map_err(CacheError::into_error)?;
    }
    Ok(())
}

/// The ids of these entries, by partition.
pub(super) async fn slots_of(
    entries: &Entries,
    found: Vec<String>,
) -> Result<Vec<(Slot, EntityId)>> {
    let kinds: Vec<_> = entries.schema.id_columns().map(|(_, column)| column.kind()).collect();
    let mut ids: Vec<EntityId> = Vec::with_capacity(found.len());
    for key in found {
        match entries.keys.id_text(&key) {
            // What spells no id is not ours.
            Some(KeyedId::Text(text)) => ids.extend(key::parse_id(&kinds, text)),
            Some(KeyedId::Hashed) => {
                ids.extend(entries.id_in(key).await.map_err(CacheError::into_error)?);
            }
            None => {}
        }
    }
    let mut slots: Vec<_> = ids.into_iter().map(|id| (entries.keys.slot(&id), id)).collect();
    slots.sort_by_key(|(slot, _)| slot.partition);
    Ok(slots)
}

/// Why nothing is copied or moved now.
pub(super) fn importing() -> Error {
    Error::new(
        ErrorKind::Fenced,
        "an import of this entity is under way, or was cut off: call `Repository::import`, which goes on",
    )
}

/// How long another process is waited for that is at it.
pub(super) const TAKEN_WAIT: Duration = Duration::from_millis(50);
