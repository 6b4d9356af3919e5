//! UUIDs, decimals and times as PostgreSQL's own types.

use sqlx::{Row as _, TypeInfo, ValueRef, postgres::PgRow};

use super::{arrays::element_type, jsonb};
use crate::{
    record::Value,
    schema::Kind,
    spelling::{self, Date, Decimal, Moment, Time},
    store::sql::{
        Declared, Shape,
        declared::{finer, longer, wider},
    },
};

/// The type that a table of the library has.
pub(super) fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "UUID",
        Kind::Decimal => "NUMERIC",
        Kind::Timestamp => "TIMESTAMPTZ",
        Kind::DateTime => "TIMESTAMP",
        Kind::Date => "DATE",
        Kind::Time => "TIME",
        _ => "TEXT",
    }
}

/// Whether a column of this type holds values as they are: its own type, or text. What it holds some of is
/// looked at value by value ([`refusal`]).
pub(super) fn fits(kind: Kind, declared: &Declared) -> bool {
    let is_whole = declared.argument(0).is_some() && declared.argument(1).unwrap_or(0) == 0;
    match (kind, declared.word()) {
        (Kind::Bool, word) => word == "bool",
        (Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64, "int2" | "int4" | "int8") => true,
        (Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64, "numeric") => is_whole,
        (Kind::F32, "float4" | "float8") | (Kind::F64, "float8") => true,
        (Kind::Bytes, word) => word == "bytea",
        (Kind::Text, "bpchar" | "citext") => true,
        (Kind::Json, "json" | "jsonb") => true,
        (Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 | Kind::F32 | Kind::F64, _) => false,
        (kind, word) => is_text(declared) || word.eq_ignore_ascii_case(column_type(kind)),
    }
}

/// To what JSON is cast for this column: `jsonb` says it in words of its own, the others keep the text.
pub(super) fn json_cast(column: Shape<'_>) -> &'static str {
    match column.declared.word() {
        _ if column.kind != Kind::Json => "",
        "json" => "::json",
        "text" | "varchar" => "",
        _ => JSONB,
    }
}

/// The cast of JSON to the type that a table of the library has.
pub(super) const JSONB: &str = "::jsonb";

/// To what texts are cast for this column, if it is not text.
pub(super) fn native(column: Shape<'_>) -> Option<&'static str> {
    (column.kind.is_spelled() && !is_text(column.declared)).then(|| column_type(column.kind))
}

fn is_text(declared: &Declared) -> bool {
    matches!(declared.word(), "text" | "varchar")
}

/// How values are converted when somebody changes a column to this type.
pub(super) fn using(column_type: &str, column: &str) -> String {
    match column_type {
        // Whatever the session's zone is.
        "TIMESTAMPTZ" | "TIMESTAMP" => format!(" USING {column} AT TIME ZONE 'UTC'"),
        "UUID" | "NUMERIC" | "DATE" | "TIME" => format!(" USING {column}::{column_type}"),
        _ => String::new(),
    }
}

/// A column in a SELECT: cast, so that a table of the user's own may have narrower types. What has a text
/// that depends on the session is read as it is.
pub(super) fn read_as(kind: Kind, column: &str) -> String {
    match kind {
        Kind::Uuid | Kind::Timestamp | Kind::DateTime | Kind::Date | Kind::Time => {
            column.to_owned()
        }
        kind => format!("{column}::{}", element_type(kind)),
    }
}

/// Reads a value of the type that the row has, in the one spelling of its kind.
pub(super) fn text(row: &PgRow, index: usize, kind: Kind) -> Result<Option<String>, String> {
    let raw = row.try_get_raw(index).map_err(|e| e.to_string())?;
    if raw.is_null() {
        return Ok(None);
    }
    let found = raw.type_info().name().to_owned();
    let bytes = raw.as_bytes().map_err(|e| e.to_string())?;
    let number = || bytes.try_into().ok().map(i64::from_be_bytes);
    let since_2000 = |micros: i64| {
        Moment::since_1970(micros.checked_add(DAYS_TO_2000 * 86_400_000_000)?, 1_000_000)
    };
    let text = match (kind, found.as_str()) {
        (Kind::Uuid, "UUID") => bytes.try_into().ok().map(spelling::uuid_text),
        (Kind::Timestamp, "TIMESTAMPTZ") => number().and_then(since_2000).map(Moment::instant),
        (Kind::DateTime, "TIMESTAMP") => number().and_then(since_2000).map(|v| v.to_string()),
        (Kind::Date, "DATE") => {
            let days = bytes.try_into().ok().map(i32::from_be_bytes);
            let date = days.and_then(|days| Date::from_days(DAYS_TO_2000 + i64::from(days)));
            date.map(|date| date.to_string())
        }
        (Kind::Time, "TIME") => {
            let time =
                number().and_then(|micros| Time::from_nanoseconds(micros.checked_mul(1_000)?));
            time.map(|time| time.to_string())
        }
        (_, "TEXT" | "VARCHAR") => {
            let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
            kind.canonical(text).map(|text| text.into_owned())
        }
        _ => return Err(format!("expected {kind:?}, found {found}")),
    };
    text.map(Some).ok_or_else(|| format!("it is not {}", kind.spelled_as()))
}

/// Why a column that holds some values of its kind does not hold this one.
pub(super) fn narrow(value: &Value<'_>, column: Shape<'_>) -> Option<String> {
    let declared = column.declared;
    let number = match value {
        Value::I64(v) => i128::from(*v),
        Value::U64(v) => i128::from(*v),
        Value::Text(v) if declared.word() == "bpchar" && v.ends_with(' ') => {
            return Some("a text that ends with a space: char(n) drops it".to_owned());
        }
        Value::Json(v) if json_cast(column) == JSONB => return jsonb::refusal(v),
        Value::Text(v) | Value::Json(v) => {
            let is_bounded = matches!(declared.word(), "bpchar" | "varchar");
            return wider(v, declared.argument(0).filter(|_| is_bounded));
        }
        _ => return None,
    };
    let fits = match declared.word() {
        "int2" => i16::try_from(number).is_ok(),
        "int4" => i32::try_from(number).is_ok(),
        "numeric" => {
            let digits = declared.argument(0).and_then(|digits| u32::try_from(digits).ok());
            let bound = digits.and_then(|digits| 10_i128.checked_pow(digits));
            bound.is_none_or(|bound| (1 - bound..bound).contains(&number))
        }
        _ => true,
    };
    (!fits).then(|| format!("the integer {number} in a column of type {}", declared.word()))
}

/// Why a column does not hold a value that is in the spelling of its kind.
pub(super) fn refusal(text: &str, column: Shape<'_>) -> Option<String> {
    native(column)?;
    let Shape { kind, declared, .. } = column;
    let time = match kind {
        Kind::Decimal => {
            let decimal = Decimal::parse(text)?;
            return match declared.argument(0) {
                Some(precision) => longer(&decimal, precision, declared.argument(1).unwrap_or(0)),
                None => longer(&decimal, WHOLE_DIGITS_MAX + SCALE_MAX, SCALE_MAX),
            };
        }
        Kind::Timestamp => Moment::parse_instant(text)?.time,
        Kind::DateTime => Moment::parse(text)?.time,
        Kind::Time => Time::parse(text)?,
        _ => return None,
    };
    finer(time, declared.argument(0).unwrap_or(FRACTION_DIGITS))
}

/// From 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const DAYS_TO_2000: i64 = 10_957;
/// It counts microseconds.
const FRACTION_DIGITS: i32 = 6;
/// Of a numeric without numbers of its own.
const WHOLE_DIGITS_MAX: i32 = 131_072;
const SCALE_MAX: i32 = 16_383;
