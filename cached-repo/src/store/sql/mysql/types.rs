//! UUIDs, decimals and times as the types of MySQL and MariaDB.

use sqlx::mysql::MySqlValueRef;

use super::{decode, utf8};
use crate::{
    record::Value,
    schema::Kind,
    spelling::{self, Date, Decimal, Moment, Time},
    store::sql::{
        Declared, Shape,
        declared::{finer, longer, wider},
    },
};

/// The type that a table of the library has: as much as there is of it.
pub(super) fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin",
        Kind::Decimal => "DECIMAL(65, 30)",
        Kind::Timestamp | Kind::DateTime => "DATETIME(6)",
        Kind::Date => "DATE",
        Kind::Time => "TIME(6)",
        Kind::ObjectId => "CHAR(24) CHARACTER SET ascii COLLATE ascii_bin",
        _ => "LONGTEXT",
    }
}

/// Whether a column of this type holds values as they are: a type of its own, or text.
pub(super) fn fits(kind: Kind, declared: &Declared) -> bool {
    let length = declared.argument(0).unwrap_or(i32::MAX);
    match (kind, declared.word()) {
        (Kind::Uuid, "char" | "varchar") => length >= 36,
        (Kind::Uuid, "binary") => length == 16,
        (Kind::Uuid, "uuid") | (Kind::Decimal, "decimal") => true,
        (Kind::ObjectId, "char" | "varchar") => length >= 24,
        (Kind::Timestamp, "datetime" | "timestamp") | (Kind::DateTime, "datetime") => true,
        (Kind::Date, "date") | (Kind::Time, "time") => true,
        (_, word) => is_character(word),
    }
}

fn is_character(word: &str) -> bool {
    matches!(word, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext")
}

/// A value as this column wants it.
pub(super) fn held<'v>(value: &'v Value<'v>, column: Shape<'_>) -> Value<'v> {
    let Value::Text(text) = value else { return value.borrowed() };
    match (column.kind, column.declared.word()) {
        (Kind::Uuid, "binary") => match spelling::uuid(text) {
            Some(bytes) => Value::Bytes(bytes.to_vec().into()),
            None => value.borrowed(),
        },
        // Zones and the letter `T` are read by newer servers only.
        (Kind::Timestamp | Kind::DateTime, "datetime" | "timestamp") => {
            let text = text.strip_suffix('Z').unwrap_or(text);
            Value::Text(text.replacen('T', " ", 1).into())
        }
        _ => value.borrowed(),
    }
}

/// Texts are compared with decimals as floats, which takes different ones for equal.
pub(super) fn place(column: Shape<'_>) -> &'static str {
    match column.declared.word() {
        "decimal" if column.kind == Kind::Decimal => "CAST(? AS DECIMAL(65, 30))",
        _ => "?",
    }
}

/// Reads a value of the type that the row has, in the one spelling of its kind.
pub(super) fn text(raw: MySqlValueRef<'_>, found: &str, kind: Kind) -> Result<String, String> {
    let text = match (kind, found) {
        // Texts with a binary collation are called binary, too.
        (Kind::Uuid, found) if is_text(found) => {
            let bytes = decode::<Vec<u8>>(raw)?;
            match <[u8; 16]>::try_from(bytes.as_slice()) {
                Ok(bytes) => Some(spelling::uuid_text(bytes)),
                Err(_) => {
                    let text = std::str::from_utf8(&bytes).ok();
                    text.and_then(spelling::uuid).map(spelling::uuid_text)
                }
            }
        }
        (Kind::Decimal, "DECIMAL") => kind.canonical(&utf8(raw)?).map(|text| text.into_owned()),
        (Kind::Timestamp, "DATETIME" | "TIMESTAMP") => {
            moment(&decode::<Vec<u8>>(raw)?).map(Moment::instant)
        }
        (Kind::DateTime, "DATETIME") => moment(&decode::<Vec<u8>>(raw)?).map(|v| v.to_string()),
        (Kind::Date, "DATE") => moment(&decode::<Vec<u8>>(raw)?).map(|v| v.date.to_string()),
        (Kind::Time, "TIME") => time(&decode::<Vec<u8>>(raw)?).map(|v| v.to_string()),
        (kind, found) if is_text(found) => {
            kind.canonical(&utf8(raw)?).map(|text| text.into_owned())
        }
        _ => return Err(format!("expected {kind:?}, found {found}")),
    };
    text.ok_or_else(|| format!("it is not {}", kind.spelled_as()))
}

/// Whether a row holds text or bytes, by the name of its type.
pub(super) fn is_text(found: &str) -> bool {
    found == "JSON" || ["CHAR", "BINARY", "TEXT", "BLOB"].iter().any(|end| found.ends_with(end))
}

/// Reads a date and time as the protocol says it: a length, and as much as is not 0.
fn moment(bytes: &[u8]) -> Option<Moment> {
    let (&len, rest) = bytes.split_first()?;
    let rest = rest.get(..len.into())?;
    let year = u16::from_le_bytes(rest.get(..2)?.try_into().ok()?);
    let (month, day) = (*rest.get(2)?, *rest.get(3)?);
    let date = Date { year: year.into(), month: month.into(), day: day.into() };
    Some(Moment { date: date.checked()?, time: clock(&rest[4..])? })
}

/// Reads a time as the protocol says it. Here it may be negative, or of more than a day.
fn time(bytes: &[u8]) -> Option<Time> {
    let (&len, rest) = bytes.split_first()?;
    let rest = rest.get(..len.into())?;
    match rest {
        [] => clock(&[]),
        [0, 0, 0, 0, 0, rest @ ..] => clock(rest),
        _ => None,
    }
}

fn clock(bytes: &[u8]) -> Option<Time> {
    let part = |index: usize| bytes.get(index).copied().unwrap_or(0).into();
    let micros = match bytes.get(3..7) {
        Some(micros) => u32::from_le_bytes(micros.try_into().ok()?),
        None => 0,
    };
    let nanosecond = micros.checked_mul(1_000)?;
    Time { hour: part(0), minute: part(1), second: part(2), nanosecond }.checked()
}

/// Why a column that holds some values of its kind, or an index, does not hold this one.
pub(super) fn narrow(value: &Value<'_>, column: Shape<'_>) -> Option<String> {
    let declared = column.declared;
    let (text, in_index) = match value {
        Value::Text(v) => (v, v.chars().count() * CHARACTER_BYTES_MAX),
        Value::Json(v) => (v, 0),
        Value::Bytes(v) if column.is_id => return too_long(v.len()),
        _ => return None,
    };
    if column.is_id && in_index > KEY_BYTES_MAX {
        return too_long(in_index);
    }
    let bytes_max = match declared.word() {
        "varchar" => return wider(text, declared.argument(0)),
        "tinytext" => 255,
        "text" => 65_535,
        "mediumtext" => 16_777_215,
        _ => return None,
    };
    let found = text.len();
    (found > bytes_max).then(|| {
        format!("a text of {found} bytes: the column, a {}, has {bytes_max}", declared.word())
    })
}

fn too_long(bytes: usize) -> Option<String> {
    (bytes > KEY_BYTES_MAX)
        .then(|| format!("an id of {bytes} bytes in an index, which takes {KEY_BYTES_MAX}"))
}

/// Why a column does not hold a value that is in the spelling of its kind.
pub(super) fn refusal(text: &str, column: Shape<'_>) -> Option<String> {
    let Shape { kind, declared, .. } = column;
    let word = declared.word();
    if is_character(word) {
        return None;
    }
    let (date, time) = match kind {
        Kind::Decimal => {
            let (precision, scale) = (declared.argument(0), declared.argument(1));
            return longer(&Decimal::parse(text)?, precision.unwrap_or(10), scale.unwrap_or(0));
        }
        Kind::Timestamp => {
            let moment = Moment::parse_instant(text)?;
            (Some(moment.date), Some(moment.time))
        }
        Kind::DateTime => {
            let moment = Moment::parse(text)?;
            (Some(moment.date), Some(moment.time))
        }
        Kind::Date => (Some(Date::parse(text)?), None),
        Kind::Time => (None, Some(Time::parse(text)?)),
        _ => return None,
    };
    if let Some(date) = date {
        let moment = Moment { date, time: time.unwrap_or(MIDNIGHT) };
        if word == "timestamp" && !(TIMESTAMP_MIN..TIMESTAMP_END).contains(&moment) {
            return Some("a time before 1970 or after January 2038 in a TIMESTAMP".to_owned());
        }
        if date.year < YEAR_MIN {
            return Some(format!("a time before the year {YEAR_MIN}"));
        }
    }
    finer(time?, declared.argument(0).unwrap_or(0))
}

/// Earlier ones are not promised to be held.
const YEAR_MIN: i32 = 1000;
const MIDNIGHT: Time = Time { hour: 0, minute: 0, second: 0, nanosecond: 0 };
const TIMESTAMP_MIN: Moment = Moment {
    date: Date { year: 1970, month: 1, day: 1 },
    time: Time { hour: 0, minute: 0, second: 1, nanosecond: 0 },
};
const TIMESTAMP_END: Moment = Moment {
    date: Date { year: 2038, month: 1, day: 19 },
    time: Time { hour: 3, minute: 14, second: 8, nanosecond: 0 },
};
/// InnoDB's limit.
const KEY_BYTES_MAX: usize = 3072;
/// An index reserves so much, whatever the character is.
const CHARACTER_BYTES_MAX: usize = 4;
