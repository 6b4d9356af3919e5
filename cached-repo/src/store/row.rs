//! One row that a store found: a record, or why it cannot be read as one.

use std::fmt;

use super::StoreError;
use crate::{
    change::EntityId,
    error::{Error, ErrorKind},
    record::Record,
};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb"))]
use crate::{
    key::entity_id,
    record::Value,
    schema::{ColumnSpec, Schema},
};

/// A row that a store found. A row that cannot be read harms no other row of the same query.
pub type Row = Result<Record<'static>, RowError>;

/// Why a row that is there cannot be read as a record: a column holds something that its kind does not
/// have, such as a text in a column of numbers, or null where none may be.
#[derive(Debug)]
pub struct RowError {
    id: Option<EntityId>,
    error: StoreError,
}

impl RowError {
    /// The row with this id cannot be read for this reason. Without an id the error belongs to every id
    /// that the query asked for and that has no other row.
    pub fn new(id: Option<EntityId>, error: StoreError) -> Self {
        Self { id, error }
    }

    /// Id of the row, if that can be read.
    pub fn id(&self) -> Option<&EntityId> {
        self.id.as_ref()
    }

    pub(crate) fn into_error(self) -> Error {
        let error = Error::new(ErrorKind::Undecodable, self.error.to_string());
        match self.id {
            Some(id) => error.of(id),
            None => error,
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "the row {id} cannot be read: {}", self.error),
            None => write!(f, "a row cannot be read: {}", self.error),
        }
    }
}

impl std::error::Error for RowError {}

/// What is wrong with a column that may not.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb"))]
pub(super) const NULL: &str = "it is null, which the field cannot be; make the field an `Option`, or give \
    the column a value in each row";

/// Whether a column of a row may hold null: its field can be null, or has a value for it.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb"))]
pub(super) fn may_be_null(column: &ColumnSpec) -> bool {
    column.is_nullable() || column.absent().is_some()
}

/// The id whose columns have these values, if each of them can be read.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "mongodb"))]
pub(super) fn id_of(
    schema: &Schema,
    mut read: impl FnMut(usize, &ColumnSpec) -> Option<Value<'static>>,
) -> Option<EntityId> {
    let values: Option<Vec<_>> = schema.id_columns().map(|(i, column)| read(i, column)).collect();
    entity_id(values?).ok()
}
