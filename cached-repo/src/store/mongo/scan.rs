//! Reading a collection page by page, in the order of its ids.

use futures_util::TryStreamExt;
use mongodb::{
    bson::{Document, doc},
    options::Hint,
};

use super::{
    CALL_TIMEOUT, Collection, Mode, MongoStore, StoreError, check_id, collection::ID, primary,
    standalone,
};
use crate::{
    change::EntityId,
    schema::Schema,
    store::{Row, row},
};

impl MongoStore {
    pub(super) async fn load_page(
        &self,
        schema: &Schema,
        after: Option<&EntityId>,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let collection = Collection::new(schema)?;
        if let Some(id) = after {
            check_id(schema, id.values())?;
        }
        let (mut filter, from) = match after {
            Some(id) => collection.behind(id)?,
            None => (Document::new(), None),
        };
        if self.mode == Mode::Standalone {
            filter.insert(standalone::DELETED, doc! { "$ne": true });
        }
        let order: Document = match collection.unique() {
            Some(fields) => fields.into_iter().map(|field| (field.to_owned(), 1.into())).collect(),
            None => doc! { ID: 1 },
        };
        let documents = self.database.collection::<Document>(schema.table());
        let mut found = documents
            .find(filter)
            .projection(collection.projection())
            .sort(order)
            // The one that it begins behind may come as well.
            .limit(i64::from(limit) + 1)
            .selection_criteria(primary())
            .read_concern(self.read_concern())
            .max_time(CALL_TIMEOUT);
        if let Some(key) = from {
            // Ids may be of several types, which a condition does not compare and the index does.
            found = found.min(doc! { ID: key }).hint(Hint::Keys(doc! { ID: 1 }));
        }
        let found = async { found.await?.try_collect::<Vec<Document>>().await };
        let mut records = Vec::new();
        for document in self.bounded("read", found).await? {
            let row = collection.loaded(document);
            let id = match &row {
                Ok(record) => row::id_of(schema, |index, _| record.get(index).cloned()),
                Err(error) => error.id().cloned(),
            };
            let is_after = after.is_some() && id.as_ref() == after;
            if !is_after && records.len() < limit as usize {
                records.push(row);
            }
        }
        Ok(records)
    }
}
