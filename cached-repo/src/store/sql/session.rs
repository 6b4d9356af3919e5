//! One connection in use: its transaction, and what becomes of it when its user is cancelled.

use std::time::Duration;

use sqlx::{Error, Pool, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

use super::{Begin, Dialect, Row, Statement, StoreError, classify, error};

/// A pooled connection. Dropped with an open transaction, it rolls back; dropped in the middle of a
/// call, it is closed, because nobody knows what it still does.
///
/// The driver's own transactions are not used: one that is cancelled while it begins leaves its
/// connection in the pool with the transaction open.
pub(super) struct Session<D: Dialect> {
    /// Taken when this is dropped.
    connection: Option<PoolConnection<D::Database>>,
    /// A transaction was begun and not ended.
    open: bool,
    /// A call was sent and not answered.
    busy: bool,
}

impl<D: Dialect> Session<D> {
    pub(super) async fn acquire(pool: &Pool<D::Database>) -> Result<Self, StoreError> {
        let connection = pool.acquire().await.map_err(|e| classify::<D>(e, "be reached"))?;
        Ok(Self { connection: Some(connection), open: false, busy: false })
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
                Ok(()) => return Ok(session),
                Err(e) if error::is_lost::<D>(&e) && dead <= pool.size() => dead += 1,
                Err(e) => {
                    session.rollback().await;
                    return Err(classify::<D>(e, "begin a transaction"));
                }
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
        // An error that is an answer leaves the connection usable, any other does not.
        self.busy = rows.as_ref().is_err_and(|e| error::is_lost::<D>(e));
        rows
    }

    pub(super) async fn script(&mut self, sql: String) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::PoolClosed) };
        self.busy = true;
        let done = D::script(connection, sql).await;
        self.busy = done.as_ref().is_err_and(|e| error::is_lost::<D>(e));
        done
    }

    /// Commits. Only here an error may mean that nobody knows what happened.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        match self.script("COMMIT".to_owned()).await {
            Ok(()) => {
                self.open = false;
                Ok(())
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
        if !self.busy {
            let _ = self.script("ROLLBACK".to_owned()).await;
            self.open = self.busy;
        }
    }
}

impl<D: Dialect> Drop for Session<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let unsure = self.busy && D::CLOSES_ABANDONED;
        match Handle::try_current() {
            Ok(runtime) if self.open && !unsure => {
                runtime.spawn(async move {
                    let rollback = D::script(&mut connection, "ROLLBACK".to_owned());
                    if timeout(ROLLBACK_TIMEOUT, rollback).await.is_err() {
                        connection.close_on_drop();
                    }
                });
            }
            _ if self.open || unsure => connection.close_on_drop(),
            _ => {}
        }
    }
}

/// A server that does not even roll back in this time is given up.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);
