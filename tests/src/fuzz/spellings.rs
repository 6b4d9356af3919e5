//! `spelling_decode`: decimals, times and other texts of one spelling, and the types that are made of them.

use cached_repo::{Column, Kind, Value};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use mongodb::bson::oid::ObjectId;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Outcome, Probe, Target};

pub(super) const TARGET: Target = Target {
    name: "spelling_decode",
    seeds,
    words: &[
        "T",
        "t",
        "Z",
        "z",
        "+00:00",
        "-23:59",
        "+24:00",
        ":60",
        ".",
        ".999999999",
        ".0",
        "E",
        "e-9",
        "{",
        "}",
        "urn:uuid:",
        "0000",
        "9999",
        "-02-29",
        "24:00:00",
        " BC",
        "inf",
        "nan",
    ],
    run,
};

const KINDS: [Kind; 7] = [
    Kind::Uuid,
    Kind::Decimal,
    Kind::Timestamp,
    Kind::DateTime,
    Kind::Date,
    Kind::Time,
    Kind::ObjectId,
];

fn run(input: &[u8], probe: &Probe) -> Outcome {
    let Some((kind, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let Ok(text) = std::str::from_utf8(input) else {
        return Outcome::Refused(format!("{kind:?} is no text"));
    };
    let spelled = probe.decode(text.len() + DECIMAL_BYTES, FACTOR, || {
        kind.canonical(text).map(|spelled| spelled.into_owned())
    });
    let Some(spelled) = spelled else { return Outcome::Refused(format!("{kind:?}")) };
    assert_eq!(kind.canonical(&spelled).as_deref(), Some(&*spelled), "there is one spelling");
    let is_held = match kind {
        Kind::Uuid => keeps::<Uuid>(&spelled),
        Kind::Decimal => keeps::<Decimal>(&spelled),
        Kind::Timestamp => keeps::<DateTime<Utc>>(&spelled) && keeps::<time::UtcDateTime>(&spelled),
        Kind::DateTime => {
            keeps::<NaiveDateTime>(&spelled) && keeps::<time::PrimitiveDateTime>(&spelled)
        }
        Kind::Date => keeps::<NaiveDate>(&spelled) && keeps::<time::Date>(&spelled),
        Kind::Time => keeps::<NaiveTime>(&spelled) && keeps::<time::Time>(&spelled),
        _ => keeps::<ObjectId>(&spelled),
    };
    // A decimal may have more digits than the type.
    assert!(is_held || kind == Kind::Decimal, "{kind:?} {spelled}");
    let signs: String = text.chars().filter(|c| !c.is_alphanumeric()).take(8).collect();
    Outcome::Accepted(format!("{kind:?} {is_held} {signs}"))
}

/// Whether the type takes it; then it says the same again.
fn keeps<T: Column>(spelled: &str) -> bool {
    let Ok(value) = T::from_value(Value::Text(spelled.to_owned().into())) else { return false };
    let Value::Text(again) = value.to_value() else { panic!("{spelled} is no text any more") };
    assert_eq!(again, spelled);
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let texts: [(u8, &[&str]); 7] = [
        (0, &["01234567-89ab-cdef-0123-456789abcdef", "0123456789ABCDEF0123456789ABCDEF"]),
        (1, &["0", "-1.50", "99999999999999999999999999999999999999", "1e5", "+.5"]),
        (2, &["2026-01-02T03:04:05.678Z", "2026-01-02 03:04:05+01:00", "0001-01-01T00:00:00Z"]),
        (3, &["2026-01-02T03:04:05.000000001", "9999-12-31 23:59:59"]),
        (4, &["2024-02-29", "0001-01-01"]),
        (5, &["03:04:05.678", "23:59:59"]),
        (6, &["0123456789abcdef01234567", "0123456789ABCDEF01234567"]),
    ];
    let of = |(kind, all): &(u8, &[&str])| -> Vec<Vec<u8>> {
        let kind = *kind;
        let taken = all.iter().filter(|text| KINDS[usize::from(kind)].canonical(text).is_some());
        taken.map(|text| [&[kind], text.as_bytes()].concat()).collect()
    };
    texts.iter().flat_map(of).collect()
}

const FACTOR: usize = 4;
/// What an exponent may make of a decimal.
pub(super) const DECIMAL_BYTES: usize = 6_510;
