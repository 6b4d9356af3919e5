//! What derived code calls: small functions, so that the derive emits facts and no behaviour.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    column::{Column, ColumnError},
    record::{Record, Value},
};

mod checked;
use checked::NoJson;

/// How a value becomes a field.
type FromValue<T> = fn(Value<'_>) -> Result<T, ColumnError>;

/// JSON `null` is [`Value::Null`], so that a store can tell it.
const NULL: &str = "null";

/// Reads one column. Without a default, what is absent is null, if it can be.
pub fn read<T>(
    record: &mut Record<'_>,
    index: usize,
    name: &str,
    nullable: bool,
    from_value: FromValue<T>,
    default: Option<fn() -> T>,
) -> Result<T, ColumnError> {
    let field = match (record.take(index), default) {
        (None, Some(default)) => Ok(default()),
        (None, None) if nullable => from_value(Value::Null),
        (None, None) => Err(missing()),
        (Some(Value::Null), Some(default)) if !nullable => Ok(default()),
        (Some(value), _) => from_value(value),
    };
    field.map_err(|error| error.in_column(name))
}

/// The function that makes a default. Derived code says it in these words wherever it needs it, so that rustc
/// has one thing to say of a wrong one, and says it once.
pub fn made<T>(make: fn() -> T) -> fn() -> T {
    make
}

/// What stands for a column in a record of a struct that did not have the field.
pub fn absent<T: Column>(make: fn() -> T) -> Option<Value<'static>> {
    Some(make().to_value().into_owned())
}

/// The same of a field in JSON: null, if the type reads that.
pub fn json_absent<T: Json>(make: Option<fn() -> T>) -> Option<Value<'static>> {
    match make {
        Some(make) => make().to_value("").ok(),
        None => T::reads_null().then_some(Value::Null),
    }
}

/// A type that the field attribute `json` can keep. It is a trait so that its message says what to do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as JSON",
    label = "not both `Serialize` and `Deserialize`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Json: Sized {
    /// The value of the column.
    fn to_value(&self, name: &str) -> Result<Value<'static>, ColumnError>;

    /// Reads the column. Whether it can be null is asked of the type's `Deserialize`.
    fn read(
        record: &mut Record<'_>,
        index: usize,
        name: &str,
        default: Option<fn() -> Self>,
    ) -> Result<Self, ColumnError>;

    /// Whether the type can be read from null.
    fn reads_null() -> bool;
}

#[diagnostic::do_not_recommend] // Else rustc tells of serde's traits, and of all their types.
impl<T: Serialize + DeserializeOwned> Json for T {
    fn to_value(&self, name: &str) -> Result<Value<'static>, ColumnError> {
        match checked::write(self) {
            Ok(text) if text.nulls > 0 && !gives_back::<T>(&text) => Err(ColumnError::new(
                "has a `Some` that JSON writes as null, which would be read as `None`: use one `Option`, and a \
                 value that is not null by itself",
            )),
            Ok(text) if text.json == NULL => Ok(Value::Null),
            Ok(text) => Ok(Value::Json(Cow::Owned(text.json))),
            Err(NoJson::Inexact(why)) => Err(ColumnError::new(why)),
            Err(NoJson::Failed(error)) => Err(json_error("has no JSON", &error)),
        }
        .map_err(|error| error.in_column(name))
    }

    fn read(
        record: &mut Record<'_>,
        index: usize,
        name: &str,
        default: Option<fn() -> Self>,
    ) -> Result<Self, ColumnError> {
        let field = match (record.take(index), default) {
            (None, Some(default)) => Ok(default()),
            (None, None) => json_from_str(NULL).map_err(|_| missing()),
            (Some(Value::Null), default) => {
                json_from_str(NULL).or_else(|error| default.map(|make| make()).ok_or(error))
            }
            (Some(Value::Json(text)), _) => json_from_str(&text),
            (Some(other), _) => {
                Err(ColumnError::new(format!("expected JSON, found {}", other.type_name())))
            }
        };
        field.map_err(|error| error.in_column(name))
    }

    fn reads_null() -> bool {
        json_from_str::<T>(NULL).is_ok()
    }
}

/// Whether the type reads each `Some` that is null as what it was. Few do, by functions of their own.
fn gives_back<T: Serialize + DeserializeOwned>(text: &checked::Text) -> bool {
    let read = json_from_str::<T>(&text.json).ok();
    let again = read.and_then(|value| checked::write(&value).ok());
    again.is_some_and(|again| again.nulls == text.nulls)
}

fn json_from_str<T: DeserializeOwned>(text: &str) -> Result<T, ColumnError> {
    serde_json::from_str(text).map_err(|error| json_error("the JSON does not fit the type", &error))
}

/// What serde says about data quotes it, and values are the users' data: only the place is told.
fn json_error(what: &str, error: &serde_json::Error) -> ColumnError {
    if !error.is_data() {
        return ColumnError::new(format!("{what}: {error}"));
    }
    match error.line() {
        0 => ColumnError::new(what),
        line => ColumnError::new(format!("{what}: line {line}, column {}", error.column())),
    }
}

fn missing() -> ColumnError {
    ColumnError::new("is missing")
}
