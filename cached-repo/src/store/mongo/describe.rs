//! The collections that a repository needs, and what of them is missing.

use futures_util::TryStreamExt;
use mongodb::{
    bson::{Bson, Document, doc},
    error::Error,
    results::CollectionType,
};

use super::{
    CALL_TIMEOUT, Collection, FENCES, LETTERS, META, Mode, MongoStore, OFFSETS, StoreError,
    collection::ID,
    connect::{STANDALONE, Unreached, greet, has_transactions},
    error::{classify, is_there},
    standalone,
    value::native,
};
use crate::{
    schema::{Kind, Schema},
    store::Description,
};

impl MongoStore {
    /// Collections and indexes cannot be made in every transaction, so they are made before. Those that
    /// are there are left alone: a role without the right to make them may install then.
    pub(super) async fn install(&self, schema: &Schema) -> Result<(), StoreError> {
        let collection = Collection::new(schema)?;
        let found = self.bounded("list its collections", self.collections()).await?;
        for name in names(&collection) {
            if found.iter().any(|found| found.name == name) {
                continue;
            }
            let created = async {
                match self.database.create_collection(name).await {
                    // Another process was faster.
                    Err(e) if is_there(&e) => Ok(()),
                    created => created,
                }
            };
            self.bounded("create a collection", created).await?;
        }
        for index in self.indexes(&collection)? {
            if !self.bounded("list its indexes", self.has_index(&index)).await? {
                self.command(index.command(), "create an index").await?;
            }
        }
        Ok(())
    }

    pub(super) async fn description(&self, schema: &Schema) -> Result<Description, StoreError> {
        let collection = Collection::new(schema)?;
        let hello = greet(&self.database).await.map_err(|unreached| match unreached {
            Unreached::Failed(e) => classify(e, "be reached"),
            Unreached::Silent => StoreError::transient("MongoDB does not answer"),
        })?;
        let mut missing = Vec::new();
        if self.mode == Mode::ReplicaSet && !has_transactions(&hello) {
            missing.push(format!("T{}.", &STANDALONE[1..]));
        }
        let found = self.bounded("list its collections", self.collections()).await?;
        for name in names(&collection) {
            match found.iter().find(|found| found.name == name) {
                None => missing.push(format!("The collection `{name}` does not exist.")),
                Some(found) => missing.extend(found.flaw(&collection)),
            }
        }
        for index in self.indexes(&collection)? {
            let has = self.bounded("list its indexes", self.has_index(&index));
            if found.iter().any(|found| found.name == index.collection) && !has.await? {
                missing.push(index.missing());
            }
        }
        missing.extend(self.bounded("read a few ids", self.texts_as_ids(&collection)).await?);
        let privileges = self.privileges(&collection);
        Ok(Description::new(self.script(&collection)?, missing).journaling().demanding(privileges))
    }

    async fn collections(&self) -> Result<Vec<Found>, Error> {
        let all: Vec<_> = self.database.list_collections().await?.try_collect().await?;
        let each = all.into_iter().map(|found| Found {
            name: found.name,
            is_plain: matches!(found.collection_type, CollectionType::Collection)
                && found.options.capped != Some(true),
            folds: found.options.collation.map(|collation| collation.locale),
        });
        Ok(each.collect())
    }

    async fn has_index(&self, index: &Index) -> Result<bool, Error> {
        let collection = self.database.collection::<Document>(&index.collection);
        let found: Vec<_> = collection.list_indexes().await?.try_collect().await?;
        Ok(found.iter().any(|found| {
            let options = found.options.clone().unwrap_or_default();
            let same_fields = match index.is_unique() {
                // In any order: that makes no difference to what is unique.
                true => {
                    index.keys.len() == found.keys.len()
                        && index.keys.keys().all(|key| found.keys.contains_key(key))
                }
                false => index.keys.keys().eq(found.keys.keys()),
            };
            let is_whole = options.partial_filter_expression.is_none()
                && options.sparse != Some(true)
                && options.collation.is_none();
            same_fields && (!index.is_unique() || (options.unique == Some(true) && is_whole))
        }))
    }

    /// Why documents would not be found: their ids are texts that are looked for as what they spell.
    /// Looks at a few only, because documents of one collection mostly have ids of one form.
    async fn texts_as_ids(&self, collection: &Collection<'_>) -> Result<Option<String>, Error> {
        let mut ids = collection.schema.id_columns();
        let (Some((_, column)), None) = (ids.next(), ids.next()) else { return Ok(None) };
        let is_held_otherwise = match column.kind() {
            Kind::Text => collection.has_native_ids(),
            Kind::Uuid | Kind::ObjectId => collection.has_id(),
            _ => false,
        };
        if !is_held_otherwise {
            return Ok(None);
        }
        let name = collection.schema.table();
        let texts = doc! { ID: { "$type": "string" } };
        let documents = self.database.collection::<Document>(name);
        let few = documents
            .find(texts)
            .projection(doc! { ID: 1 })
            .limit(IDS_LOOKED_AT)
            .max_time(CALL_TIMEOUT);
        let few: Vec<Document> = few.await?.try_collect().await?;
        let is_native = |found: &Document| found.get_str(ID).is_ok_and(|id| native(id).is_some());
        let remedy = match column.kind() {
            Kind::Text => "if they are to stay texts, give the id",
            _ => "if they are to stay texts, let the id be a `String` with",
        };
        Ok(few.iter().any(is_native).then(|| {
            format!(
                "The collection `{name}` has texts as `_id` that spell an ObjectId or a UUID, and would \
                 be looked for as such: {remedy} the attribute `column = \"_id\"`."
            )
        }))
    }
}

/// What there is of a collection.
struct Found {
    name: String,
    /// Neither a view, nor a time series, nor capped.
    is_plain: bool,
    /// The language by whose rules it takes different texts for equal.
    folds: Option<String>,
}

impl Found {
    fn flaw(&self, collection: &Collection<'_>) -> Option<String> {
        let Self { name, is_plain, folds } = self;
        if !is_plain {
            return Some(format!(
                "`{name}` is a view, a time series or capped: it must be an ordinary collection."
            ));
        }
        let locale = folds.as_ref().filter(|_| name == collection.schema.table())?;
        Some(format!(
            "The collection `{name}` takes different ids for equal (collation `{locale}`), so that one \
             entity would overwrite another: make a collection without a collation."
        ))
    }
}

/// An index that is needed.
struct Index {
    collection: String,
    name: String,
    keys: Document,
    options: Document,
}

impl Index {
    fn named(&self) -> Document {
        let mut options = doc! { "name": &self.name };
        options.extend(self.options.clone());
        options
    }

    fn is_unique(&self) -> bool {
        self.options.contains_key("unique")
    }

    fn command(&self) -> Document {
        let mut index = doc! { "key": self.keys.clone() };
        index.extend(self.named());
        doc! { "createIndexes": &self.collection, "indexes": [index] }
    }

    fn missing(&self) -> String {
        let fields: Vec<_> = self.keys.keys().map(String::as_str).collect();
        let (name, fields) = (&self.collection, fields.join(", "));
        match self.is_unique() {
            true => format!(
                "The collection `{name}` has no unique index on exactly ({fields}), for all documents and \
                 without a collation: a write cannot tell which document to overwrite."
            ),
            false => format!("The collection `{name}` has no index on ({fields})."),
        }
    }
}

fn names<'a>(collection: &Collection<'a>) -> [&'a str; 5] {
    [collection.schema.table(), META, OFFSETS, FENCES, LETTERS]
}

impl MongoStore {
    fn indexes(&self, collection: &Collection<'_>) -> Result<Vec<Index>, StoreError> {
        let ascending = |fields: &[&str]| {
            fields.iter().map(|field| ((*field).to_owned(), Bson::Int32(1))).collect::<Document>()
        };
        let of_rows = |name: &str, fields: &[&str], options| Index {
            collection: collection.schema.table().to_owned(),
            name: name.to_owned(),
            keys: ascending(fields),
            options,
        };
        // Every journaled write asks whether letters wait, and pages of them are read in this order.
        let mut indexes = vec![Index {
            collection: LETTERS.to_owned(),
            name: "cached_repo_waiting".to_owned(),
            keys: ascending(&["entity", "state", "partition", "version"]),
            options: doc! {},
        }];
        if let Some(fields) = collection.unique() {
            indexes.push(of_rows("cached_repo_id", &fields, doc! { "unique": true }));
        }
        if self.mode == Mode::Standalone {
            standalone::check_names(collection)?;
            let purge = doc! { "expireAfterSeconds": standalone::DELETED_S };
            indexes.push(of_rows("cached_repo_deleted", &[standalone::DELETED_AT], purge));
        }
        Ok(indexes)
    }

    /// What a role must be allowed: to look what there is, and what is done with each collection.
    fn privileges(&self, collection: &Collection<'_>) -> Vec<String> {
        let privilege = |name: &str, actions: &[&str]| {
            let resource = doc! { "db": self.database.name(), "collection": name };
            doc! { "resource": resource, "actions": actions }.to_string()
        };
        let each = names(collection).map(|name| match name == collection.schema.table() {
            true => privilege(name, &["find", "insert", "update", "remove", "listIndexes"]),
            // What the library keeps stays.
            false => privilege(name, &["find", "insert", "update", "listIndexes"]),
        });
        [privilege("", &["listCollections"])].into_iter().chain(each).collect()
    }

    /// What a person runs in MongoDB's shell.
    fn script(&self, collection: &Collection<'_>) -> Result<String, StoreError> {
        let quoted = |name: &str| Bson::from(name).to_string();
        let mut script = String::new();
        for name in names(collection) {
            let name = quoted(name);
            script.push_str(&format!(
                "if (!db.getCollectionNames().includes({name})) db.createCollection({name});\n"
            ));
        }
        for index in self.indexes(collection)? {
            let (name, keys, options) = (quoted(&index.collection), &index.keys, index.named());
            script.push_str(&format!("db.getCollection({name}).createIndex({keys}, {options});\n"));
        }
        Ok(script)
    }
}

/// Enough to see what form the ids of a collection have.
const IDS_LOOKED_AT: i64 = 100;
