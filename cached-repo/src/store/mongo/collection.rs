//! An entity's collection: where its id stands, and how its columns are fields of a document.

use mongodb::bson::{Bson, Document, doc};

use super::value::{Texts, from_bson, to_bson};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::{ColumnSpec, Kind, Schema},
    store::{Row, RowError, StoreError, check::refused, row},
};

/// A collection as one schema sees it.
pub(super) struct Collection<'a> {
    pub(super) schema: &'a Schema,
    place: Place,
}

/// Where the id stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is `_id`.
    Whole,
    /// Its columns are the fields of `_id`, in the schema's order.
    Parts,
    /// Its columns are fields of the document, which an index keeps unique.
    Fields,
}

impl<'a> Collection<'a> {
    /// # Errors
    ///
    /// When a name cannot be that of a collection or of a field.
    pub(super) fn new(schema: &'a Schema) -> Result<Self, StoreError> {
        let name = schema.table();
        if name.is_empty() || name.starts_with("system.") || name.contains(['$', '\0']) {
            return Err(StoreError::systemic(format!(
                "`{name}` cannot be the name of a collection of MongoDB: choose another with the \
                 attribute `collection`"
            )));
        }
        for column in schema.columns() {
            let field = column.column();
            if field.is_empty() || field.starts_with('$') || field.contains(['.', '\0']) {
                return Err(StoreError::systemic(format!(
                    "`{field}` cannot be the name of a field of MongoDB: choose another with the \
                     attribute `column`"
                )));
            }
        }
        let place = match &*schema.id_columns().map(|(_, column)| column).collect::<Vec<_>>() {
            [column] if is_default(column) || column.column() == ID => Place::Whole,
            columns if columns.iter().all(|column| is_default(column)) => Place::Parts,
            _ => Place::Fields,
        };
        Ok(Self { schema, place })
    }

    /// The fields that need a unique index, where `_id` is not the id.
    pub(super) fn unique(&self) -> Option<Vec<&'a str>> {
        let fields = || self.schema.id_columns().map(|(_, column)| column.column()).collect();
        (self.place == Place::Fields).then(fields)
    }

    /// The fields that make a document one of this id.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        let named = self.unique().unwrap_or_default().into_iter();
        [ID].into_iter().chain(named.filter(|field| *field != ID))
    }

    /// Whether the id is `_id` by itself.
    pub(super) fn has_id(&self) -> bool {
        self.place == Place::Whole
    }

    /// Whether texts that spell an ObjectId or a UUID are held as such.
    pub(super) fn has_native_ids(&self) -> bool {
        self.schema.id_columns().all(|(_, column)| texts(column) == Texts::Native)
    }

    /// The one document of an id.
    ///
    /// # Errors
    ///
    /// Why MongoDB cannot hold such an id.
    pub(super) fn one(&self, id: &EntityId) -> Result<Document, StoreError> {
        self.query(id, |value| doc! { "$eq": value })
    }

    /// The documents whose ids are greater, as a condition; or where it is `_id`, from which one on.
    pub(super) fn behind(&self, id: &EntityId) -> Result<(Document, Option<Bson>), StoreError> {
        let fields = self.id_fields(id.values())?;
        if self.place != Place::Fields {
            return Ok((Document::new(), Some(self.key(fields))));
        }
        let mut equal = Document::new();
        let mut each = Vec::new();
        for (name, value) in fields {
            let mut greater = equal.clone();
            greater.insert(name.clone(), doc! { "$gt": value.clone() });
            each.push(greater);
            equal.insert(name, doc! { "$eq": value });
        }
        Ok((doc! { "$or": each }, None))
    }

    /// The documents of all these ids.
    pub(super) fn all(&self, ids: &[&EntityId]) -> Result<Document, StoreError> {
        let has_decimals = self.schema.id_columns().any(|(_, id)| id.kind() == Kind::Decimal);
        if self.place != Place::Fields && !has_decimals {
            let keys = ids.iter().map(|id| Ok(self.key(self.id_fields(id.values())?)));
            let keys = keys.collect::<Result<Vec<_>, StoreError>>()?;
            return Ok(doc! { ID: { "$in": keys } });
        }
        let each = ids.iter().map(|id| match has_decimals {
            false => self.one(id),
            // MongoDB 6.0 makes one scan of an index of several equal values, and if they are decimals
            // that no float holds, it does not end. Of several ranges it makes as many scans.
            true => self.query(id, |value| doc! { "$gte": value.clone(), "$lte": value }),
        });
        Ok(doc! { "$or": each.collect::<Result<Vec<_>, _>>()? })
    }

    fn query(
        &self,
        id: &EntityId,
        equal: impl Fn(Bson) -> Document,
    ) -> Result<Document, StoreError> {
        let fields = self.id_fields(id.values())?;
        Ok(match self.place {
            Place::Fields => {
                fields.into_iter().map(|(name, value)| (name, equal(value).into())).collect()
            }
            _ => doc! { ID: equal(self.key(fields)) },
        })
    }

    /// The fields that a record sets, and those that it has not: all others stay as they are.
    ///
    /// # Errors
    ///
    /// Why MongoDB cannot hold the record.
    pub(super) fn fields(&self, record: &Record<'_>) -> Result<(Document, Document), StoreError> {
        let (mut set, mut unset) = (Document::new(), Document::new());
        for (index, value) in record.iter() {
            let Some(column) = self.schema.columns().get(index) else { continue };
            if column.is_id() {
                continue;
            }
            match to_bson(column.kind(), value, Texts::AsTheyAre) {
                Ok(Some(value)) => drop(set.insert(column.column(), value)),
                Ok(None) => drop(unset.insert(column.column(), "")),
                Err(why) => return Err(cannot_hold(column, &why)),
            }
        }
        Ok((set, unset))
    }

    /// Refuses a record that a document cannot hold exactly.
    pub(super) fn check(&self, record: &Record<'_>) -> Result<(), StoreError> {
        for (index, column) in self.schema.id_columns() {
            let value = record.get(index).unwrap_or(&Value::Null);
            to_bson(column.kind(), value, texts(column))
                .map_err(|why| cannot_hold(column, &why))?;
        }
        let (fields, _) = self.fields(record)?;
        let bytes = fields.to_vec().map_err(|e| {
            StoreError::record("the record cannot be spelled in BSON").caused_by(e.to_string())
        })?;
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let found = bytes.len();
            return Err(StoreError::record(format!(
                "the record has {found} bytes as BSON, a document of MongoDB at most 16 MiB"
            )));
        }
        Ok(())
    }

    /// Whether the id can be held at all. If not, no document has it.
    pub(super) fn can_hold(&self, id: &EntityId) -> bool {
        self.id_fields(id.values()).is_ok()
    }

    /// The fields that a record is read from.
    pub(super) fn projection(&self) -> Document {
        let columns = self.schema.columns().iter();
        let fields = columns.filter(|column| self.place == Place::Fields || !column.is_id());
        let mut projection: Document =
            fields.map(|column| (column.column().to_owned(), Bson::Int32(1))).collect();
        let with_id = self.place != Place::Fields || projection.contains_key(ID);
        projection.insert(ID, i32::from(with_id));
        projection
    }

    /// A document as a record, or why it is none.
    pub(super) fn loaded(&self, document: Document) -> Row {
        let id = document.get(ID).cloned();
        let ids = self.schema.id_columns();
        let fields: Vec<_> = ids.map(|(_, c)| document.get(c.column()).cloned()).collect();
        self.record(document).map_err(|e| {
            let mut fields = fields.into_iter();
            let read = |_: usize, column: &ColumnSpec| {
                let field = match (self.place, &id) {
                    (Place::Whole, id) => id.clone(),
                    (Place::Parts, Some(Bson::Document(parts))) => {
                        parts.get(column.column()).cloned()
                    }
                    _ => fields.next().flatten(),
                };
                from_bson(column.kind(), field, texts(column)).ok()
            };
            RowError::new(row::id_of(self.schema, read), e)
        })
    }

    /// Reads a record from a document.
    ///
    /// # Errors
    ///
    /// Which field holds something else than its column.
    pub(super) fn record(&self, mut document: Document) -> Result<Record<'static>, StoreError> {
        let mut record = Record::absent(self.schema.columns().len());
        let mut parts = match (self.place, document.get(ID)) {
            (Place::Parts, Some(Bson::Document(parts))) => parts.clone(),
            _ => Document::new(),
        };
        for (index, column) in self.schema.columns().iter().enumerate() {
            let field = match (column.is_id(), self.place) {
                (true, Place::Whole) => document.remove(ID),
                (true, Place::Parts) => parts.remove(column.column()),
                _ => document.remove(column.column()),
            };
            let texts = if column.is_id() { texts(column) } else { Texts::AsTheyAre };
            let value = match from_bson(column.kind(), field, texts) {
                Ok(Value::Null) if !row::may_be_null(column) => Err(row::NULL.to_owned()),
                value => value,
            };
            let value = value.map_err(|why| {
                refused(column, format!("a document of `{}`: {why}", self.schema.table()))
            })?;
            record.set(index, value);
        }
        Ok(record)
    }

    fn id_fields(&self, values: &[Value<'_>]) -> Result<Document, StoreError> {
        let mut fields = Document::new();
        for ((_, column), value) in self.schema.id_columns().zip(values) {
            let value = to_bson(column.kind(), value, texts(column));
            let value = value.map_err(|why| cannot_hold(column, &why))?.unwrap_or(Bson::Null);
            fields.insert(column.column(), value);
        }
        Ok(fields)
    }

    fn key(&self, mut fields: Document) -> Bson {
        match self.place {
            Place::Whole => {
                let first = fields.keys().next().cloned();
                first.and_then(|name| fields.remove(&name)).unwrap_or(Bson::Null)
            }
            _ => Bson::Document(fields),
        }
    }
}

/// Whether the attribute `column` was left out, so that the id is `_id`.
fn is_default(column: &ColumnSpec) -> bool {
    column.column() == column.name()
}

/// Whoever names the column of an id has it as it is.
fn texts(column: &ColumnSpec) -> Texts {
    if is_default(column) { Texts::Native } else { Texts::AsTheyAre }
}

fn cannot_hold(column: &ColumnSpec, why: &str) -> StoreError {
    refused(column, format!("MongoDB cannot hold {why}"))
}

/// The field that every document has.
pub(super) const ID: &str = "_id";
/// A document has at most 16 MiB; the update around it and the id need room too.
pub(super) const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024 - 64 * 1024;
