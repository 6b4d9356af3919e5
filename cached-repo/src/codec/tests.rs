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
    packing(format, None, usize::MAX)
}

fn packing(format: Format, compression: Option<Compression>, value_max_bytes: usize) -> Codec {
    let packing = Packing { compression, min_bytes: 0, value_max_bytes };
    Codec::new(Arc::new(Schema::new("t", "t", 1, COLUMNS)), format, packing)
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

/// Records of one value each that is as far out as its kind goes.
fn extremes() -> Vec<Record<'static>> {
    let text = |t: &str| Value::Text(Cow::Owned(t.to_owned()));
    let bytes = |b: Vec<u8>| Value::Bytes(Cow::Owned(b));
    let one = |index, value| {
        let mut record = Record::absent(COLUMNS.len());
        record.set(0, text("id"));
        (1..COLUMNS.len()).for_each(|other| record.set(other, Value::Null));
        record.set(index, value);
        record
    };
    let texts = ["", "\0", "null", "\u{1F980}\u{10FFFF}", "(\u{b5}/\u{fd}", "~\"\\/\u{7f}\u{2028}"];
    let ints = [i64::MIN, i64::from(i32::MIN) - 1, -129, -33, -1, 0, 127, 128, 1 << 53, i64::MAX];
    let reals = [0.0, -0.0, 1.0, 0.1, f64::MIN_POSITIVE / 4.0, f64::MAX, f64::MIN, 1e21];
    let halves = [0.1_f32, f32::from_bits(1), f32::MAX, f32::MIN, -0.0, f32::NEG_INFINITY];
    let jsons = ["0", "\"\"", "[]", "{}", "{\"a\":{\"b\":[null,1e400,0.10]}}", "\"null\""];
    let mut all = Vec::new();
    all.extend(texts.map(|t| one(0, text(t))));
    all.push(one(0, text(&"\u{1F980}".repeat(1 << 18))));
    all.extend(ints.map(|v| one(2, Value::I64(v))));
    all.extend([0, 1 << 63, u64::MAX].map(|v| one(3, Value::U64(v))));
    all.extend(halves.map(|v| one(4, Value::F64(f64::from(v)))));
    all.extend(reals.map(|v| one(5, Value::F64(v))));
    all.extend([f64::INFINITY, f64::NEG_INFINITY].map(|v| one(5, Value::F64(v))));
    all.extend([vec![], vec![0], b"null".to_vec(), vec![0xff; 1 << 20]].map(|v| one(6, bytes(v))));
    all.extend(jsons.map(|v| one(7, Value::Json(Cow::Borrowed(v)))));
    all
}

/// Every format, as it is and, where that goes, compressed.
fn codecs() -> Vec<Codec> {
    let mut codecs: Vec<_> = Format::ALL.iter().map(|&format| codec(format)).collect();
    if CAN_COMPRESS {
        let zstd = Some(Compression::Zstd);
        codecs.extend([Format::Json, Format::Msgpack].map(|f| packing(f, zstd, 4 << 20)));
    }
    codecs
}

fn composed(body: Body, state: State, stamp: &str) -> Raw {
    body.compose(&Envelope::compose(state, 3, 0, stamp))
}

#[test]
fn every_format_reads_back_what_it_wrote() {
    for codec in codecs() {
        for record in samples().into_iter().chain(extremes()) {
            let raw = composed(codec.encode(&record).unwrap(), State::Clean, &codec.stamp(9));
            // Whoever reads it, whatever it writes itself.
            for reader in codecs() {
                let decoded = reader.decode(raw.clone()).unwrap();
                assert!(decoded.record.unwrap() == record, "{} {record:?}", codec.format());
                assert_eq!(decoded.envelope.unwrap().key_hash, 9);
            }
        }
    }
}

#[test]
fn not_a_number_stays_not_a_number() {
    for codec in codecs() {
        let mut record = samples().remove(1);
        record.set(4, Value::F64(f64::NAN));
        record.set(5, Value::F64(f64::NAN));
        let raw = composed(codec.encode(&record).unwrap(), State::Clean, &codec.stamp(9));
        let read = codec.decode(raw).unwrap().record.unwrap();
        for index in [4, 5] {
            assert!(matches!(read.get(index), Some(Value::F64(v)) if v.is_nan()));
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
    assert!(codec(Format::JsonDoc).decode(Raw::Document(b"[1]".to_vec())).is_err());
    assert!(codec(Format::Json).decode(Raw::WrongType).is_err());
}

/// JSON and hashes check themselves only, as other programs may write them.
#[test]
fn any_damage_of_a_checked_entry_is_noticed_and_no_other_one_panics() {
    for codec in codecs() {
        let body = codec.encode(&samples()[0]).unwrap();
        let checked = !matches!(body, Body::Text(_) | Body::Fields(_));
        let Raw::Text(text) = composed(body, State::Clean, &codec.stamp(9)) else { continue };
        for at in 0..text.len() {
            assert!(codec.decode(Raw::Text(text[..at].to_vec())).is_err(), "cut at {at}");
            let mut damaged = text.clone();
            damaged[at] ^= 0x40;
            let decoded = codec.decode(Raw::Text(damaged));
            // The state, the version and the generation are written by scripts, which cannot check; and
            // not every bit of a frame means something.
            let is_noticed = decoded.map_or(true, |d| d.record.as_ref() == Some(&samples()[0]));
            assert!(!checked || (9..34).contains(&at) || is_noticed, "changed at {at}");
        }
        let longer = [text.as_slice(), b"\x80"].concat();
        assert!(codec.decode(Raw::Text(longer)).is_err());
    }
}

/// Rows whose check fits, and that this crate did not write.
#[test]
fn messagepack_that_is_no_row_is_an_error() {
    let codec = codec(Format::Msgpack);
    let deep = [vec![0x81, 0xa1, b'x'], vec![0x91; 100_000]].concat();
    let rows: [&[u8]; 9] = [
        b"",
        b"\x90",
        b"\xc0",
        b"\x81\xa2id",
        b"\x81\xa2id\x01",
        b"\x81\xa2id\xdb\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa2id\xa1x\xa2id\xa1y",
        &deep,
    ];
    let read = |row: &[u8]| {
        let body = Body::Packed(msgpack::checked(row));
        codec.decode(composed(body, State::Clean, &codec.stamp(9)))
    };
    for row in rows {
        assert!(read(row).is_err(), "{}", row[..row.len().min(40)].escape_ascii());
    }
    // A newer version of the struct may have more columns, of whatever shape.
    let newer = read(b"\x82\xa3new\x91\x81\xc0\xc2\xa2id\xa1x").unwrap().record.unwrap();
    assert_eq!(newer.get(0), Some(&Value::Text(Cow::Borrowed("x"))));
    assert_eq!(newer.get(1), None);
}

/// Frames by hand: a length, and blocks that each say one byte 128 Ki times.
#[cfg(feature = "zstd")]
#[test]
fn a_frame_that_grows_beyond_the_bound_is_an_error() {
    const BLOCK: usize = 128 << 10;
    let frame = |said: usize, blocks: usize| {
        let mut frame = b"\x28\xb5\x2f\xfd\xe0".to_vec();
        frame.extend((said as u64).to_le_bytes());
        for block in 1..=blocks {
            let header = (BLOCK << 3) | 2 | usize::from(block == blocks);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(b' ');
        }
        frame
    };
    let schema = Schema::new("t", "t", 1, COLUMNS);
    let packing = Packing { compression: None, min_bytes: 0, value_max_bytes: 1 << 20 };
    for (head, between) in [(body::TEXT_HEAD, "\""), (body::PACKED_HEAD, "")] {
        let unpack = |frame: &[u8]| {
            let envelope = Envelope::compose(State::Clean, 0, 0, &stamp(1, 2));
            let entry = [&head, envelope.as_bytes(), between.as_bytes(), frame].concat();
            packing.unpack(&schema, entry)
        };
        assert_eq!(unpack(&frame(8 * BLOCK, 8)).unwrap().len(), 62 + between.len() + 8 * BLOCK);
        // What it says is beyond the bound, and true; or not true.
        let beyond = unpack(&frame(64 * BLOCK, 64)).unwrap_err();
        assert!(beyond.to_string().contains("value_max_bytes"), "{beyond}");
        assert!(unpack(&frame(usize::MAX / 2, 64)).is_err());
        for (said, blocks) in [(10, 64), (8 * BLOCK, 9), (8 * BLOCK, 7), (0, 1)] {
            assert!(unpack(&frame(said, blocks)).is_err(), "{said} {blocks}");
        }
        // A frame that does not say how long it is.
        assert!(unpack(b"\x28\xb5\x2f\xfd\x00\x58\x03\x00\x00a").is_err());
        assert!(unpack(b"\x28\xb5\x2f\xfd").is_err());
    }
}

mod documents;
mod spelled;
