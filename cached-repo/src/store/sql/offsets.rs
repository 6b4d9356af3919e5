//! What is kept for each partition of a journal: its epoch, its position, and fences over them.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::{
    Dialect, Lock, Row, Session, SqlStore, StoreError,
    ledger::{bound, number, number_of, text, text_of},
    write::lock_of,
};
use crate::{
    record::Value,
    schema::Kind,
    store::{Fence, Journaled, Offset},
};

/// Entities of which dead letters wait, in whatever partition.
pub(super) type Waiting = HashSet<String>;

impl<D: Dialect> SqlStore<D> {
    pub(super) async fn offset(
        &self,
        entity: &str,
        partition: u32,
    ) -> Result<Option<Offset>, StoreError> {
        let values = [text(entity), number(partition.into())];
        let found = self.read(|| Ok(vec![bound(FIND, &values)?])).await?;
        found.first().map(offset::<D>).transpose()
    }

    pub(super) async fn recover(
        &self,
        entity: &str,
        partition: u32,
        journal: &str,
        home: &str,
        (seen, epoch_min): (u64, u64),
    ) -> Result<Option<Offset>, StoreError> {
        let (key, epoch) = ([text(entity), number(partition.into())], epoch_min.saturating_add(1));
        let [key_entity, key_partition] = key.clone();
        let raised = [text(journal), text(home), number(seen)];
        let values: Vec<_> =
            [key_entity, key_partition, number(epoch)].into_iter().chain(raised).collect();
        let fence = lock_of(&Fence::new(entity, partition, 0));
        self.transaction(vec![Lock::Exclusive(fence)], async |session| {
            let rows = match D::RETURNS {
                true => session.run_text(RECOVER, &values, "raise an epoch").await?,
                false => recover_by_steps(session, &key, &values).await?,
            };
            rows.first().map(offset::<D>).transpose()
        })
        .await
    }

    pub(super) async fn settle(
        &self,
        entity: &str,
        partition: u32,
        epoch: u64,
    ) -> Result<bool, StoreError> {
        self.change(SETTLE, &[text(entity), number(partition.into()), number(epoch)]).await
    }

    pub(super) async fn seal(
        &self,
        entity: &str,
        partition: u32,
        epoch: u64,
        last_id: u64,
    ) -> Result<bool, StoreError> {
        let values = [text(entity), number(partition.into()), number(epoch), number(last_id)];
        self.change(SEAL, &values).await
    }
}

/// [`RECOVER`] where no statement both changes rows and returns them. Whoever makes the row holds the
/// fence's lock, so that nobody else can be about to.
async fn recover_by_steps<D: Dialect>(
    session: &mut Session<D>,
    key: &[Value<'_>],
    values: &[Value<'_>],
) -> Result<Vec<Row<D>>, StoreError> {
    let (doing, find) = ("raise an epoch", format!("{FIND} FOR UPDATE"));
    // A journaled batch that commits meanwhile is waited for.
    let is_there = !session.run_text(&find, key, doing).await?.is_empty();
    let [entity, partition, epoch, journal, home, seen] = values else { return Ok(Vec::new()) };
    let recovered = if is_there {
        let values = [epoch, epoch, home, entity, partition, seen].map(Value::clone);
        session.change_text(RAISE, &values, doing).await?
    } else {
        let values = [entity, partition, epoch, journal, home].map(Value::clone);
        session.change_text(MAKE, &values, doing).await?
    };
    if recovered { session.run_text(FIND, key, doing).await } else { Ok(Vec::new()) }
}

/// Checks the fences of a transaction that holds their locks.
pub(super) async fn check<D: Dialect>(
    session: &mut Session<D>,
    fences: &[Fence],
) -> Result<Waiting, StoreError> {
    let mut waiting = Waiting::new();
    if fences.is_empty() {
        return Ok(waiting);
    }
    let wanted: Vec<_> = fences.iter().map(|fence| (&fence.entity, fence.partition)).collect();
    let sql = FENCES.replace("ELEMENTS", D::ELEMENTS);
    let rows = session.run_text(&sql, &[text(&json!(wanted).to_string())], "read epochs").await?;
    let mut offsets = HashMap::new();
    for row in &rows {
        let key = (text_of::<D>(row, 0)?, number_of::<D>(row, 1)?);
        let offset = Offset {
            epoch: number_of::<D>(row, 2)?,
            settled: number_of::<D>(row, 3)?,
            sealed: text_of::<D>(row, 4)? == SEALED,
            ..Offset::default()
        };
        offsets.insert(key, (offset, is_true::<D>(row, 5)?));
    }
    for fence in fences {
        let found = offsets.get(&(fence.entity.clone(), u64::from(fence.partition)));
        fence.check(found.map(|(offset, _)| offset))?;
        if found.is_some_and(|(_, waits)| *waits) {
            waiting.insert(fence.entity.clone());
        }
    }
    Ok(waiting)
}

/// Moves a journal's position if it is where it is expected, and counts: so many changes of the
/// batch are written, so many records become dead letters.
pub(super) async fn advance<D: Dialect>(
    session: &mut Session<D>,
    journaled: &Journaled<'_>,
    applied: usize,
    dead_lettered: usize,
) -> Result<Waiting, StoreError> {
    let position = &journaled.position;
    let (entity, partition) = (position.entity, position.partition);
    let values = [
        number(position.to),
        number(applied as u64),
        number(journaled.coalesced),
        number(dead_lettered as u64),
        text(entity),
        number(partition.into()),
        text(position.journal),
        number(position.epoch),
        number(position.from),
        text(entity),
    ];
    let moved = if D::RETURNS {
        session.run_text(ADVANCE, &values, "move a position").await?
    } else {
        let (values, entity) = values.split_at(values.len() - 1);
        match session.change_text(ADVANCE, values, "move a position").await? {
            true => session.run_text(WAITS, entity, "look for dead letters").await?,
            false => Vec::new(),
        }
    };
    let Some(row) = moved.first() else { return Err(position.refused()) };
    let waits = is_true::<D>(row, 0)?.then(|| entity.to_owned());
    Ok(waits.into_iter().collect())
}

/// Counts as dead letters what was counted as written.
pub(super) async fn recount<D: Dialect>(
    session: &mut Session<D>,
    journaled: &Journaled<'_>,
    refused: usize,
) -> Result<(), StoreError> {
    let (position, refused) = (&journaled.position, number(refused as u64));
    let of = [text(position.entity), number(position.partition.into())];
    let values: Vec<_> = [refused.clone(), refused].into_iter().chain(of).collect();
    session.run_text(RECOUNT, &values, "count dead letters").await.map(drop)
}

fn offset<D: Dialect>(row: &Row<D>) -> Result<Offset, StoreError> {
    Ok(Offset {
        epoch: number_of::<D>(row, 0)?,
        settled: number_of::<D>(row, 1)?,
        journal: text_of::<D>(row, 2)?,
        last_id: number_of::<D>(row, 3)?,
        home: text_of::<D>(row, 4)?,
        sealed: text_of::<D>(row, 5)? == SEALED,
        applied: number_of::<D>(row, 6)?,
        coalesced: number_of::<D>(row, 7)?,
        dead_lettered: number_of::<D>(row, 8)?,
    })
}

fn is_true<D: Dialect>(row: &Row<D>, index: usize) -> Result<bool, StoreError> {
    let value = D::value(row, index, Kind::Bool).map_err(StoreError::systemic)?;
    Ok(value == Value::Bool(true))
}

const SEALED: &str = "sealed";

const FIND: &str = "SELECT epoch, settled, journal_id, last_id, home, state, applied, coalesced, \
    dead_lettered FROM cached_repo_offsets WHERE entity = ? AND partition = ?";

// One statement: a journaled batch that commits meanwhile is waited for, and its position returned.
const RECOVER: &str = "INSERT INTO cached_repo_offsets AS o \
    (entity, partition, epoch, journal_id, home) VALUES (?, ?, ?, ?, ?) \
    ON CONFLICT (entity, partition) DO UPDATE SET \
    epoch = CASE WHEN o.epoch < excluded.epoch THEN excluded.epoch ELSE o.epoch + 1 END, \
    home = excluded.home, state = 'open', updated_at = CURRENT_TIMESTAMP WHERE o.epoch = ? \
    RETURNING epoch, settled, journal_id, last_id, home, state, applied, coalesced, dead_lettered";

// The same in two statements, the second for a row that is not there.
const RAISE: &str = "UPDATE cached_repo_offsets SET \
    epoch = CASE WHEN epoch < ? THEN ? ELSE epoch + 1 END, \
    home = ?, state = 'open', updated_at = CURRENT_TIMESTAMP \
    WHERE entity = ? AND partition = ? AND epoch = ?";

const MAKE: &str = "INSERT INTO cached_repo_offsets \
    (entity, partition, epoch, journal_id, home) VALUES (?, ?, ?, ?, ?)";

const SETTLE: &str = "UPDATE cached_repo_offsets \
    SET settled = epoch, updated_at = CURRENT_TIMESTAMP \
    WHERE entity = ? AND partition = ? AND epoch = ? AND settled <> epoch RETURNING 1";

const SEAL: &str = "UPDATE cached_repo_offsets \
    SET state = 'sealed', updated_at = CURRENT_TIMESTAMP \
    WHERE entity = ? AND partition = ? AND epoch = ? AND settled = epoch AND last_id = ? \
    RETURNING 1";

const FENCES: &str = "SELECT o.entity, CAST(o.partition AS BIGINT), o.epoch, o.settled, o.state, \
    EXISTS (SELECT 1 FROM cached_repo_dead_letters AS l \
    WHERE l.entity = o.entity AND l.state = 'waiting') \
    FROM ELEMENTS JOIN cached_repo_offsets AS o \
    ON o.entity = e.value->>0 AND o.partition = CAST(e.value->>1 AS BIGINT)";

// The letters are looked up in the same statement because there are mostly none. Its snapshot has
// all that matter: whoever made one moved this position, and the reader of `last_id` saw that committed,
// or moved that of a partition which was closed before this one was there.
const ADVANCE: &str = "UPDATE cached_repo_offsets SET last_id = ?, applied = applied + ?, \
    coalesced = coalesced + ?, dead_lettered = dead_lettered + ?, updated_at = CURRENT_TIMESTAMP \
    WHERE entity = ? AND partition = ? AND journal_id = ? AND epoch = ? AND settled = epoch \
    AND last_id = ? AND state = 'open' \
    RETURNING EXISTS (SELECT 1 FROM cached_repo_dead_letters AS l \
    WHERE l.entity = ? AND l.state = 'waiting')";

// What ADVANCE returns, where an UPDATE returns nothing.
const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM cached_repo_dead_letters AS l \
    WHERE l.entity = ? AND l.state = 'waiting')";

const RECOUNT: &str = "UPDATE cached_repo_offsets \
    SET applied = applied - ?, dead_lettered = dead_lettered + ? \
    WHERE entity = ? AND partition = ?";
