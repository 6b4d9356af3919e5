//! An entity of every type, and the table of the extreme values.

use cached_repo::{CachedEntity, Column, ColumnError, Kind, Value};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use mongodb::bson::oid::ObjectId;
use rust_decimal::Decimal;
use serde_json::json;
use time::{OffsetDateTime, PrimitiveDateTime, UtcDateTime};
use uuid::Uuid;

use crate::stage::On;

/// One column of every type.
#[derive(Clone, Debug, Default, PartialEq, CachedEntity)]
#[cache(prefix = "all_types", jitter = "0%")]
pub(super) struct All {
    #[cache(id)]
    pub(super) id: String,
    truth: Option<bool>,
    i8: Option<i8>,
    u8: Option<u8>,
    i16: Option<i16>,
    u16: Option<u16>,
    i32: Option<i32>,
    u32: Option<u32>,
    i64: Option<i64>,
    u64: Option<u64>,
    single: Option<f32>,
    double: Option<f64>,
    words: Option<String>,
    bytes: Option<Vec<u8>>,
    nested: serde_json::Value,
    uuid: Option<Uuid>,
    price: Option<Decimal>,
    digits: Option<Digits>,
    instant: Option<DateTime<Utc>>,
    local: Option<NaiveDateTime>,
    day: Option<NaiveDate>,
    hour: Option<NaiveTime>,
    offset: Option<OffsetDateTime>,
    utc: Option<UtcDateTime>,
    plain: Option<PrimitiveDateTime>,
    date: Option<time::Date>,
    clock: Option<time::Time>,
    object: Option<ObjectId>,
}

impl All {
    /// Whether the two are the same, floats to the bit.
    pub(super) fn is(&self, other: &Self) -> bool {
        let bits = |all: &Self| (all.single.map(f32::to_bits), all.double.map(f64::to_bits));
        let rest = |all: &Self| Self { single: None, double: None, ..all.clone() };
        bits(self) == bits(other) && rest(self) == rest(other)
    }
}

/// A decimal of more digits than the type of a crate has: the text that its kind asks for.
#[derive(Clone, Debug, PartialEq)]
struct Digits(String);

impl Column for Digits {
    const KIND: Kind = Kind::Decimal;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value<'_> {
        self.0.to_value()
    }
    fn from_value(value: Value<'_>) -> Result<Self, ColumnError> {
        String::from_value(value).map(Self)
    }
}

/// One value, and who refuses it.
pub(super) struct Extreme {
    /// And the id.
    pub(super) name: &'static str,
    pub(super) column: &'static str,
    set: fn(&mut All),
    pub(super) refused_by: &'static [On],
    /// What a refusal says.
    pub(super) says: &'static str,
}

impl Extreme {
    pub(super) fn entity(&self) -> All {
        let mut all = All { id: self.name.to_owned(), ..All::default() };
        (self.set)(&mut all);
        all
    }
}

const EVERYWHERE: &[On] = &crate::databases::STORES;
const MONGO: &[On] = &[On::Mongo, On::MongoStandalone];
const MYSQL: &[On] = &[On::MySql];
const POSTGRES: &[On] = &[On::Postgres];
/// MySQL has no signs of zeros, SQLite neither.
const SIGNLESS: &[On] = &[On::MySql, On::Sqlite];
/// Those without unsigned integers.
const SIGNED: &[On] = &[On::Postgres, On::Sqlite, On::Mongo, On::MongoStandalone];
/// Those whose own times are coarser than a nanosecond.
const COARSE: &[On] = &[On::Postgres, On::MySql];
const COARSE_INSTANTS: &[On] = &[On::Postgres, On::MySql, On::Mongo, On::MongoStandalone];

/// `column = value` under a name; who refuses it, and with which words.
macro_rules! extremes {
    ($($name:literal: $column:ident = $value:expr $(; $refused_by:ident says $says:literal)?;)*) => {
        pub(super) const EXTREMES: [Extreme; [$($name),*].len()] = [$(Extreme {
            name: $name,
            column: stringify!($column),
            set: |all| all.$column = $value.into(),
            refused_by: extremes!(@by $($refused_by)?),
            says: extremes!(@says $($says)?),
        }),*];
    };
    (@by) => { &[] };
    (@by $refused_by:ident) => { $refused_by };
    (@says) => { "" };
    (@says $says:literal) => { $says };
}
extremes! {
    "nothing": truth = None::<bool>;
    "false": truth = false;
    "true": truth = true;
    "i8 min": i8 = i8::MIN;
    "u8 max": u8 = u8::MAX;
    "i16 min": i16 = i16::MIN;
    "u16 max": u16 = u16::MAX;
    "i32 min": i32 = i32::MIN;
    "u32 max": u32 = u32::MAX;
    "i64 min": i64 = i64::MIN;
    "i64 max": i64 = i64::MAX;
    "u64 zero": u64 = 0_u64;
    "u64 of i64": u64 = i64::MAX as u64;
    "u64 beyond i64": u64 = i64::MAX as u64 + 1; SIGNED says "9223372036854775807";
    "u64 max": u64 = u64::MAX; SIGNED says "9223372036854775807";
    "f32 max": single = f32::MAX;
    "f32 tenth": single = 0.1_f32;
    "f32 subnormal": single = f32::from_bits(1);
    "f32 infinite": single = f32::INFINITY; MYSQL says "inf";
    "f64 max": double = f64::MAX;
    "f64 min": double = f64::MIN;
    "f64 tenth": double = 0.1;
    "f64 whole": double = 9_007_199_254_740_993.0;
    "f64 subnormal": double = f64::from_bits(1);
    "f64 greatest subnormal": double = f64::from_bits((1 << 52) - 1);
    "f64 infinite": double = f64::INFINITY; MYSQL says "inf";
    "f64 below all": double = f64::NEG_INFINITY; MYSQL says "inf";
    "f64 NaN": double = f64::NAN; SIGNLESS says "NaN";
    "f64 minus zero": double = -0.0; SIGNLESS says "-0";
    "text empty": words = String::new();
    "text of spaces": words = "  ".to_owned();
    "text of four bytes": words = "\u{1F980}\u{10FFFF}".to_owned();
    "text combined": words = "e\u{301} \u{e9} \u{200f}\r\n\t".to_owned();
    "text of a mebibyte": words = "\u{1F980}".repeat(256 * 1024);
    "text with NUL": words = "a\0b".to_owned(); POSTGRES says "NUL";
    "bytes empty": bytes = Vec::new();
    "bytes of all values": bytes = (0..=255).collect::<Vec<u8>>();
    "bytes of a mebibyte": bytes = vec![0; 1024 * 1024];
    "json null": nested = json!(null);
    "json empty": nested = json!({});
    "json nested": nested = json!({"a": [1, -2.5, null, "\u{1F980}"], "b": {"c": true}});
    "json numbers": nested = json!([i64::MIN, i64::MAX, 1e300]);
    "json floats": nested = json!([1e16, -1.5e17, 18_446_744_073_709_551_615.0, 1e300, 5e-324]);
    "json minus zero": nested = json!([-0.0]); POSTGRES says "-0.0";
    "json text": nested = json!("");
    "uuid nil": uuid = Uuid::nil();
    "uuid max": uuid = Uuid::max();
    "uuid random": uuid = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
    "decimal zero": price = Decimal::ZERO;
    "decimal max": price = Decimal::MAX;
    "decimal min": price = Decimal::MIN;
    "decimal smallest": price = Decimal::new(1, 28);
    "decimal with zeros": price = Decimal::new(-150, 2);
    "38 digits": digits = digits("1234567890123456789.0123456789012345678"); MONGO says "38 digits";
    "38 whole digits": digits = digits("98765432109876543210987654321098765432"); BOUNDED says "";
    "34 digits": digits = digits("-12345678901234567.01234567890123456");
    "a great power of ten": digits = digits(&format!("1{}", "0".repeat(40))); MYSQL says "41 digits";
    "a small power of ten": digits = digits(&format!("0.{}1", "0".repeat(30))); MYSQL says "31 behind";
    "a decimal with an exponent": digits = digits("1E3"); EVERYWHERE says "plain digits";
    "instant of 1970": instant = instant("1970-01-01T00:00:00Z");
    "instant before": instant = instant("1969-12-31T23:59:59.999Z");
    "instant of 1000": instant = instant("1000-01-01T00:00:00Z");
    "instant of 1": instant = instant("0001-01-01T00:00:00Z"); MYSQL says "before the year 1000";
    "instant at the end": instant = instant("9999-12-31T23:59:59.999Z");
    "instant with micros": instant = instant("2026-01-02T03:04:05.000001Z"); MONGO says "milliseconds";
    "instant with nanos": instant = instant("2026-01-02T03:04:05.000000001Z");
        COARSE_INSTANTS says "truncate";
    "instant beyond": instant = DateTime::<Utc>::MAX_UTC; EVERYWHERE says "years 1 to 9999";
    "instant of the year 0": instant = instant("0000-12-31T23:59:59Z");
        EVERYWHERE says "years 1 to 9999";
    "local": local = local("2026-02-28 23:59:59.123456");
    "local with nanos": local = local("2026-02-28 23:59:59.123456789"); COARSE says "microseconds";
    "local at the end": local = local("9999-12-31 23:59:59.999999");
    "local of 1": local = local("0001-01-01 00:00:00"); MYSQL says "before the year 1000";
    "local leap second": local = day("2016-12-31").and_time(leap()); EVERYWHERE says "leap second";
    "day of a leap year": day = day("2024-02-29");
    "day of 1000": day = day("1000-01-01");
    "day of 1": day = day("0001-01-01"); MYSQL says "before the year 1000";
    "day at the end": day = day("9999-12-31");
    "day beyond": day = NaiveDate::MAX; EVERYWHERE says "years 1 to 9999";
    "day before": day = NaiveDate::MIN; EVERYWHERE says "years 1 to 9999";
    "midnight": hour = NaiveTime::MIN;
    "end of day": hour = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    "hour with nanos": hour = NaiveTime::from_hms_nano_opt(1, 2, 3, 4).unwrap();
        COARSE says "microseconds";
    "leap second": hour = leap(); EVERYWHERE says "leap second";
    "offset": offset = plain().assume_offset(time::UtcOffset::from_hms(-3, -30, 0).unwrap());
    "offset with nanos": offset = plain().assume_utc() + time::Duration::nanoseconds(1);
        COARSE_INSTANTS says "truncate";
    "utc": utc = plain().as_utc();
    "utc before": utc = UtcDateTime::MIN; EVERYWHERE says "years 1 to 9999";
    "plain": plain = plain();
    "plain with nanos": plain = plain() + time::Duration::nanoseconds(1); COARSE says "microseconds";
    "date": date = plain().date();
    "date at the end": date = time::Date::MAX;
    "date before": date = time::Date::MIN; EVERYWHERE says "years 1 to 9999";
    "clock": clock = plain().time();
    "clock at the end": clock = time::Time::from_hms_micro(23, 59, 59, 999_999).unwrap();
    "object of zeros": object = ObjectId::from_bytes([0; 12]);
    "object of ones": object = ObjectId::from_bytes([255; 12]);
}

/// Those whose decimals have fewer digits.
const BOUNDED: &[On] = &[On::MySql, On::Mongo, On::MongoStandalone];

fn digits(text: &str) -> Digits {
    Digits(text.to_owned())
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%F %T%.f").unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn leap() -> NaiveTime {
    NaiveTime::from_hms_milli_opt(23, 59, 59, 1_500).unwrap()
}

/// 2026-02-03T04:05:06.789
fn plain() -> PrimitiveDateTime {
    let date = time::Date::from_calendar_date(2026, time::Month::February, 3).unwrap();
    date.with_hms_milli(4, 5, 6, 789).unwrap()
}
