//! What the derive implements: how a struct becomes columns and is built from them again.

use std::{borrow::Cow, fmt, time::Duration};

use crate::{
    record::{Record, Value},
    schema::{Kind, Schema},
};

/// A struct that a [`Repository`](crate::Repository) can keep. Derive it.
///
/// # Contract
///
/// The derive keeps it; a hand-written implementation
/// - MUST put exactly the columns of [`SCHEMA`](Self::SCHEMA) into the record, at their indices, with
///   values of their kinds. Otherwise saves are refused with [`Invalid`](crate::ErrorKind::Invalid).
/// - MUST return from [`id`](Self::id) what the id columns hold. Otherwise reads take the entry for
///   somebody else's and go to the store every time.
/// - MUST build an equal entity from the record that it made. Otherwise a read shows something else
///   than what was saved.
/// - SHOULD take values out of the record instead of copying them.
pub trait CachedEntity: Sized + Send + Sync + 'static {
    /// The type of the id: a [`Column`], or a tuple of them for a composite id.
    type Id: Id;

    /// The columns, and the default names.
    const SCHEMA: Schema;

    /// What the attributes say; the builder may say otherwise.
    const SETTINGS: Settings;

    /// The id.
    fn id(&self) -> Self::Id;

    /// The columns of this entity, borrowing from it. Fails where a nested value has no JSON.
    fn to_record(&self) -> Result<Record<'_>, ColumnError>;

    /// Builds the entity from its columns. Fails where one is missing or of another type.
    fn from_record(record: &mut Record<'_>) -> Result<Self, ColumnError>;
}

/// What the container attributes of the derive say. Everything is optional: what is not said has the
/// default that the attribute's documentation names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The strategy's name.
    pub strategy: Option<&'static str>,
    /// The format's name.
    pub format: Option<&'static str>,
    /// How long a clean entry lives.
    pub ttl: Option<Duration>,
    /// By how many percent of itself a time to live is spread.
    pub jitter_percent: Option<u8>,
    /// How long "no such row" is remembered; zero turns it off.
    pub negative_ttl: Option<Duration>,
}

impl Settings {
    /// Nothing said.
    pub const fn new() -> Self {
        Self { strategy: None, format: None, ttl: None, jitter_percent: None, negative_ttl: None }
    }

    /// Says the strategy.
    #[must_use]
    pub const fn strategy(self, name: &'static str) -> Self {
        Self { strategy: Some(name), ..self }
    }

    /// Says the format.
    #[must_use]
    pub const fn format(self, name: &'static str) -> Self {
        Self { format: Some(name), ..self }
    }

    /// Says the time to live.
    #[must_use]
    pub const fn ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// Says the jitter.
    #[must_use]
    pub const fn jitter_percent(self, percent: u8) -> Self {
        Self { jitter_percent: Some(percent), ..self }
    }

    /// Says the time to live of "no such row".
    #[must_use]
    pub const fn negative_ttl(self, ttl: Duration) -> Self {
        Self { negative_ttl: Some(ttl), ..self }
    }
}

/// A type that fits one column. Implement it for newtypes; everything else that serde can write
/// goes through the field attribute `json`.
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

    fn unexpected(expected: &str, found: &Value<'_>) -> Self {
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

/// An id: a [`Column`], or a tuple of two to four of them. It cannot be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an id",
    label = "not an `Id`",
    note = "an id is a type that implements `cached_repo::Column` and `Clone`, or up to four of them"
)]
pub trait Id: Clone + Send + Sync + 'static + sealed::Sealed {
    /// The values of the id columns, in the order in which the struct declares them.
    fn values(&self) -> Vec<Value<'_>>;
}

/// What a repository takes for an id: the id itself, a reference to it, `&str` for a `String`, and
/// tuples of these for a composite id. It cannot be implemented by hand.
pub trait IntoId<I>: sealed::SealedInto<I> {
    /// The id.
    fn into_id(self) -> I;
}

// Nobody outside may implement what these seal, so nobody outside may name them.
#[allow(unnameable_types)]
mod sealed {
    pub trait Sealed {}
    pub trait SealedInto<I> {}
}

impl<T: Column + Clone + Send + Sync + 'static> sealed::Sealed for T {}
#[diagnostic::do_not_recommend]
impl<T: Column + Clone + Send + Sync + 'static> Id for T {
    fn values(&self) -> Vec<Value<'_>> {
        vec![self.to_value()]
    }
}

impl<T: Column> sealed::SealedInto<T> for T {}
impl<T: Column> IntoId<T> for T {
    fn into_id(self) -> T {
        self
    }
}

impl<T: Column + Clone> sealed::SealedInto<T> for &T {}
impl<T: Column + Clone> IntoId<T> for &T {
    fn into_id(self) -> T {
        self.clone()
    }
}

impl sealed::SealedInto<String> for &str {}
impl IntoId<String> for &str {
    fn into_id(self) -> String {
        self.to_owned()
    }
}

macro_rules! composite {
    ($($id:ident $from:ident $n:tt),*) => {
        impl<$($id: Column + Clone + Send + Sync + 'static),*> sealed::Sealed for ($($id,)*) {}
        #[diagnostic::do_not_recommend]
        impl<$($id: Column + Clone + Send + Sync + 'static),*> Id for ($($id,)*) {
            fn values(&self) -> Vec<Value<'_>> {
                vec![$(self.$n.to_value()),*]
            }
        }
        impl<$($id, $from: IntoId<$id>),*> sealed::SealedInto<($($id,)*)> for ($($from,)*) {}
        impl<$($id, $from: IntoId<$id>),*> IntoId<($($id,)*)> for ($($from,)*) {
            fn into_id(self) -> ($($id,)*) {
                ($(self.$n.into_id(),)*)
            }
        }
    };
}
composite!(A X 0, B Y 1);
composite!(A X 0, B Y 1, C Z 2);
composite!(A X 0, B Y 1, C Z 2, D W 3);

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
    assert!(!nullable_inside, "Option<Option<_>> has two kinds of null: use the attribute `json`");
    true
}
