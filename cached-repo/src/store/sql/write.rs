//! Writing a batch: fences, rows and commit in one transaction that ends before its deadline.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_64;

use super::{Begin, Dialect, Lock, Session, SqlStore, StoreError, Table, classify};
use crate::{
    change::{Change, EntityId},
    key::entity_id,
    record::{Record, Value},
    schema::{Kind, Schema},
    store::{Applied, Batch, Fence, check::check_kinds},
};

impl<D: Dialect> SqlStore<D> {
    /// The COMMIT is sent early enough that, however late it arrives, it takes effect before the
    /// deadline or never: the server ends a transaction that idles for longer than [`idle`] allows,
    /// and the COMMIT is not sent later than that before the deadline. What remains is the time that
    /// the server takes to sync its log. SQLite has no server: there the margin is all that the
    /// caller's deadline must allow for.
    pub(super) async fn apply_batch(
        &self,
        schema: &Schema,
        batch: Batch<'_>,
    ) -> Result<Vec<Applied>, StoreError> {
        let table = Table::new::<D>(schema);
        let plan = Plan::new::<D>(&table, batch.changes)?;
        let left = batch.deadline.saturating_duration_since(self.clock.now());
        let idle = idle(left);
        let last_call = batch.deadline - idle;
        if left.is_zero() {
            return Err(too_late::<D>());
        }
        if batch.changes.is_empty() && batch.fences.is_empty() {
            return Ok(Vec::new());
        }
        let turn = timeout_at(last_call, self.writers.acquire()).await;
        let _turn = turn.map_err(|_| too_late::<D>())?;
        let begin = Begin {
            left,
            idle,
            locks: batch.fences.iter().map(|fence| Lock::Shared(lock_of(fence))).collect(),
            immediate: true,
        };
        let written = timeout_at(last_call, self.write(&table, &batch, &plan, &begin)).await;
        let (session, answer) = written.unwrap_or_else(|_| Err(too_late::<D>()))?;
        if self.clock.now() > last_call {
            session.rollback().await;
            return Err(too_late::<D>());
        }
        commit(session, batch.deadline).await?;
        Ok(answer)
    }

    async fn write(
        &self,
        table: &Table<'_>,
        batch: &Batch<'_>,
        plan: &Plan<'_>,
        begin: &Begin,
    ) -> Result<(Session<D>, Vec<Applied>), StoreError> {
        let mut session = Session::<D>::begin(&self.pool, begin).await?;
        match write_rows(&mut session, table, batch, plan).await {
            Ok(answer) => Ok((session, answer)),
            Err(e) => {
                session.rollback().await;
                Err(e)
            }
        }
    }
}

/// What to write, in the order in which every writer takes its row locks.
struct Plan<'a> {
    rows: Vec<&'a Record<'static>>,
    ids: Vec<&'a EntityId>,
    deleted: Vec<&'a EntityId>,
}

impl<'a> Plan<'a> {
    /// Refuses the batch if one of its values cannot be held exactly.
    fn new<D: Dialect>(table: &Table<'_>, changes: &'a [Change]) -> Result<Self, StoreError> {
        let mut puts = Vec::with_capacity(changes.len());
        let mut deleted = Vec::new();
        for change in changes {
            check_kinds(table.schema, change)?;
            match change.record() {
                Some(record) => {
                    table.check::<D>(record)?;
                    puts.push((change.id(), record));
                }
                // A row with an id that the database cannot hold is gone already.
                None if table.refusal::<D>(change.id()).is_some() => {}
                None => deleted.push(change.id()),
            }
        }
        puts.sort_unstable_by_key(|(id, _)| id.text());
        deleted.sort_unstable_by_key(|id| id.text());
        let (ids, rows) = puts.into_iter().unzip();
        Ok(Self { rows, ids, deleted })
    }
}

async fn write_rows<D: Dialect>(
    session: &mut Session<D>,
    table: &Table<'_>,
    batch: &Batch<'_>,
    plan: &Plan<'_>,
) -> Result<Vec<Applied>, StoreError> {
    check_fences(session, batch.fences).await?;
    let mut statements = Vec::new();
    if !plan.rows.is_empty() {
        statements.append(&mut D::upserts(table, &plan.rows)?);
    }
    if !plan.deleted.is_empty() {
        statements.append(&mut D::deletes(table, &plan.deleted)?);
    }
    session.run_all(statements).await.map_err(|e| classify::<D>(e, "write"))?;
    let mut rows = HashMap::new();
    if batch.returning && !plan.ids.is_empty() {
        // Read again instead of RETURNING, which does not see what AFTER triggers did.
        let selects = D::selects(table, &plan.ids)?;
        for row in session.run_all(selects).await.map_err(|e| classify::<D>(e, "read back"))? {
            let record = table.record::<D>(&row)?;
            rows.insert(id_text(table, &record)?, record);
        }
    }
    let answer = batch.changes.iter().map(|change| match change.record() {
        Some(_) => Applied::Put(rows.remove(change.id().text())),
        None => Applied::Deleted,
    });
    Ok(answer.collect())
}

fn id_text(table: &Table<'_>, record: &Record<'static>) -> Result<String, StoreError> {
    let values = table.ids.iter().filter_map(|&i| record.get(i).cloned()).collect();
    let id = entity_id(values)
        .map_err(|e| StoreError::record("a row that was read has no id").caused_by(e))?;
    Ok(id.text().to_owned())
}

async fn check_fences<D: Dialect>(
    session: &mut Session<D>,
    fences: &[Fence],
) -> Result<(), StoreError> {
    if fences.is_empty() {
        return Ok(());
    }
    let rows =
        session.run(D::epochs(fences)?).await.map_err(|e| classify::<D>(e, "read epochs"))?;
    let mut epochs = HashMap::new();
    for row in &rows {
        let column = |i, kind| D::value(row, i, kind).map_err(StoreError::systemic);
        let row = (column(0, Kind::Text)?, column(1, Kind::U64)?, column(2, Kind::U64)?);
        if let (Value::Text(entity), Value::U64(partition), Value::U64(epoch)) = row {
            epochs.insert((entity.into_owned(), partition), epoch);
        }
    }
    fences.iter().try_for_each(|fence| {
        let key = (fence.entity.clone(), u64::from(fence.partition));
        let offset = epochs.get(&key).map(|e| crate::store::Offset {
            epoch: *e,
            settled: *e,
            ..Default::default()
        });
        fence.check(offset.as_ref())
    })
}

/// The number of the lock that keeps an epoch from being raised. Two partitions with one number
/// only wait for each other without need.
pub(super) fn lock_of(fence: &Fence) -> i64 {
    let text = format!("cached-repo epoch {} {}", fence.partition, fence.entity);
    i64::from_ne_bytes(xxh3_64(text.as_bytes()).to_ne_bytes())
}

/// How long a server may wait for the next statement of a transaction that has this long.
pub(super) fn idle(left: Duration) -> Duration {
    (left / 4).min(IDLE_MAX)
}

/// Commits, but waits for the answer no longer than until the deadline.
pub(super) async fn commit<D: Dialect>(
    session: Session<D>,
    deadline: Instant,
) -> Result<(), StoreError> {
    timeout_at(deadline, session.commit()).await.unwrap_or_else(|_| {
        let message = format!("{} did not answer the COMMIT before the deadline", D::NAME);
        Err(StoreError::unknown(message))
    })
}

fn too_late<D: Dialect>() -> StoreError {
    StoreError::transient(format!("{} did not get to write before the deadline", D::NAME))
}

/// Enough for a statement that is on its way, and little beside the deadlines in use.
const IDLE_MAX: Duration = Duration::from_secs(1);
