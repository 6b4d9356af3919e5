//! The kinds of columns.

use std::borrow::Cow;

use crate::spelling::{self, Date, Decimal, Moment, Time};

/// The type of a column, as every store and format can hold it.
///
/// The values of the kinds from [`Uuid`](Self::Uuid) on are [`Value::Text`](crate::Value::Text) in one
/// spelling, the [`canonical`](Self::canonical) one, so that equal values are equal texts. Stores hold
/// them in the types that the database has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A truth value.
    Bool,
    /// An integer that fits 16 bits with its sign.
    I16,
    /// An integer that fits 32 bits with its sign.
    I32,
    /// An integer that fits 64 bits with its sign.
    I64,
    /// An unsigned integer of 64 bits. Databases hold it in a signed one and refuse what does not fit.
    U64,
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Any nested value, as JSON text.
    Json,
    /// A UUID: small letters, with hyphens.
    Uuid,
    /// A decimal number: plain digits, as few as it needs. 1.50 is spelled `1.5`: how many zeros stand at
    /// the end is not kept.
    Decimal,
    /// An instant, as RFC 3339 spells it in UTC: `2026-01-02T03:04:05.678Z`. The fraction has up to nine
    /// digits, as few as it needs. Here and below years are 1 to 9999, and there are no leap seconds.
    Timestamp,
    /// A date and a time of day in no zone: `2026-01-02T03:04:05.678`.
    DateTime,
    /// A date: `2026-01-02`.
    Date,
    /// A time of day: `03:04:05.678`.
    Time,
    /// An ObjectId of MongoDB: 24 digits and small letters.
    ObjectId,
}

impl Kind {
    /// Whether a column of this kind can be an id: equal values must have one spelling.
    pub const fn is_id(self) -> bool {
        !matches!(self, Kind::F32 | Kind::F64 | Kind::Json)
    }

    /// Whether its values are text in one spelling.
    pub const fn is_spelled(self) -> bool {
        matches!(
            self,
            Kind::Uuid
                | Kind::Decimal
                | Kind::Timestamp
                | Kind::DateTime
                | Kind::Date
                | Kind::Time
                | Kind::ObjectId
        )
    }

    /// The one spelling of a text that somebody may have spelled differently; `None` if it is no value of
    /// this kind. Of kinds that have no spelling, every text is as it is.
    ///
    /// ```
    /// use cached_repo::Kind;
    ///
    /// assert_eq!(Kind::Decimal.canonical("-01.50").as_deref(), Some("-1.5"));
    /// let instant = Kind::Timestamp.canonical("2026-01-02 03:04:05+01:00");
    /// assert_eq!(instant.as_deref(), Some("2026-01-02T02:04:05Z"));
    /// assert_eq!(Kind::Date.canonical("2026-02-30"), None);
    /// ```
    pub fn canonical(self, text: &str) -> Option<Cow<'_, str>> {
        let spelled = match self {
            Kind::Uuid => spelling::uuid_text(spelling::uuid(text)?),
            Kind::Decimal => Decimal::parse(text)?.to_string(),
            Kind::Timestamp => Moment::parse_instant(text)?.instant(),
            Kind::DateTime => Moment::parse(text)?.to_string(),
            Kind::Date => Date::parse(text)?.to_string(),
            Kind::Time => Time::parse(text)?.to_string(),
            Kind::ObjectId => spelling::object_id(text)?,
            _ => return Some(Cow::Borrowed(text)),
        };
        Some(Cow::Owned(spelled))
    }

    /// Whether a text is in the one spelling of this kind.
    pub(crate) fn is_canonical(self, text: &str) -> bool {
        !self.is_spelled() || self.canonical(text).is_some_and(|canonical| canonical == text)
    }

    /// What a text of this kind must be.
    pub(crate) const fn spelled_as(self) -> &'static str {
        match self {
            Kind::Uuid => "a UUID in small letters, with hyphens",
            Kind::Decimal => "a decimal in plain digits, without zeros at its ends",
            Kind::Timestamp => "an instant in UTC of the years 1 to 9999, without a leap second",
            Kind::DateTime => "a date and time of the years 1 to 9999, without a leap second",
            Kind::Date => "a date of the years 1 to 9999",
            Kind::Time => "a time of day, without a leap second",
            Kind::ObjectId => "an ObjectId in small letters",
            _ => "text",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::I16 => "i16",
            Kind::I32 => "i32",
            Kind::I64 => "i64",
            Kind::U64 => "u64",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
            Kind::Text => "text",
            Kind::Bytes => "bytes",
            Kind::Json => "json",
            Kind::Uuid => "uuid",
            Kind::Decimal => "decimal",
            Kind::Timestamp => "timestamp",
            Kind::DateTime => "datetime",
            Kind::Date => "date",
            Kind::Time => "time",
            Kind::ObjectId => "objectid",
        }
    }
}
