//! UUIDs, decimals, instants and ObjectIds as BSON's own types. It has none for a date or a time without a
//! zone: those are texts, whose order is that of time.

use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Uuid, oid::ObjectId};

use crate::{
    column::{Column, ColumnError},
    record::Value,
    schema::Kind,
    spelling::{self, Decimal, Moment},
};

/// A text in the one spelling of its kind, as BSON.
///
/// # Errors
///
/// Why MongoDB cannot hold it exactly.
pub(super) fn to_bson(kind: Kind, text: &str) -> Result<Bson, String> {
    let bson = match kind {
        Kind::Uuid => {
            spelling::uuid(text).map(|bytes| Bson::Binary(Binary::from(Uuid::from_bytes(bytes))))
        }
        Kind::ObjectId => ObjectId::parse_str(text).ok().map(Bson::ObjectId),
        Kind::Decimal => Some(Bson::Decimal128(decimal(text)?)),
        Kind::Timestamp => Some(Bson::DateTime(date(text)?)),
        _ => Some(Bson::String(text.to_owned())),
    };
    bson.ok_or_else(|| format!("what is not {}", kind.spelled_as()))
}

/// What a field holds, in the one spelling of its kind. A text is read as well, whoever spelled it.
///
/// # Errors
///
/// What is wrong with the field.
pub(super) fn from_bson(kind: Kind, field: &Bson) -> Result<String, String> {
    let text = match (kind, field) {
        (Kind::Uuid, Bson::Binary(v)) => v.to_uuid().ok().map(|uuid| uuid.to_string()),
        (Kind::ObjectId, Bson::ObjectId(v)) => Some(v.to_hex()),
        (Kind::Decimal, Bson::Decimal128(v)) => {
            Decimal::parse(&v.to_string()).map(|v| v.to_string())
        }
        (Kind::Decimal, Bson::Int32(v)) => Some(v.to_string()),
        (Kind::Decimal, Bson::Int64(v)) => Some(v.to_string()),
        (Kind::Timestamp, Bson::DateTime(v)) => {
            Moment::since_1970(v.timestamp_millis(), 1_000).map(Moment::instant)
        }
        (_, Bson::String(v)) => kind.canonical(v).map(|text| text.into_owned()),
        _ => return Err(super::value::unexpected(kind, field)),
    };
    text.ok_or_else(|| format!("it is not {}", kind.spelled_as()))
}

fn decimal(text: &str) -> Result<Decimal128, String> {
    let Some(decimal) = Decimal::parse(text) else {
        return Err("what is no decimal".to_owned());
    };
    let (digits, exponent) = decimal.parts();
    if digits.len() > DIGITS_MAX {
        let found = digits.len();
        return Err(format!("a decimal of {found} digits: Decimal128 has {DIGITS_MAX}"));
    }
    let sign = if decimal.is_negative() { "-" } else { "" };
    let digits = if digits.is_empty() { "0" } else { digits };
    // With an exponent, so that no zeros are counted as digits.
    let parsed = format!("{sign}{digits}E{exponent}").parse();
    parsed.map_err(|_| "a decimal of this magnitude".to_owned())
}

fn date(text: &str) -> Result<DateTime, String> {
    let Some(Moment { date, time }) = Moment::parse_instant(text) else {
        return Err("what is no instant".to_owned());
    };
    let needed = time.fraction_digits();
    if needed > FRACTION_DIGITS {
        return Err(format!(
            "a time with {needed} digits of a second: truncate it to milliseconds"
        ));
    }
    Ok(DateTime::from_millis(date.days() * 86_400_000 + time.nanoseconds() / 1_000_000))
}

impl Column for ObjectId {
    const KIND: Kind = Kind::ObjectId;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.to_hex().into())
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        match value {
            Value::Text(v) => {
                ObjectId::parse_str(v).map_err(|_| ColumnError::new("the text is no ObjectId"))
            }
            other => Err(ColumnError::unexpected("an ObjectId", &other)),
        }
    }
}

/// Of the significand of a Decimal128.
const DIGITS_MAX: usize = 34;
/// A BSON date counts milliseconds.
const FRACTION_DIGITS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bson_has_a_type_for_is_held_as_such() {
        let digits = format!("{}.{}", "9".repeat(17), "9".repeat(17));
        let (far, small) = (format!("1{}", "0".repeat(40)), format!("-0.{}1", "0".repeat(40)));
        for (kind, text) in [
            (Kind::Uuid, "67e55044-10b1-426f-9247-bb680e5fe0c8"),
            (Kind::ObjectId, "0123456789abcdef01234567"),
            (Kind::Decimal, "0"),
            (Kind::Decimal, "-1.5"),
            (Kind::Decimal, &digits),
            (Kind::Decimal, &far),
            (Kind::Decimal, &small),
            (Kind::Timestamp, "0001-01-01T00:00:00Z"),
            (Kind::Timestamp, "1969-12-31T23:59:59.999Z"),
            (Kind::Timestamp, "9999-12-31T23:59:59.999Z"),
        ] {
            let Ok(bson) = to_bson(kind, text) else { panic!("{text} is not taken") };
            assert!(!matches!(bson, Bson::String(_)), "{text}");
            assert_eq!(from_bson(kind, &bson).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_bson_would_round_is_refused() {
        let (digits, far) = ("9".repeat(35), format!("1{}", "0".repeat(6_146)));
        for (kind, text, why) in [
            (Kind::Decimal, &*digits, "35 digits"),
            (Kind::Decimal, &*far, "magnitude"),
            (Kind::Timestamp, "2026-01-02T03:04:05.0001Z", "truncate it to milliseconds"),
        ] {
            let refused = to_bson(kind, text);
            assert!(refused.as_ref().is_err_and(|e| e.contains(why)), "{refused:?}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        assert_eq!(from_bson(Kind::Decimal, &Bson::Int32(-7)).as_deref(), Ok("-7"));
        let text = Bson::String("67E55044-10B1-426F-9247-BB680E5FE0C8".to_owned());
        let read = from_bson(Kind::Uuid, &text);
        assert_eq!(read.as_deref(), Ok("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        let Ok(nan) = "NaN".parse() else { panic!("it has a NaN") };
        for (kind, field) in [
            (Kind::Decimal, Bson::Decimal128(nan)),
            (Kind::Decimal, Bson::Double(1.5)),
            (Kind::Timestamp, Bson::Int64(0)),
            (Kind::Timestamp, Bson::DateTime(DateTime::MAX)),
            (Kind::Date, Bson::DateTime(DateTime::from_millis(0))),
            (Kind::Uuid, Bson::Null),
            (Kind::ObjectId, text),
        ] {
            assert!(from_bson(kind, &field).is_err(), "{kind:?} from {field:?}");
        }
    }
}
