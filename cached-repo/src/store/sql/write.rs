//! Writing a batch: fences, rows and commit in one transaction that ends before its deadline.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Begin, Dialect, Lock, Session, SqlStore, StoreError, Table, bury, classify, error, letters,
    offsets::{self, Waiting},
    plan::Plan,
};
use crate::{
    change::Change,
    failpoint::{self, Point},
    key::entity_id,
    record::Record,
    schema::Schema,
    store::{Applied, Batch, Class, Fence},
};

impl<D: Dialect> SqlStore<D> {
    /// The COMMIT is sent early enough that, however late it arrives, it takes effect before the
    /// deadline or never: the server ends a transaction that idles for longer than [`idle`] allows,
    /// and the COMMIT is not sent later than that before the deadline. MySQL and MariaDB look at their
    /// clock when the COMMIT has arrived. What remains is the time that
    /// the server takes to sync its log. SQLite has no server: there the margin is all that the
    /// caller's deadline must allow for.
    pub(super) async fn apply_batch(
        &self,
        schema: &Schema,
        batch: Batch<'_>,
    ) -> Result<Vec<Applied>, StoreError> {
        for _ in 0..CHANGES_MAX {
            if let Some(applied) = self.apply_to_known(schema, &batch).await? {
                return Ok(applied);
            }
        }
        Err(StoreError::transient(format!("the table `{}` is being changed", schema.table())))
    }

    /// Applies a batch to the table that is known. `None` if somebody has changed the table since, and
    /// nothing was written because of that.
    async fn apply_to_known(
        &self,
        schema: &Schema,
        batch: &Batch<'_>,
    ) -> Result<Option<Vec<Applied>>, StoreError> {
        let mut table = self.table(schema, batch.deadline).await?;
        let mut plan = Plan::new::<D>(&table, batch);
        if !plan.as_ref().is_ok_and(|plan| plan.refused.is_empty()) {
            // By the types that are remembered: those of today decide.
            self.tables.doubt(schema);
            table = self.table(schema, batch.deadline).await?;
            plan = Plan::new::<D>(&table, batch);
        }
        let plan = plan?;
        let left = batch.deadline.saturating_duration_since(self.clock.now());
        let idle = idle(left);
        let last_call = batch.deadline - idle;
        if left.is_zero() {
            return Err(too_late::<D>());
        }
        if is_nothing(batch) {
            return Ok(Some(Vec::new()));
        }
        let turn = timeout_at(last_call, self.writers.acquire()).await;
        let _turn = turn.map_err(|_| too_late::<D>())?;
        let begin = Begin {
            left,
            idle,
            locks: batch.fences.iter().map(|fence| Lock::Shared(lock_of(fence))).collect(),
            immediate: true,
        };
        let write = Write { table: &table, batch, plan: &plan, begin: &begin };
        let written = timeout_at(last_call, self.write_most(&write)).await;
        let written = written.unwrap_or_else(|_| Err(too_late::<D>()));
        let written = written.inspect_err(|error| self.distrust(schema, error))?;
        let Some((session, answer)) = written else { return Ok(None) };
        if self.clock.now() > last_call {
            session.rollback().await;
            return Err(too_late::<D>());
        }
        commit(session, batch.deadline).await?;
        Ok(Some(answer))
    }

    /// Looks for the changes that are to be buried only if the whole was refused: mostly it is not,
    /// and savepoints cost a message each. Nothing is refused or buried because of types that the table
    /// has no more: `None` then.
    async fn write_most(
        &self,
        write: &Write<'_>,
    ) -> Result<Option<(Session<D>, Vec<Applied>)>, StoreError> {
        match (self.write(write, false).await, write.batch.buries()) {
            (Err(e), _)
                if (e.class().is_refusal() || e.class() == Class::Systemic)
                    && self.has_changed(write.table.schema).await? =>
            {
                Ok(None)
            }
            (Err(e), true) if e.class().is_refusal() => self.write(write, true).await.map(Some),
            (written, _) => written.map(Some),
        }
    }

    async fn write(
        &self,
        write: &Write<'_>,
        buries: bool,
    ) -> Result<(Session<D>, Vec<Applied>), StoreError> {
        let mut again = self.pool.size() + 1;
        loop {
            let mut session = Session::<D>::begin(&self.pool, write.begin).await?;
            match write.run(&mut session, buries).await {
                Ok(answer) => return Ok((session, answer)),
                Err(_) if session.is_stale() && again > 0 => again -= 1,
                Err(e) => {
                    session.rollback().await;
                    return Err(e);
                }
            }
        }
    }
}

/// One transaction's work.
pub(super) struct Write<'a> {
    pub(super) table: &'a Table<'a>,
    pub(super) batch: &'a Batch<'a>,
    plan: &'a Plan,
    begin: &'a Begin,
}

impl Write<'_> {
    async fn run<D: Dialect>(
        &self,
        session: &mut Session<D>,
        buries: bool,
    ) -> Result<Vec<Applied>, StoreError> {
        let Self { table, batch, plan, .. } = *self;
        let waiting = self.begin(session).await?;
        let mut refused = plan.refused.clone();
        match buries {
            false => write_rows(session, table, batch.changes, &plan.order).await?,
            true => {
                let order = batch.in_journal_order(&plan.order);
                let references = batch.buries_references();
                let found = bury::write_most(session, self, &order, references).await?;
                refused.extend(found);
            }
        }
        self.reach(Point::RowsWritten).await?;
        if let Some(journaled) = &batch.journaled {
            let late = refused.len() - plan.refused.len();
            if late > 0 {
                offsets::recount(session, journaled, late).await?;
            }
            let refused = refused.iter().filter_map(|(index, error)| batch.letter(*index, error));
            letters::keep(session, refused.chain(journaled.unreadable_letters())).await?;
            self.reach(Point::LettersWritten).await?;
        }
        letters::supersede(session, batch, &waiting, |i| !refused.contains_key(&i)).await?;
        let mut rows = self.read_back(session, &refused).await?;
        let answer = batch.changes.iter().enumerate().map(|(index, change)| {
            match (refused.remove(&index), change.record()) {
                (Some(error), _) => Applied::Buried { error },
                (None, Some(_)) => Applied::Put(rows.remove(change.id().text())),
                (None, None) => Applied::Deleted,
            }
        });
        Ok(answer.collect())
    }

    async fn reach(&self, point: Point) -> Result<(), StoreError> {
        let Some(journaled) = &self.batch.journaled else { return Ok(()) };
        failpoint::reach(point, journaled.position.entity).await.map_err(StoreError::transient)
    }

    /// Does once more, in a new transaction, what was done before the first row was written.
    pub(super) async fn begin_again<D: Dialect>(
        &self,
        session: &mut Session<D>,
    ) -> Result<(), StoreError> {
        let begun = session.script(D::begin(self.begin)).await;
        begun.map_err(|e| classify::<D>(e, "begin a transaction"))?;
        self.begin(session).await.map(drop)
    }

    /// Everything that is checked before the first row is written. Answers where dead letters wait.
    async fn begin<D: Dialect>(&self, session: &mut Session<D>) -> Result<Waiting, StoreError> {
        let Self { batch, plan, .. } = self;
        let mut waiting = Waiting::new();
        if let Some(journaled) = &batch.journaled {
            let refused = plan.refused.len();
            let (applied, buried) =
                (batch.changes.len() - refused, refused + journaled.unreadable.len());
            waiting.extend(offsets::advance(session, journaled, applied, buried).await?);
            self.reach(Point::PositionMoved).await?;
        }
        if let Some(letter) = &batch.replays {
            letters::replay(session, letter).await?;
            waiting.insert(letter.entity.to_owned());
        }
        waiting.extend(offsets::check(session, batch.fences).await?);
        Ok(waiting)
    }

    /// The written rows by id, if the batch asked for them.
    async fn read_back<D: Dialect>(
        &self,
        session: &mut Session<D>,
        refused: &BTreeMap<usize, String>,
    ) -> Result<HashMap<String, Record<'static>>, StoreError> {
        let Self { table, batch, plan, .. } = *self;
        let written = plan.order.iter().filter(|index| !refused.contains_key(index));
        let written = written.map(|&index| &batch.changes[index]);
        let put: Vec<_> = written.filter(|c| c.record().is_some()).map(Change::id).collect();
        let mut rows = HashMap::new();
        if batch.returning && !put.is_empty() {
            // Read again instead of RETURNING, which does not see what AFTER triggers did.
            let selects = D::selects(table, &put)?;
            for row in session.run_all(selects).await.map_err(|e| classify::<D>(e, "read back"))? {
                let record = table.record::<D>(&row)?;
                rows.insert(id_text(table, &record)?, record);
            }
        }
        Ok(rows)
    }
}

/// Writes the changes with these indices.
pub(super) async fn write_rows<D: Dialect>(
    session: &mut Session<D>,
    table: &Table<'_>,
    changes: &[Change],
    order: &[usize],
) -> Result<(), StoreError> {
    let (mut rows, mut deleted) = (Vec::with_capacity(order.len()), Vec::new());
    for change in order.iter().map(|&index| &changes[index]) {
        match change.record() {
            Some(record) => rows.push(record),
            None => deleted.push(change.id()),
        }
    }
    let mut statements = Vec::new();
    if !rows.is_empty() {
        statements.append(&mut D::upserts(table, &rows)?);
    }
    if !deleted.is_empty() {
        statements.append(&mut D::deletes(table, &deleted)?);
    }
    session.run_all(statements).await.map_err(|e| error::unwritten::<D>(table, e)).map(drop)
}

fn is_nothing(batch: &Batch<'_>) -> bool {
    let Batch { changes, fences, journaled, replays, .. } = batch;
    changes.is_empty() && fences.is_empty() && journaled.is_none() && replays.is_none()
}

fn id_text(table: &Table<'_>, record: &Record<'static>) -> Result<String, StoreError> {
    let values = table.ids.iter().filter_map(|&i| record.get(i).cloned()).collect();
    let id = entity_id(values)
        .map_err(|e| StoreError::record("a row that was read has no id").caused_by(e))?;
    Ok(id.text().to_owned())
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
    timeout_at(deadline, session.commit(deadline)).await.unwrap_or_else(|_| {
        let message = format!("{} did not answer the COMMIT before the deadline", D::NAME);
        Err(StoreError::unknown(message))
    })
}

fn too_late<D: Dialect>() -> StoreError {
    StoreError::transient(format!("{} did not get to write before the deadline", D::NAME))
}

/// How often a table may be found changed in one call.
const CHANGES_MAX: usize = 3;
/// Enough for a statement that is on its way, and little beside the deadlines in use.
const IDLE_MAX: Duration = Duration::from_secs(1);
