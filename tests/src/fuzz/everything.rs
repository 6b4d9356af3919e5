//! An entity with a column of every kind, as the decoders know it.

use cached_repo::{CachedEntity, Record, decoders::Decoders};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use mongodb::bson::oid::ObjectId;
use rust_decimal::Decimal;
use uuid::Uuid;

/// One column of every kind.
#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "everything", removed = "gone")]
pub(super) struct Everything {
    #[cache(id)]
    pub(super) id: String,
    truth: bool,
    short: i16,
    whole: Option<i32>,
    long: i64,
    #[cache(default)]
    unsigned: u64,
    single: f32,
    double: f64,
    #[cache(alias = "note")]
    text: Option<String>,
    bytes: Vec<u8>,
    #[cache(json)]
    tree: Vec<(String, f64)>,
    any: serde_json::Value,
    uuid: Uuid,
    price: Option<Decimal>,
    instant: DateTime<Utc>,
    local: Option<NaiveDateTime>,
    day: NaiveDate,
    hour: NaiveTime,
    object: Option<ObjectId>,
}

/// Some of them, from small to long.
pub(super) fn samples() -> Vec<Everything> {
    let small = Everything {
        id: "1".to_owned(),
        truth: false,
        short: 0,
        whole: None,
        long: 0,
        unsigned: 0,
        single: 0.0,
        double: 0.0,
        text: None,
        bytes: Vec::new(),
        tree: Vec::new(),
        any: serde_json::Value::Null,
        uuid: Uuid::nil(),
        price: None,
        instant: DateTime::UNIX_EPOCH,
        local: None,
        day: NaiveDate::default(),
        hour: NaiveTime::MIN,
        object: None,
    };
    let full = Everything {
        id: "a:b,{c}%\u{1F980}".to_owned(),
        truth: true,
        short: i16::MIN,
        whole: Some(i32::MAX),
        long: i64::MIN,
        unsigned: u64::MAX,
        single: 0.1,
        double: 5e-324,
        text: Some("\u{1F980} \"\\\n".to_owned()),
        bytes: vec![0, 255, 10],
        tree: vec![("a".to_owned(), 2.5), ("b".to_owned(), 0.300_000_000_000_000_04)],
        any: serde_json::json!({ "a": [1, null, { "b": "_cr:x" }], "c": 1e300 }),
        uuid: Uuid::from_u128(0x0123_4567_89ab_cdef),
        price: Some(Decimal::new(-15, 1)),
        instant: DateTime::from_timestamp(1_767_323_045, 678_000_000).unwrap(),
        local: Some(NaiveDateTime::default()),
        day: NaiveDate::from_ymd_opt(9999, 12, 31).unwrap(),
        hour: NaiveTime::from_hms_nano_opt(23, 59, 59, 1).unwrap(),
        object: Some(ObjectId::from_bytes([7; 12])),
    };
    let special = Everything {
        single: f32::NAN,
        double: f64::NEG_INFINITY,
        any: serde_json::json!("_cr:[1]"),
        text: Some("long ".repeat(400)),
        ..full.clone()
    };
    vec![small, full, special]
}

pub(super) fn decoders() -> Decoders {
    Decoders::new(Everything::SCHEMA, VALUE_MAX_BYTES)
}

/// What a record says, in words: floats to the bit. `None`: it is no such entity.
pub(super) fn said(
    decoders: &Decoders,
    mut record: Record<'static>,
) -> Option<(Everything, String)> {
    let entity = Everything::from_record(&mut record).ok()?;
    let text = decoders.write_data(&entity.to_record().unwrap()).ok()?;
    Some((entity, text))
}

/// Small, so that frames that say that they are longer are met.
pub(super) const VALUE_MAX_BYTES: usize = 8 * 1024;
