//! JSON of any shape.

use serde_json::Value as Json;

use super::{Column, ColumnError};
use crate::{
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// How deep JSON may be. Parsers give up at 128 levels, and an entry adds some of its own.
const DEPTH_MAX: usize = 120;

/// Refuses a record whose JSON is so deep that no reader would take it.
pub(crate) fn check_depth<'r>(
    record: Record<'r>,
    schema: &Schema,
) -> Result<Record<'r>, ColumnError> {
    for (index, value) in record.iter() {
        if let Value::Json(text) = value
            && depth(text) > DEPTH_MAX
        {
            let name = schema.columns().get(index).map_or("", |column| column.name());
            let why = format!("has JSON of more than {DEPTH_MAX} levels: make it flatter");
            return Err(ColumnError::new(why).in_column(name));
        }
    }
    Ok(record)
}

/// How many arrays and objects are open at most.
fn depth(json: &str) -> usize {
    let (mut open, mut most, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

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
