//! Every SQL database as a store: what they have in common, over what each [`Dialect`] says.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    Applied, Batch, Class, Description, Entry, Ledger, Query, RowError, SharedStore, Store,
    StoreError,
    check::{check_id, check_kinds},
};
use crate::{
    change::{Change, EntityId},
    clock::{Clock, Random},
    schema::Schema,
    store,
};

mod dialect;
use dialect::{Begin, Dialect, Lock, Statement};

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
use postgres::Postgres;

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "mysql")]
use mysql::MySql;

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
use sqlite::Sqlite;

mod bury;
mod call;
pub(super) mod connect;
// SQLite has no types of its own for what is looked at there.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
mod declared;
mod describe;
mod error;
#[cfg(feature = "conformance")]
pub(crate) mod hostile;
mod ledger;
mod letters;
mod locks;
mod offsets;
mod plan;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
mod rows;
mod session;
mod source;
mod table;
mod tables;
mod trial;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod url;
mod write;

use declared::{Declared, Shape, Tables};
use error::classify;
use session::Session;
use source::{Logins, Source};
use table::Table;

/// The tables of one SQL database.
pub(super) struct SqlStore<D: Dialect> {
    pool: Source<D>,
    clock: Clock,
    random: Random,
    /// As many write transactions as the database runs side by side.
    writers: Semaphore,
    /// How many bytes a statement may have, once the server was asked.
    bytes_max: OnceCell<usize>,
    tables: Tables,
    dialect: PhantomData<D>,
}

impl<D: Dialect> SqlStore<D> {
    fn shared(pool: Source<D>) -> SharedStore {
        Arc::new(Self {
            pool,
            clock: Clock::new(),
            random: Random::new(),
            writers: Semaphore::new(D::WRITERS),
            bytes_max: OnceCell::new(),
            tables: Tables::default(),
            dialect: PhantomData,
        })
    }

    /// The table, with its types and the limits of the server, which is asked for them once.
    async fn table<'a>(
        &self,
        schema: &'a Schema,
        deadline: Instant,
    ) -> Result<Table<'a>, StoreError> {
        let late = |_| StoreError::transient(format!("{} did not answer in time", D::NAME));
        let mut table = timeout_at(deadline, self.declared(schema)).await.map_err(late)??;
        if let Some(sql) = D::BYTES_MAX {
            let asked = self.bytes_max.get_or_try_init(async || {
                let rows = self.read(|| Ok(vec![ledger::bound(sql, &[])?])).await?;
                let bytes = rows.first().map(|row| ledger::number_of::<D>(row, 0)).transpose()?;
                let bytes = usize::try_from(bytes.unwrap_or(0)).unwrap_or(usize::MAX);
                Ok(bytes.saturating_sub(HEAD_BYTES))
            });
            table.bytes_max = *timeout_at(deadline, asked).await.map_err(late)??;
        }
        Ok(table)
    }

    async fn load_ids(
        &self,
        schema: &Schema,
        ids: &[EntityId],
    ) -> Result<Vec<store::Row>, StoreError> {
        let table = self.declared(schema).await?;
        let mut wanted = Vec::with_capacity(ids.len());
        for id in ids {
            check_id(schema, id.values())?;
            // What the database cannot hold is not there.
            if table.refusal::<D>(id).is_none() {
                wanted.push(id);
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // An id that was asked for twice might be in two statements, and its row come twice.
        wanted.sort_unstable_by_key(|id| id.text());
        wanted.dedup();
        // A row that the database itself cannot read as its column is to be read is found by halving.
        let (mut parts, mut found) = (vec![wanted.as_slice()], Vec::with_capacity(wanted.len()));
        while let Some(part) = parts.pop() {
            match self.read(|| D::selects(&table, part)).await {
                Ok(rows) => found.extend(rows.iter().map(|row| table.loaded::<D>(row))),
                Err(e) if e.class() == Class::Record => match part {
                    [id] => found.push(Err(RowError::new(Some((*id).clone()), e))),
                    part => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                },
                Err(e) => {
                    self.distrust(schema, &e);
                    return Err(e);
                }
            }
        }
        Ok(found)
    }

    async fn load_page(
        &self,
        schema: &Schema,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Vec<store::Row>, StoreError> {
        let table = self.declared(schema).await?;
        if let Some(id) = after {
            check_id(schema, id.values())?;
            if let Some(why) = table.refusal::<D>(id) {
                return Err(StoreError::record(format!("{} cannot hold {why}", D::NAME)));
            }
        }
        let rows = self.read(|| Ok(vec![D::page(&table, after, limit)?])).await;
        let rows = rows.inspect_err(|error| self.distrust(schema, error))?;
        Ok(rows.iter().map(|row| table.loaded::<D>(row)).collect())
    }

    /// An error of this class may mean that the table is not what it was.
    fn distrust(&self, schema: &Schema, error: &StoreError) {
        if error.class() == Class::Systemic {
            self.tables.doubt(schema);
        }
    }

    /// Runs statements that change nothing. A connection that died in the pool, or whose statements
    /// are of a table as it was, is found by using it, so they are built and run again on the next one.
    async fn read(
        &self,
        build: impl Fn() -> Result<Vec<Statement<D>>, StoreError> + Send + Sync,
    ) -> Result<Vec<Row<D>>, StoreError> {
        self.bounded(async {
            let mut others = self.pool.size() + 1;
            loop {
                let statements = build()?;
                let mut session = Session::acquire(&self.pool).await?;
                match session.read(statements, self.pool.begin_read()).await {
                    Err(e) if others > 0 && (error::is_lost::<D>(&e) || session.is_stale()) => {
                        others -= 1;
                    }
                    rows => return rows.map_err(|e| classify::<D>(e, "read")),
                }
            }
        })
        .await
    }

    /// Ends a call that has no deadline of its own.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout_at(self.call_end(), call).await.unwrap_or_else(|_| {
            let seconds = CALL_TIMEOUT.as_secs();
            Err(StoreError::transient(format!("{} did not answer in {seconds} s", D::NAME)))
        })
    }

    fn call_end(&self) -> Instant {
        self.clock.now() + CALL_TIMEOUT
    }
}

impl<D: Dialect> Store for SqlStore<D> {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<store::Row>, StoreError>> {
        match query {
            Query::Ids(ids) => Box::pin(self.load_ids(schema, ids)),
            Query::Scan { after, limit } => Box::pin(self.load_page(schema, after, limit)),
        }
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        check_kinds(schema, change)?;
        match change.record() {
            Some(record) => {
                let mut table = self.as_known(schema);
                table.bytes_max = self.bytes_max.get().copied().unwrap_or(usize::MAX);
                // Perhaps the column is wider by now: whoever asks the database next looks.
                table.check::<D>(record).inspect_err(|_| self.tables.doubt(schema))
            }
            None => Ok(()),
        }
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        Box::pin(self.apply_batch(schema, batch))
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        Box::pin(self.operate(operation))
    }

    fn describe<'a>(
        &'a self,
        schema: &'a Schema,
    ) -> BoxFuture<'a, Result<Description, StoreError>> {
        Box::pin(self.description(schema))
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", D::NAME)
    }
}

type Row<D> = <<D as Dialect>::Database as sqlx::Database>::Row;
type Connection<D> = <<D as Dialect>::Database as sqlx::Database>::Connection;

/// What a statement has beside its values.
const HEAD_BYTES: usize = 1024;
/// Bounds every call that has no deadline of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
