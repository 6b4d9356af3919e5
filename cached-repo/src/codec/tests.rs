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
