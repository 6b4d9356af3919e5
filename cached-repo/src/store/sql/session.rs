//! One connection in use: its transaction, and what becomes of it when its user is cancelled.

use std::time::Duration;

use sqlx::{Error, Pool, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{
    Begin, Dialect, Lock, Row, Statement, StoreError, classify, error, ledger::bound, locks,
};
use crate::{clock::Clock, record::Value};

/// A pooled connection. However it is dropped, it goes back to the pool without a transaction, or is
/// closed.
///
/// The driver's own transactions are not used: one that is cancelled while it begins leaves its
/// connection in the pool with the transaction open.
pub(super) struct Session<D: Dialect> {
    /// Taken when this is dropped.
    connection: Option<PoolConnection<D::Database>>,
    /// A transaction was begun and not ended.
    open: bool,
    /// A call was sent and not answered: its user was cancelled.
    busy: bool,
    /// The connection is gone.
    lost: bool,
    /// The server began the transaction before this.
    began: Instant,
}

impl<D: Dialect> Session<D> {
    pub(super) async fn acquire(pool: &Pool<D::Database>) -> Result<Self, StoreError> {
        let connection = pool.acquire().await.map_err(|e| classify::<D>(e, "be reached"))?;
        let began = Clock::new().now();
        Ok(Self { connection: Some(connection), open: false, busy: false, lost: false, began })
    }

    /// A connection with an open transaction. Connections that died in the pool are passed over:
    /// nothing was written yet, so there is no harm in trying the next.
    pub(super) async fn begin(pool: &Pool<D::Database>, begin: &Begin) -> Result<Self, StoreError> {
        let sql = D::begin(begin);
        let mut dead = 0;
        loop {
            let mut session = Self::acquire(pool).await?;
            session.open = true;
            match session.script(sql.clone()).await {
                Ok(()) => {
                    session.began = Clock::new().now();
                    return session.locked(&begin.locks).await;
                }
                Err(e) if error::is_lost::<D>(&e) && dead <= pool.size() => dead += 1,
                Err(e) => {
                    session.rollback().await;
                    return Err(classify::<D>(e, "begin a transaction"));
                }
            }
        }
    }

    async fn locked(mut self, all: &[Lock]) -> Result<Self, StoreError> {
        if !D::LOCKS_ARE_ROWS || all.is_empty() {
            return Ok(self);
        }
        match locks::take(&mut self, all).await {
            Ok(()) => Ok(self),
            Err(e) => {
                self.rollback().await;
                Err(e)
            }
        }
    }

    pub(super) async fn run_all(
        &mut self,
        statements: Vec<Statement<D>>,
    ) -> Result<Vec<Row<D>>, Error> {
        let mut rows = Vec::new();
        for statement in statements {
            rows.append(&mut self.run(statement).await?);
        }
        Ok(rows)
    }

    pub(super) async fn run(&mut self, statement: Statement<D>) -> Result<Vec<Row<D>>, Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::PoolClosed) };
        self.busy = true;
        let rows = D::run(connection, statement).await;
        self.busy = false;
        self.lost = rows.as_ref().is_err_and(|e| error::is_lost::<D>(e));
        rows
    }

    /// Runs a text whose parameters are written as question marks.
    pub(super) async fn run_text(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        doing: &str,
    ) -> Result<Vec<Row<D>>, StoreError> {
        self.run(bound(sql, values)?).await.map_err(|e| classify::<D>(e, doing))
    }

    /// Runs such a text that changes rows, and says whether there were any.
    pub(super) async fn change_text(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        doing: &str,
    ) -> Result<bool, StoreError> {
        let statement = bound(sql, values)?;
        let Some(connection) = &mut self.connection else {
            return Err(classify::<D>(Error::PoolClosed, doing));
        };
        self.busy = true;
        let changed = D::change(connection, statement).await;
        self.busy = false;
        self.lost = changed.as_ref().is_err_and(|e| error::is_lost::<D>(e));
        changed.map(|rows| rows > 0).map_err(|e| classify::<D>(e, doing))
    }

    pub(super) async fn script(&mut self, sql: String) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::PoolClosed) };
        self.busy = true;
        let done = D::script(connection, sql).await;
        self.busy = false;
        self.lost = done.as_ref().is_err_and(|e| error::is_lost::<D>(e));
        done
    }

    /// Commits. Only here an error may mean that nobody knows what happened.
    pub(super) async fn commit(mut self, deadline: Instant) -> Result<(), StoreError> {
        let within = deadline.saturating_duration_since(self.began);
        match self.script(D::commit(within)).await {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            Err(e) if D::TOO_LATE.is_some() && error::code::<D>(&e).as_deref() == D::TOO_LATE => {
                self.rollback().await;
                let message = format!("{} got to commit only after the deadline", D::NAME);
                Err(StoreError::transient(message).caused_by(e))
            }
            Err(e) if error::is_doubtful::<D>(&e) => {
                let message = format!("the connection to {} was lost at COMMIT", D::NAME);
                Err(StoreError::unknown(message).caused_by(e))
            }
            Err(e) => {
                self.rollback().await;
                Err(classify::<D>(e, "commit"))
            }
        }
    }

    /// Rolls back, after an error on which the database may have done so by itself.
    pub(super) async fn rollback(mut self) {
        if !self.lost && self.script(D::ROLLBACK.to_owned()).await.is_ok() {
            self.open = false;
        }
    }
}

impl<D: Dialect> Drop for Session<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let leave = if self.open { D::ROLLBACK } else { "SELECT 1" };
        match Handle::try_current() {
            Ok(runtime) if !self.lost && (self.open || self.busy) => {
                // Behind the call that was given up. The connection counts as in use meanwhile, so
                // that callers who give up do not end up with more connections than the pool has.
                runtime.spawn(async move {
                    let left = D::script(&mut connection, leave.to_owned());
                    if timeout(LEAVE_TIMEOUT, left).await.is_err() && D::CLOSES_ABANDONED {
                        connection.close_on_drop();
                    }
                });
            }
            _ if self.lost || self.open => connection.close_on_drop(),
            _ => {}
        }
    }
}

/// A server that does not even roll back in this time is given up.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
