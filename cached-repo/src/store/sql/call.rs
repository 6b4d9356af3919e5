//! A call to a database that is under way, and the connection that it has meanwhile.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sqlx::{Error, pool::PoolConnection};
use tokio::runtime::Handle;

use super::{
    Connection, Dialect,
    session::{Answer, Session},
};

/// A call that is under way. When it is dropped, a task brings it to its end.
pub(super) struct Call<'s, D: Dialect, T: Send + 'static> {
    session: &'s mut Session<D>,
    /// Taken at its end.
    answer: Option<Answer<D, T>>,
}

impl<'s, D: Dialect, T: Send + 'static> Call<'s, D, T> {
    pub(super) fn new(session: &'s mut Session<D>, answer: Answer<D, T>) -> Self {
        Self { session, answer: Some(answer) }
    }
}

impl<D: Dialect, T: Send + 'static> Future for Call<'_, D, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(Err(Error::PoolClosed)) };
        let (connection, answer) = ready!(answer.as_mut().poll(context));
        self.answer = None;
        self.session.has(connection, &answer);
        Poll::Ready(answer)
    }
}

impl<D: Dialect, T: Send + 'static> Drop for Call<'_, D, T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take()
            && let Some(abandoned) = self.session.leave()
        {
            abandoned.settle(Some(answer));
        }
    }
}

/// A connection that is closed when it is dropped, in whatever state it is then.
pub(super) struct Held<D: Dialect>(Option<PoolConnection<D::Database>>);

impl<D: Dialect> Held<D> {
    pub(super) fn new(connection: PoolConnection<D::Database>) -> Self {
        Self(Some(connection))
    }

    pub(super) fn get(&mut self) -> Result<&mut Connection<D>, Error> {
        self.0.as_deref_mut().ok_or(Error::PoolClosed)
    }

    /// Gives it back to the pool, which needs a runtime for that.
    pub(super) fn release(mut self) {
        if Handle::try_current().is_ok() {
            drop(self.0.take());
        }
    }
}

impl<D: Dialect> Drop for Held<D> {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else { return };
        match Handle::try_current() {
            Ok(_) => connection.close_on_drop(),
            Err(_) => drop(connection.detach()),
        }
    }
}

/// What the caller gets for a driver that panicked. Its connection counts as lost.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Error::Protocol(format!("the driver panicked: {said}"))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use futures_util::FutureExt;
    use sqlx::{raw_sql, sqlite::SqlitePoolOptions};

    use crate::store::sql::{Source, Sqlite, error::is_lost, session::Session};

    #[tokio::test]
    async fn a_driver_that_panics_is_an_error_and_its_connection_is_closed() {
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect("sqlite::memory:").await.unwrap();
        raw_sql("CREATE TABLE gone (id INTEGER)").execute(&pool).await.unwrap();
        let mut session = Session::acquire(&Source::<Sqlite>::given(pool.clone())).await.unwrap();
        let answer = session.call::<()>(|_| async { panic!("split_to out of bounds") }.boxed());
        let error = answer.await.unwrap_err();
        assert!(error.to_string().contains("the driver panicked: split_to"), "{error}");
        assert!(is_lost::<Sqlite>(&error));
        drop(session);
        // The next connection is another one, which has another database.
        raw_sql("CREATE TABLE gone (id INTEGER)").execute(&pool).await.unwrap();
    }
}
