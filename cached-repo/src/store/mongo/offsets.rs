//! What is kept for each partition of a journal: its epoch, its position, and fences over them.

use mongodb::bson::{Document, doc};

use super::{
    FENCES, Fault, MongoStore, OFFSETS, Session, StoreError,
    ledger::{number, of},
    write::{by_key, partition_key},
};
use crate::{
    clock::Random,
    store::{Fence, Journaled, Offset},
};

impl MongoStore {
    pub(super) async fn offset(
        &self,
        entity: &str,
        partition: u32,
    ) -> Result<Option<Offset>, StoreError> {
        let found = self.find_one(OFFSETS, by_key(partition_key(entity, partition))).await?;
        Ok(found.as_ref().map(offset))
    }

    /// Two steps. From the first on no transaction passes its fence or moves the position in an earlier
    /// epoch; the second waits for those that passed before: each holds one of the partition's slots.
    pub(super) async fn recover(
        &self,
        entity: &str,
        partition: u32,
        (journal, home): (&str, &str),
        (seen, epoch_min): (u64, u64),
    ) -> Result<Option<Offset>, StoreError> {
        let key = partition_key(entity, partition);
        let least = number(epoch_min.saturating_add(1));
        let made = doc! {
            "epoch": &least, "settled": 0_i64, "journal": journal, "last_id": 0_i64, "home": home,
            "sealed": false, "applied": 0_i64, "coalesced": 0_i64, "dead_lettered": 0_i64,
        };
        let insert = doc! { "$setOnInsert": made.clone() };
        let before = self.upsert(OFFSETS, by_key(key.clone()), insert).await?;
        let after = match before {
            None => Some(made),
            Some(before) if of(&before, "epoch") != seen => None,
            Some(before) => {
                let raised = of(&before, "epoch").max(epoch_min).saturating_add(1);
                let mut query = by_key(key);
                query.insert("epoch", number(seen));
                let update = doc! {
                    "$set": { "epoch": number(raised), "home": home, "sealed": false },
                    "$currentDate": { "updated_at": true },
                };
                self.find_and_update(OFFSETS, query, update).await?
            }
        };
        // Also where somebody else raised it: whoever did may wait still, or have died before it had waited.
        self.take_slots(entity, partition).await?;
        Ok(after.as_ref().map(offset))
    }

    /// A write outside of a transaction waits for the transaction that has written the document.
    async fn take_slots(&self, entity: &str, partition: u32) -> Result<(), StoreError> {
        let taken = |slot| take(entity, partition, slot, "recoveries");
        let updates: Vec<_> = (0..SLOTS).map(taken).collect();
        self.command(doc! { "update": FENCES, "updates": updates }, "wait for writers").await
    }

    pub(super) async fn settle(
        &self,
        entity: &str,
        partition: u32,
        epoch: u64,
    ) -> Result<bool, StoreError> {
        let mut query = by_key(partition_key(entity, partition));
        let epoch = number(epoch);
        query.extend(doc! { "epoch": &epoch, "settled": { "$ne": &epoch } });
        self.change(OFFSETS, query, doc! { "settled": epoch }).await
    }

    pub(super) async fn seal(
        &self,
        entity: &str,
        partition: u32,
        epoch: u64,
        last_id: u64,
    ) -> Result<bool, StoreError> {
        let mut query = by_key(partition_key(entity, partition));
        let epoch = number(epoch);
        query.extend(doc! { "epoch": &epoch, "settled": epoch, "last_id": number(last_id) });
        self.change(OFFSETS, query, doc! { "sealed": true }).await
    }
}

/// Keeps the epochs of these partitions from being raised until the transaction ends, and checks
/// them. Whether one of them has an offset.
///
/// Readers block nobody in MongoDB, so a fence is a write: to one of several documents, so that writers
/// of one partition seldom meet. It is the first step of the transaction: what it reads then is not
/// older than the slot.
pub(super) async fn hold(
    session: &mut Session,
    fences: &[Fence],
    random: &Random,
) -> Result<bool, Fault> {
    if fences.is_empty() {
        return Ok(false);
    }
    let slot = random.below(SLOTS);
    let mut keys: Vec<_> = fences.iter().map(|f| (f.entity.as_str(), f.partition)).collect();
    keys.sort_unstable();
    keys.dedup();
    let updates: Vec<_> =
        keys.iter().map(|(entity, partition)| take(entity, *partition, slot, "writes")).collect();
    session.run(doc! { "update": FENCES, "updates": updates }, "hold a fence").await?;
    let keys: Vec<_> =
        keys.iter().map(|(entity, partition)| partition_key(entity, *partition)).collect();
    let filter = doc! { "_id": { "$in": keys } };
    let found = session.find(OFFSETS, (filter, doc! {}), "read epochs").await?;
    fences.iter().try_for_each(|fence| check(fence, &found))?;
    Ok(!found.is_empty())
}

/// Checks a fence by the offsets that were found.
pub(super) fn check(fence: &Fence, found: &[Document]) -> Result<(), StoreError> {
    let key = partition_key(&fence.entity, fence.partition);
    let found = found.iter().find(|found| found.get_document("_id").is_ok_and(|id| *id == key));
    fence.check(found.map(offset).as_ref())
}

/// Moves a journal's position if it is where it is expected, and counts: so many changes of the
/// batch are written, so many records become dead letters.
pub(super) async fn advance(
    session: &mut Session,
    journaled: &Journaled<'_>,
    counts: (usize, usize),
) -> Result<(), Fault> {
    let change = advancing(journaled, counts);
    match session.find_and_modify(OFFSETS, change, "move a position").await? {
        Some(_) => Ok(()),
        None => Err(journaled.position.refused().into()),
    }
}

/// The change that moves a position from where it is expected.
pub(super) fn advancing(
    journaled: &Journaled<'_>,
    (applied, dead_lettered): (usize, usize),
) -> (Document, Document) {
    let position = &journaled.position;
    let mut query = by_key(partition_key(position.entity, position.partition));
    let epoch = number(position.epoch);
    query.extend(doc! {
        "journal": position.journal, "epoch": &epoch, "settled": epoch,
        "last_id": number(position.from), "sealed": false,
    });
    let update = doc! {
        "$set": { "last_id": number(position.to) },
        "$inc": {
            "applied": number(applied as u64),
            "coalesced": number(journaled.coalesced),
            "dead_lettered": number(dead_lettered as u64),
        },
        "$currentDate": { "updated_at": true },
    };
    (query, update)
}

fn take(entity: &str, partition: u32, slot: u32, counted: &str) -> Document {
    let mut key = partition_key(entity, partition);
    key.insert("slot", i64::from(slot));
    doc! { "q": by_key(key), "u": { "$inc": { counted: 1_i64 } }, "upsert": true }
}

fn offset(document: &Document) -> Offset {
    let text = |field| document.get_str(field).unwrap_or_default().to_owned();
    Offset {
        epoch: of(document, "epoch"),
        settled: of(document, "settled"),
        journal: text("journal"),
        last_id: of(document, "last_id"),
        home: text("home"),
        sealed: document.get_bool("sealed").unwrap_or_default(),
        applied: of(document, "applied"),
        coalesced: of(document, "coalesced"),
        dead_lettered: of(document, "dead_lettered"),
    }
}

/// Two writers of one partition meet in one of so many cases; a recovery writes all of them.
const SLOTS: u32 = 16;
