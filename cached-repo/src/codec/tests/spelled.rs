//! Kinds that are text in one spelling.

use super::*;

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
    let packing = Packing { compression: None, min_bytes: 0, value_max_bytes: usize::MAX };
    Codec::new(Arc::new(Schema::new("t", "t", 1, columns.leak())), format, packing)
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
            let raw = |text: &str| match format {
                Format::Json => json(text),
                Format::Msgpack => {
                    let head: &[u8] = b"\x82\xa2id\xa1x\xa5value\xd9";
                    let row = [head, &[text.len() as u8], text.as_bytes()].concat();
                    let body = Body::Packed(msgpack::checked(&row));
                    composed(body, State::Clean, &codec.stamp(9))
                }
                Format::Hash => fields(text),
                Format::JsonDoc => {
                    Raw::Document(format!("{{\"id\":\"x\",\"value\":\"{text}\"}}").into())
                }
            };
            for text in [theirs, ours] {
                let record = codec.decode(raw(text)).ok().and_then(|decoded| decoded.record);
                assert_eq!(record, Some(value(ours)), "{kind:?} as {format}");
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
