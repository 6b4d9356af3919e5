//! How one field becomes the value of a column and is built from it again.

use std::{borrow::Cow, fmt};

use crate::{record::Value, schema::Kind};

#[cfg(feature = "chrono")]
mod chrono;
pub(crate) mod json;
#[cfg(feature = "rust_decimal")]
mod rust_decimal;
#[cfg(any(feature = "chrono", feature = "time"))]
mod spelled;
#[cfg(feature = "time")]
mod time;
#[cfg(feature = "uuid")]
mod uuid;

/// A type that fits one column. Implement it for newtypes; everything else that serde can write
/// goes through the field attribute `json`.
///
/// | types | feature |
/// |---|---|
/// | `bool`, integers up to 64 bits, `f32`, `f64`, `String`, `Vec<u8>`, `serde_json::Value`, `Option` of a type that is not null by itself | |
/// | `uuid::Uuid` | `uuid` |
/// | `rust_decimal::Decimal` | `rust_decimal` |
/// | `chrono::DateTime<Utc>`, `NaiveDateTime`, `NaiveDate`, `NaiveTime` | `chrono` |
/// | `time::UtcDateTime`, `OffsetDateTime` (which comes back in UTC), `PrimitiveDateTime`, `Date`, `Time` | `time` |
/// | `mongodb::bson::oid::ObjectId` | `mongodb` |
///
/// A newtype of another decimal or another time says the [`Kind`] and spells its value as that says.
///
/// ```
/// use cached_repo::{Column, ColumnError, Kind, Value};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Email(String);
///
/// impl Column for Email {
///     const KIND: Kind = Kind::Text;
///     const NULLABLE: bool = false;
///     fn to_value(&self) -> Value<'_> {
///         self.0.to_value()
///     }
///     fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
///         String::from_value(value).map(Self)
///     }
/// }
/// ```
///
/// # Contract
///
/// - [`to_value`](Self::to_value) MUST return a value of [`KIND`](Self::KIND), or
///   [`Value::Null`] if [`NULLABLE`](Self::NULLABLE).
/// - [`from_value`](Self::from_value) MUST return an equal value from what `to_value` made, and an
///   error (no panic) from anything else.
/// - For an id, equal values MUST have equal [`Value`]s.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit a column",
    label = "not a `Column`",
    note = "implement `cached_repo::Column` for it, or keep it as JSON: `#[cache(json)]`"
)]
pub trait Column: Sized {
    /// The kind of column that holds this type.
    const KIND: Kind;

    /// Whether the column may be null.
    const NULLABLE: bool;

    /// The value to store, borrowed where it can be.
    fn to_value(&self) -> Value<'_>;

    /// The value that was stored.
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError>;
}

/// A column that cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnError {
    column: Option<String>,
    message: String,
}

impl ColumnError {
    /// An error with this message. The column's name is added by whoever knows it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { column: None, message: message.into() }
    }

    /// Names the column, unless a deeper place did.
    #[must_use]
    pub fn in_column(mut self, name: &str) -> Self {
        self.column.get_or_insert_with(|| name.to_owned());
        self
    }

    pub(crate) fn unexpected(expected: &str, found: &Value<'_>) -> Self {
        Self::new(format!("expected {expected}, found {}", found.type_name()))
    }
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column `{column}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ColumnError {}

macro_rules! integers {
    ($($t:ty => $kind:ident),*) => {$(
        impl Column for $t {
            const KIND: Kind = Kind::$kind;
            const NULLABLE: bool = false;
            fn to_value(&self) -> Value<'_> {
                Value::I64(i64::from(*self))
            }
            fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
                integer(value)
            }
        }
    )*};
}
integers!(i8 => I16, u8 => I16, i16 => I16, u16 => I32, i32 => I32, u32 => I64, i64 => I64);

fn integer<T: TryFrom<i64> + TryFrom<u64>>(value: Value<'_>) -> Result<T, ColumnError> {
    let narrow = match value {
        Value::I64(v) => T::try_from(v).ok(),
        Value::U64(v) => T::try_from(v).ok(),
        other => return Err(ColumnError::unexpected("an integer", &other)),
    };
    narrow.ok_or_else(|| {
        ColumnError::new(format!("the number does not fit {}", std::any::type_name::<T>()))
    })
}

macro_rules! wide_integers {
    ($($t:ty => $kind:ident, $value:ident, $as:ty);*) => {$(
        impl Column for $t {
            const KIND: Kind = Kind::$kind;
            const NULLABLE: bool = false;
            fn to_value(&self) -> Value<'_> {
                // The pointer-sized types have at most 64 bits on every platform of Rust.
                Value::$value(*self as $as)
            }
            fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
                integer(value)
            }
        }
    )*};
}
wide_integers!(u64 => U64, U64, u64; usize => U64, U64, u64; isize => I64, I64, i64);

impl Column for bool {
    const KIND: Kind = Kind::Bool;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Bool(v) => Ok(v),
            other => Err(ColumnError::unexpected("a bool", &other)),
        }
    }
}

impl Column for f64 {
    const KIND: Kind = Kind::F64;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::F64(*self)
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::F64(v) => Ok(v),
            other => Err(ColumnError::unexpected("a float", &other)),
        }
    }
}

impl Column for f32 {
    const KIND: Kind = Kind::F32;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::F64(f64::from(*self))
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        f64::from_value(value).map(|v| v as f32)
    }
}

impl Column for String {
    const KIND: Kind = Kind::Text;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Text(v) => Ok(v.into_owned()),
            other => Err(ColumnError::unexpected("text", &other)),
        }
    }
}

impl Column for Vec<u8> {
    const KIND: Kind = Kind::Bytes;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Bytes(Cow::Borrowed(self))
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Bytes(v) => Ok(v.into_owned()),
            other => Err(ColumnError::unexpected("bytes", &other)),
        }
    }
}

impl<T: Column> Column for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = one_null(T::NULLABLE);
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[track_caller] // Else rustc shows where `assert!` is defined.
const fn one_null(nullable_inside: bool) -> bool {
    assert!(
        !nullable_inside,
        "an `Option` of what is null by itself has two kinds of null, and a column has one: leave one out"
    );
    true
}
