//! One entity's columns as plain values: the currency between repository, strategy, codec and store.

use std::{borrow::Cow, fmt};

/// The value of one column.
///
/// Text, bytes and JSON may be borrowed from the entity while it is written, and are owned in a
/// record that was read.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// SQL `NULL`; absent in a Redis hash; `null` in JSON.
    Null,
    /// A truth value.
    Bool(bool),
    /// Every signed integer, and unsigned ones of at most 32 bits.
    I64(i64),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A float; an `f32` is widened, which is exact.
    F64(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Any nested value, as JSON text.
    Json(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// The same value, owning its text or bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::I64(v) => Value::I64(v),
            Value::U64(v) => Value::U64(v),
            Value::F64(v) => Value::F64(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Json(v) => Value::Json(Cow::Owned(v.into_owned())),
        }
    }

    /// The same value, borrowing its text or bytes from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Text(v) => Value::Text(Cow::Borrowed(v)),
            Value::Bytes(v) => Value::Bytes(Cow::Borrowed(v)),
            Value::Json(v) => Value::Json(Cow::Borrowed(v)),
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(*v),
            Value::I64(v) => Value::I64(*v),
            Value::U64(v) => Value::U64(*v),
            Value::F64(v) => Value::F64(*v),
        }
    }

    /// Whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// How many bytes the value occupies, roughly: what limits on size count.
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::I64(_) | Value::U64(_) | Value::F64(_) => 8,
            Value::Text(v) | Value::Json(v) => v.len(),
            Value::Bytes(v) => v.len(),
        }
    }

    /// The name of the value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::I64(_) | Value::U64(_) => "an integer",
            Value::F64(_) => "a float",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Json(_) => "JSON",
        }
    }
}

/// Names the type and never the content: values are the users' data.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.type_name())
    }
}

/// One entity, column by column, in the order of its [`Schema`](crate::Schema).
///
/// A column may be absent: an entry that an older version of the struct wrote lacks the columns that
/// were added since. Absent is not null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record<'a> {
    columns: Vec<Option<Value<'a>>>,
}

impl<'a> Record<'a> {
    /// A record with room for this many columns, all absent.
    pub fn absent(columns: usize) -> Self {
        Self { columns: vec![None; columns] }
    }

    /// Puts a value into a column. Columns beyond the record's end are added.
    pub fn set(&mut self, index: usize, value: Value<'a>) {
        if index >= self.columns.len() {
            self.columns.resize(index + 1, None);
        }
        self.columns[index] = Some(value);
    }

    /// The value of a column, if it is there.
    pub fn get(&self, index: usize) -> Option<&Value<'a>> {
        self.columns.get(index)?.as_ref()
    }

    /// Moves the value of a column out of the record.
    pub fn take(&mut self, index: usize) -> Option<Value<'a>> {
        self.columns.get_mut(index)?.take()
    }

    /// How many columns there are, absent ones included.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no columns at all.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns with their indices, absent ones left out.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Value<'a>)> {
        self.columns.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?)))
    }

    /// The same record, owning its values.
    pub fn into_owned(self) -> Record<'static> {
        Record { columns: self.columns.into_iter().map(|v| v.map(Value::into_owned)).collect() }
    }

    /// How many bytes the values occupy, roughly.
    pub fn size(&self) -> usize {
        self.iter().map(|(_, value)| value.size()).sum()
    }
}
