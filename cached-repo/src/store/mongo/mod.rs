//! MongoDB as a store: on a replica set the whole contract, in transactions of sessions; on a standalone
//! server, which has none, what versions in the documents can do.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{TryStreamExt, future::BoxFuture};
use mongodb::{
    Client, Database,
    bson::{Document, doc},
    error::Error,
    options::{ReadConcern, ReadPreference, SelectionCriteria},
};
use tokio::time::timeout;

use super::{
    Applied, Batch, Description, Entry, Ledger, Query, Row, SharedStore, Store, StoreError,
    check::{check_id, check_kinds},
};
use crate::{
    change::{Change, EntityId},
    clock::{Clock, Random},
    schema::Schema,
};

pub(super) mod connect;

mod renewed;

mod collection;
use collection::Collection;

mod types;

mod value;

mod json;

mod write;

mod trial;

mod scan;

mod standalone;

mod session;
use session::{Session, Times};

mod ledger;

mod offsets;

mod letters;

mod describe;

mod error;
use error::{Fault, classify};

/// The collections of one database.
pub(super) struct MongoStore {
    client: Client,
    database: Database,
    mode: Mode,
    clock: Clock,
    random: Random,
}

/// What the server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    ReplicaSet,
    Standalone,
}

impl MongoStore {
    fn new(client: Client, database: &str, mode: Mode) -> Self {
        let database = client.database(database);
        Self { client, database, mode, clock: Clock::new(), random: Random::new() }
    }

    fn shared(client: Client, database: &str, mode: Mode) -> SharedStore {
        Arc::new(Self::new(client, database, mode))
    }

    async fn load_ids(&self, schema: &Schema, ids: &[EntityId]) -> Result<Vec<Row>, StoreError> {
        let collection = Collection::new(schema)?;
        let mut wanted = Vec::with_capacity(ids.len());
        for id in ids {
            check_id(schema, id.values())?;
            // What the database cannot hold is not there.
            if collection.can_hold(id) {
                wanted.push(id);
            }
        }
        // An id that was asked for twice might be in two queries, and its document come twice.
        wanted.sort_unstable_by_key(|id| id.text());
        wanted.dedup();
        let mut records = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(IDS_MAX) {
            let mut filter = collection.all(some)?;
            if self.mode == Mode::Standalone {
                filter.insert(standalone::DELETED, doc! { "$ne": true });
            }
            let found = self.documents(&collection, filter);
            for document in self.bounded("read", found).await? {
                records.push(collection.loaded(document));
            }
        }
        Ok(records)
    }

    /// From the primary, and what its majority has: a write that was acknowledged is among it, one
    /// that may be rolled back is not.
    async fn documents(
        &self,
        collection: &Collection<'_>,
        filter: Document,
    ) -> Result<Vec<Document>, Error> {
        let documents = self.database.collection::<Document>(collection.schema.table());
        let found = documents
            .find(filter)
            .projection(collection.projection())
            .selection_criteria(primary())
            .read_concern(self.read_concern())
            .max_time(CALL_TIMEOUT);
        found.await?.try_collect().await
    }

    fn read_concern(&self) -> ReadConcern {
        match self.mode {
            Mode::ReplicaSet => ReadConcern::majority(),
            Mode::Standalone => ReadConcern::local(),
        }
    }

    /// Ends a call that has no deadline of its own.
    async fn bounded<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        match timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|e| classify(e, doing)),
            Err(_) => {
                let seconds = CALL_TIMEOUT.as_secs();
                Err(StoreError::transient(format!("MongoDB did not answer in {seconds} s")))
            }
        }
    }
}

impl Store for MongoStore {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        match query {
            Query::Ids(ids) => Box::pin(self.load_ids(schema, ids)),
            Query::Scan { after, limit } => Box::pin(self.load_page(schema, after, limit)),
        }
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        check_kinds(schema, change)?;
        match change.record() {
            Some(record) => Collection::new(schema)?.check(record),
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

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store(MongoDB, {:?})", self.mode)
    }
}

/// Whatever the client prefers: a secondary may lag behind.
fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

/// The library's own collections.
const META: &str = "cached_repo_meta";
const OFFSETS: &str = "cached_repo_offsets";
const FENCES: &str = "cached_repo_fences";
const LETTERS: &str = "cached_repo_dead_letters";

/// Bounds every call that has no deadline of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// An id has at most a few KiB, a query at most 16 MiB.
const IDS_MAX: usize = 1_000;
