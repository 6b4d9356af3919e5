//! JSON of any shape.

use serde_json::Value as Json;

use super::{Column, ColumnError};
use crate::{record::Value, schema::Kind};

/// JSON's null is the column's, so that `Option` of it would have two kinds of null.
impl Column for Json {
    const KIND: Kind = Kind::Json;
    const NULLABLE: bool = true;
    fn to_value(&self) -> Value<'_> {
        match self {
            Json::Null => Value::Null,
            json => Value::Json(json.to_string().into()),
        }
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Null => Ok(Json::Null),
            Value::Json(v) => {
                serde_json::from_str(&v).map_err(|_| ColumnError::new("the text is no JSON"))
            }
            other => Err(ColumnError::unexpected("JSON", &other)),
        }
    }
}
