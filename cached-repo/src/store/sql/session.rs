//! One connection in use: its transaction, and what becomes of it when its user is cancelled.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::Error;
use tokio::{runtime::Handle, time::Instant};

use super::{
    Begin, CALL_TIMEOUT, Connection, Dialect, Lock, Row, Source, Statement, StoreError,
    call::{Call, Held, panicked},
    classify, error,
    ledger::bound,
    locks,
};
use crate::{clock::Clock, record::Value};

/// A pooled connection. It goes back to the pool only when it was seen to be without a transaction: when
/// none was begun, or when the server has answered the COMMIT or the ROLLBACK. Otherwise it is closed.
///
/// The driver's own transactions are not used: one that is cancelled while it begins leaves its
/// connection in the pool with the transaction open.
pub(super) struct Session<D: Dialect> {
    /// A call that is under way has it.
    connection: Option<Held<D>>,
    /// A transaction was begun and not seen to end.
    open: bool,
    /// The connection is gone, or is to be closed.
    lost: bool,
    /// Its prepared statements are of a table as it was before somebody changed it.
    stale: bool,
    /// The caller is gone: a call that is given up closes the connection.
    left: bool,
    /// The server began the transaction before this.
    began: Instant,
    /// How long the server lets a statement run.
    statement_max: Duration,
}

impl<D: Dialect> Session<D> {
    pub(super) async fn acquire(pool: &Source<D>) -> Result<Self, StoreError> {
        let connection = Some(Held::new(pool.acquire().await?));
        let began = Clock::new().now();
        let (open, lost, stale, left, statement_max) = (false, false, false, false, CALL_TIMEOUT);
        Ok(Self { connection, open, lost, stale, left, began, statement_max })
    }

    /// A connection with an open transaction. Connections that died in the pool are passed over:
    /// nothing was written yet, so there is no harm in trying the next.
    pub(super) async fn begin(pool: &Source<D>, begin: &Begin) -> Result<Self, StoreError> {
        let sql = D::begin(begin);
        let mut others = pool.size() + 1;
        loop {
            let mut session = Self::acquire(pool).await?;
            (session.open, session.statement_max) = (true, begin.left);
            match session.script(sql.clone()).await {
                Ok(()) => {
                    session.began = Clock::new().now();
                    return session.locked(&begin.locks).await;
                }
                Err(e) if error::is_lost::<D>(&e) && others > 0 => others -= 1,
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

    /// Whether what failed may be tried again on another connection, because somebody changed a table
    /// since this one's statements were prepared. It is closed.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
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

    /// Runs statements that change nothing, none of which the server lets run for long. What has begun
    /// them is rolled back when this is dropped.
    pub(super) async fn read(
        &mut self,
        statements: Vec<Statement<D>>,
        begin: Option<&str>,
    ) -> Result<Vec<Row<D>>, Error> {
        if let Some(begin) = begin {
            self.open = true;
            self.script(begin.to_owned()).await?;
        }
        let limited = statements.into_iter().map(|Statement { sql, arguments }| Statement {
            sql: D::limited(sql, self.statement_max),
            arguments,
        });
        self.run_all(limited.collect()).await
    }

    pub(super) async fn run(&mut self, statement: Statement<D>) -> Result<Vec<Row<D>>, Error> {
        self.call(|connection| D::run(connection, statement)).await
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
        let changed = self.call(|connection| D::change(connection, statement)).await;
        changed.map(|rows| rows > 0).map_err(|e| classify::<D>(e, doing))
    }

    pub(super) async fn script(&mut self, sql: String) -> Result<(), Error> {
        self.call(|connection| D::script(connection, sql)).await
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
        self.roll_back().await;
    }

    async fn roll_back(&mut self) {
        if !self.open || self.lost {
            return;
        }
        let rolled_back = self.script(D::ROLLBACK.to_owned()).await.is_ok();
        (self.open, self.left) = (!rolled_back && !self.is_over().await, true);
    }

    /// Whether the database has ended the transaction by itself.
    pub(super) async fn is_over(&mut self) -> bool {
        match D::NO_TRANSACTION {
            Some(sql) => self.script(sql.to_owned()).await.is_ok(),
            None => false,
        }
    }

    /// Makes a call. A driver whose future is dropped is out of step with its server, so the future
    /// owns the connection, and is brought to its end by a task when its caller is gone.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        send: impl for<'c> FnOnce(&'c mut Connection<D>) -> BoxFuture<'c, Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let Some(mut held) = self.connection.take() else { return Err(Error::PoolClosed) };
        let answer = async move {
            let answer = AssertUnwindSafe(async { send(held.get()?).await }).catch_unwind().await;
            (held, answer.unwrap_or_else(|panic| Err(panicked(&*panic))))
        };
        Call::new(self, Box::pin(answer)).await
    }

    /// The connection is back from a call.
    pub(super) fn has<T>(&mut self, connection: Held<D>, answer: &Result<T, Error>) {
        self.connection = Some(connection);
        self.stale |= answer.as_ref().is_err_and(error::is_stale::<D>);
        self.lost |= self.stale || answer.as_ref().is_err_and(error::is_lost::<D>);
    }

    /// What is left of the session to a task, if there is to be one, when its user is cancelled in a
    /// call.
    pub(super) fn leave(&mut self) -> Option<Self> {
        let Self { open, lost, stale, left, began, statement_max, .. } = *self;
        let abandoned =
            Self { connection: None, open, lost, stale, left: true, began, statement_max };
        (!left).then_some(abandoned)
    }

    /// Brings to an end what a user who was cancelled has left, for no longer than the server needs.
    /// The pool counts the connection meanwhile: callers who give up do not end up with more
    /// connections than it may have.
    pub(super) fn settle<T: Send + 'static>(mut self, call: Option<Answer<D, T>>) {
        // Without a runtime it is closed.
        let Ok(runtime) = Handle::try_current() else { return };
        let patience = self.statement_max + LEAVE_TIMEOUT;
        let settled = async move {
            if let Some(call) = call {
                let (connection, answer) = call.await;
                self.has(connection, &answer);
            }
            self.roll_back().await;
        };
        runtime.spawn(async move {
            if D::CLOSES_ABANDONED {
                let _ = tokio::time::timeout(patience, settled).await;
            } else {
                settled.await;
            }
        });
    }
}

impl<D: Dialect> Drop for Session<D> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.lost || (self.open && self.left) {
            drop(connection);
        } else if !self.open {
            connection.release();
        } else if let Some(mut abandoned) = self.leave() {
            abandoned.connection = Some(connection);
            abandoned.settle::<()>(None);
        }
    }
}

/// What a call answers, and the connection.
pub(super) type Answer<D, T> = BoxFuture<'static, (Held<D>, Result<T, Error>)>;

/// How much longer than a server may need it is waited for.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
