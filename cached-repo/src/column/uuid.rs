//! UUIDs of the crate `uuid`.

use ::uuid::Uuid;

use super::{Column, ColumnError};
use crate::{record::Value, schema::Kind, spelling};

impl Column for Uuid {
    const KIND: Kind = Kind::Uuid;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Text(spelling::uuid_text(self.into_bytes()).into())
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Text(v) => spelling::uuid(&v)
                .map(Uuid::from_bytes)
                .ok_or_else(|| ColumnError::new("the text is no UUID")),
            other => Err(ColumnError::unexpected("a UUID", &other)),
        }
    }
}
