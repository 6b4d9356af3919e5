//! Tests of the formats: what was written reads back, and nothing else is believed.

use std::borrow::Cow;

use super::*;
use crate::schema::{ColumnSpec, Kind};

const COLUMNS: &[ColumnSpec] = &[
    ColumnSpec::new("id", "id", &[], Kind::Text, false, true),
    ColumnSpec::new("flag", "flag", &[], Kind::Bool, true, false),
    ColumnSpec::new("big", "big", &[], Kind::I64, true, false),
    ColumnSpec::new("wide", "wide", &[], Kind::U64, true, false),
    ColumnSpec::new("half", "half", &[], Kind::F32, true, false),
    ColumnSpec::new("real", "real", &[], Kind::F64, true, false),
    ColumnSpec::new("blob", "blob", &["bytes"], Kind::Bytes, true, false),
    ColumnSpec::new("tree", "tree", &[], Kind::Json, true, false),
];

fn codec(format: Format) -> Codec {
    Codec::new(Arc::new(Schema::new("t", "t", 1, COLUMNS)), format)
}

fn record(values: [Value<'static>; 8]) -> Record<'static> {
    let mut record = Record::absent(0);
    values.into_iter().enumerate().for_each(|(i, v)| record.set(i, v));
    record
}

fn samples() -> Vec<Record<'static>> {
    let text = |t: &str| Value::Text(Cow::Owned(t.to_owned()));
    let json = |t: &'static str| Value::Json(Cow::Borrowed(t));
    vec![
        record([
            text("a\"\\\n\0\u{1F980}"),
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::F64(f64::from(0.1_f32)),
            Value::F64(5e-324),
            Value::Bytes(Cow::Owned(vec![0, 255, 10])),
            json(r#"{"a":[1,2.50,"x"]}"#),
        ]),
        record([
            text("x"),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::F64(f64::INFINITY),
            Value::F64(-0.0),
            Value::Bytes(Cow::Borrowed(b"")),
            Value::Null,
        ]),
    ]
}

fn composed(body: Body, state: State, stamp: &str) -> Raw {
    let envelope = Envelope::compose(state, 3, 0, stamp);
    match body {
        Body::Text(rest) => Raw::Text(format!("{{\"_cr\":\"{envelope}\"{rest}").into_bytes()),
        Body::Fields(fields) => {
            let own = (ENVELOPE_FIELD.as_bytes().to_vec(), envelope.into_bytes());
            let rest = fields.into_iter().map(|(name, value)| (name.into_bytes(), value));
            Raw::Fields(std::iter::once(own).chain(rest).collect())
        }
    }
}

#[test]
fn every_format_reads_back_what_it_wrote() {
    for &format in Format::ALL {
        let codec = codec(format);
        for record in samples() {
            let raw = composed(codec.encode(&record).unwrap(), State::Clean, &codec.stamp(9));
            let decoded = codec.decode(raw).unwrap();
            assert_eq!(decoded.record.unwrap(), record, "{format}");
            assert_eq!(decoded.envelope.unwrap().key_hash, 9);
        }
    }
}

#[test]
fn an_absence_has_no_record() {
    for &format in Format::ALL {
        let codec = codec(format);
        let raw = composed(codec.encode_absence(), State::Negative, &codec.stamp(9));
        assert!(codec.decode(raw).unwrap().record.is_none(), "{format}");
    }
}

#[test]
fn what_another_program_wrote_is_read_by_name_and_alias() {
    let text = br#"{ "extra": [1], "bytes": "/w==", "real": 2, "id": "x" }"#;
    let decoded = codec(Format::Json).decode(Raw::Text(text.to_vec())).unwrap();
    let record = decoded.record.unwrap();
    assert!(decoded.envelope.is_none());
    assert_eq!(record.get(5), Some(&Value::F64(2.0)));
    assert_eq!(record.get(6), Some(&Value::Bytes(Cow::Borrowed(b"\xff"))));
    assert_eq!(record.get(1), None);
}

#[test]
fn a_column_that_is_no_json_adds_no_members() {
    let mut record = samples().remove(0);
    record.set(7, Value::Json(Cow::Borrowed("[],\"id\":\"evil\"")));
    assert!(codec(Format::Json).encode(&record).is_err());
}

#[test]
fn bytes_that_are_no_entry_are_errors_and_never_panics() {
    let hostile: [&[u8]; 10] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{\"id\":1}",
        b"{\"big\":1.5}",
        b"{\"blob\":\"%%\"}",
        b"{\"_cr\":\"1c\"}",
        b"{\"id\":\"x\"} trailing",
        b"{\"id\":\"x\",\"id\":\"y\"}",
    ];
    for text in hostile {
        assert!(codec(Format::Json).decode(Raw::Text(text.to_vec())).is_err(), "{text:?}");
    }
    let field = |name: &[u8], value: &[u8]| Raw::Fields(vec![(name.to_vec(), value.to_vec())]);
    assert!(codec(Format::Hash).decode(field(b"big", b"1.5")).is_err());
    assert!(codec(Format::Hash).decode(field(b"id", b"\xff")).is_err());
    assert!(codec(Format::Hash).decode(field(b"\xff", b"1")).is_ok());
    assert!(codec(Format::Json).decode(Raw::WrongType).is_err());
}

/// A column of each kind that is spelled, and how another program may spell what the library spells so.
const SPELLED: [(Kind, &str, &str); 7] = [
    (Kind::Uuid, "67E55044-10B1-426F-9247-BB680E5FE0C8", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
    (Kind::Decimal, "-01.50", "-1.5"),
    (Kind::Timestamp, "2026-01-02 04:34:05.60+01:30", "2026-01-02T03:04:05.6Z"),
    (Kind::DateTime, "2026-01-02 03:04:05.600", "2026-01-02T03:04:05.6"),
    (Kind::Date, "2026-01-02", "2026-01-02"),
    (Kind::Time, "03:04:05.0", "03:04:05"),
    (Kind::ObjectId, "0123456789ABCDEF01234567", "0123456789abcdef01234567"),
];

fn spelled_codec(kind: Kind, format: Format) -> Codec {
    let columns = vec![
        ColumnSpec::new("id", "id", &[], Kind::Text, false, true),
        ColumnSpec::new("value", "value", &[], kind, true, false),
    ];
    Codec::new(Arc::new(Schema::new("t", "t", 1, columns.leak())), format)
}

#[test]
fn other_spellings_are_read_and_only_the_one_is_written() {
    for (kind, theirs, ours) in SPELLED {
        let value = |text: &str| {
            let mut record = Record::absent(2);
            record.set(0, Value::Text(Cow::Borrowed("x")));
            record.set(1, Value::Text(Cow::Owned(text.to_owned())));
            record
        };
        let fields = |text: &str| {
            Raw::Fields(vec![(b"id".to_vec(), b"x".to_vec()), (b"value".to_vec(), text.into())])
        };
        let json = |text: &str| Raw::Text(format!("{{\"id\":\"x\",\"value\":\"{text}\"}}").into());
        for &format in Format::ALL {
            let codec = spelled_codec(kind, format);
            let raw = |text| if format == Format::Json { json(text) } else { fields(text) };
            for text in [theirs, ours] {
                let record = codec.decode(raw(text)).unwrap().record.unwrap();
                assert_eq!(record, value(ours), "{kind:?} as {format}");
            }
            assert!(codec.decode(raw("something else")).is_err(), "{kind:?} as {format}");
            assert!(codec.encode(&value(ours)).is_ok(), "{kind:?} as {format}");
            if theirs != ours {
                assert!(codec.encode(&value(theirs)).is_err(), "{kind:?} as {format}");
            }
            assert!(codec.encode(&value("something else")).is_err(), "{kind:?} as {format}");
        }
    }
}
