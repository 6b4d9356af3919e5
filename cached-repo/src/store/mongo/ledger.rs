//! The library's own records: who answers which operation, and what they have in common.

use futures_util::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
    options::{ReturnDocument, WriteConcern},
};

use super::{
    CALL_TIMEOUT, META, MongoStore, StoreError,
    error::{check_reply, is_duplicate},
    primary,
};
use crate::store::{Entry, Ledger};

impl MongoStore {
    /// Does what [`Ledger`] asks for.
    pub(super) async fn operate(&self, operation: Ledger<'_>) -> Result<Entry, StoreError> {
        Ok(match operation {
            Ledger::Install { schema } => {
                self.install(schema).await?;
                Entry::Done
            }
            Ledger::Identity => Entry::Identity(self.identity().await?),
            Ledger::Offset { entity, partition } => {
                Entry::Offset(self.offset(entity, partition).await?)
            }
            Ledger::Recover { entity, partition, journal, home, epoch_min, seen } => {
                let (names, epochs) = ((journal, home), (seen, epoch_min));
                Entry::Offset(self.recover(entity, partition, names, epochs).await?)
            }
            Ledger::Settle { entity, partition, epoch } => {
                Entry::Changed(self.settle(entity, partition, epoch).await?)
            }
            Ledger::Seal { entity, partition, epoch, last_id } => {
                Entry::Changed(self.seal(entity, partition, epoch, last_id).await?)
            }
            Ledger::Letters { entity, after, limit } => {
                Entry::Letters(self.letters(entity, after, limit).await?)
            }
            Ledger::Letter(letter) => Entry::Letters(self.letter(letter).await?),
            Ledger::Edit { letter, data } => Entry::Changed(self.edit(letter, data).await?),
            Ledger::Discard(letter) => Entry::Changed(self.discard(letter).await?),
        })
    }

    async fn identity(&self) -> Result<String, StoreError> {
        let query = doc! { "_id": STORE_ID };
        if let Some(found) = self.find_one(META, query.clone()).await? {
            return Ok(found.get_str("value").unwrap_or_default().to_owned());
        }
        let drawn = self.random.token();
        let update = doc! { "$setOnInsert": { "value": &drawn } };
        let before = self.upsert(META, query, update).await?;
        let kept = before.and_then(|kept| kept.get_str("value").ok().map(str::to_owned));
        Ok(kept.unwrap_or(drawn))
    }

    pub(super) async fn find_one(
        &self,
        collection: &str,
        filter: Document,
    ) -> Result<Option<Document>, StoreError> {
        let collection = self.database.collection::<Document>(collection);
        let found = collection
            .find_one(filter)
            .selection_criteria(primary())
            .read_concern(self.read_concern())
            .max_time(CALL_TIMEOUT);
        self.bounded("read its records", async { found.await }).await
    }

    pub(super) async fn find_all(
        &self,
        collection: &str,
        filter: Document,
        sort: Document,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        let collection = self.database.collection::<Document>(collection);
        let found = collection
            .find(filter)
            .sort(sort)
            .limit(limit.into())
            .selection_criteria(primary())
            .read_concern(self.read_concern())
            .max_time(CALL_TIMEOUT);
        self.bounded("read its records", async { found.await?.try_collect().await }).await
    }

    /// Makes a document if there is none. What was there before.
    pub(super) async fn upsert(
        &self,
        collection: &str,
        query: Document,
        update: Document,
    ) -> Result<Option<Document>, StoreError> {
        let collection = self.own(collection);
        let change = || async {
            collection
                .find_one_and_update(query.clone(), update.clone())
                .upsert(true)
                .return_document(ReturnDocument::Before)
                .max_time(CALL_TIMEOUT)
                .await
        };
        self.bounded("keep its records", async {
            match change().await {
                // Two that insert at the same time: the later one finds the document.
                Err(e) if is_duplicate(&e) => change().await,
                changed => changed,
            }
        })
        .await
    }

    /// Changes one document. What it is now, if it was found.
    pub(super) async fn find_and_update(
        &self,
        collection: &str,
        query: Document,
        update: Document,
    ) -> Result<Option<Document>, StoreError> {
        let collection = self.own(collection);
        let change = collection
            .find_one_and_update(query, update)
            .return_document(ReturnDocument::After)
            .max_time(CALL_TIMEOUT);
        self.bounded("keep its records", async { change.await }).await
    }

    /// Sets fields of one document. Whether it was found.
    pub(super) async fn change(
        &self,
        collection: &str,
        query: Document,
        set: Document,
    ) -> Result<bool, StoreError> {
        let update = doc! { "$set": set, "$currentDate": { "updated_at": true } };
        Ok(self.find_and_update(collection, query, update).await?.is_some())
    }

    /// Runs a command that writes, outside of a transaction.
    pub(super) async fn command(&self, command: Document, doing: &str) -> Result<(), StoreError> {
        let reply = self.reply(command, doing).await?;
        check_reply(&reply).map_err(|fault| fault.error)
    }

    /// The same, where the reply's own errors are the caller's to look at.
    pub(super) async fn reply(
        &self,
        mut command: Document,
        doing: &str,
    ) -> Result<Document, StoreError> {
        command.insert("writeConcern", doc! { "w": "majority", "j": true });
        let most = i64::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        command.entry("maxTimeMS".to_owned()).or_insert(most.into());
        let reply = async { self.database.run_command(command).await };
        self.bounded(doing, reply).await
    }

    /// A collection of the library's own, whose writes are confirmed by the majority's disks.
    fn own(&self, name: &str) -> Collection<Document> {
        let mut concern = WriteConcern::majority();
        concern.journal = Some(true);
        let options = mongodb::options::CollectionOptions::builder().write_concern(concern).build();
        self.database.collection_with_options(name, options)
    }
}

/// Versions and epochs stay far below the greatest integer of a database.
pub(super) fn number(value: u64) -> Bson {
    Bson::Int64(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A number in a document; 0 if it is absent.
pub(super) fn of(document: &Document, field: &str) -> u64 {
    document.get_i64(field).ok().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

const STORE_ID: &str = "store_id";
