//! The format `json_doc`: what stands in a document as a text, and what another program makes of one.

use super::*;

fn written(index: usize, value: Value<'static>) -> Option<String> {
    let mut record = Record::absent(COLUMNS.len());
    record.set(0, Value::Text(Cow::Borrowed("x")));
    record.set(index, value);
    match codec(Format::JsonDoc).encode(&record) {
        Ok(Body::Document(text)) => Some(text),
        _ => None,
    }
}

fn read(document: &str) -> Option<Record<'static>> {
    codec(Format::JsonDoc).decode(Raw::Document(document.into())).ok()?.record
}

#[test]
fn only_what_the_module_would_change_is_spelled_as_a_text() {
    let json = |text| written(7, Value::Json(Cow::Borrowed(text)));
    for (written, expected) in [
        (written(5, Value::F64(0.1)), r#","id":"x","real":0.1}"#),
        (written(5, Value::F64(-0.0)), r#","id":"x","real":-0.0}"#),
        (written(5, Value::F64(5e-324)), r#","id":"x","real":"5e-324"}"#),
        (written(5, Value::F64(0.1 + 0.2)), r#","id":"x","real":"0.30000000000000004"}"#),
        (written(5, Value::F64(f64::NAN)), r#","id":"x","real":"NaN"}"#),
        (written(4, Value::F64(f64::from(f32::MAX))), r#","id":"x","half":"3.4028235e38"}"#),
        (written(3, Value::U64(u64::MAX)), r#","id":"x","wide":18446744073709551615}"#),
        (written(2, Value::I64(i64::MIN)), r#","id":"x","big":-9223372036854775808}"#),
        (json(r#"{"b":[1,2.5],"a":"c"}"#), r#","id":"x","tree":{"b":[1,2.5],"a":"c"}}"#),
        (json("\"c\""), r#","id":"x","tree":"c"}"#),
        (json("\"_cr:c\""), r#","id":"x","tree":"_cr:\"_cr:c\""}"#),
        (json("[1, 2]"), r#","id":"x","tree":"_cr:[1, 2]"}"#),
        (json("[1e400]"), r#","id":"x","tree":"_cr:[1e400]"}"#),
        (json(r#""\ud800""#), r#","id":"x","tree":"_cr:\"\\ud800\""}"#),
    ] {
        assert_eq!(written.as_deref(), Some(expected));
    }
}

#[test]
fn what_another_program_wrote_into_a_document_is_read() {
    let get = |document: &str, index: usize| read(document)?.get(index).cloned();
    let plain = r#"{"extra":[1],"bytes":"/w==","real":2,"id":"x","tree":"5"}"#;
    assert_eq!(get(plain, 5), Some(Value::F64(2.0)));
    assert_eq!(get(plain, 6), Some(Value::Bytes(Cow::Borrowed(b"\xff"))));
    assert_eq!(get(plain, 7), Some(Value::Json(Cow::Borrowed("\"5\""))), "a text, and no number");
    let spelled = r#"{"id":"x","half":"0.1","real":"-2.5e-8","tree":"_cr:[1, 2]"}"#;
    assert_eq!(get(spelled, 4), Some(Value::F64(f64::from(0.1_f32))));
    assert_eq!(get(spelled, 5), Some(Value::F64(-2.5e-8)));
    assert_eq!(get(spelled, 7), Some(Value::Json(Cow::Borrowed("[1, 2]"))));
    for other in [r#""real":"two""#, r#""tree":"_cr:""#, r#""tree":"_cr:[""#, r#""big":"1""#] {
        assert_eq!(read(&format!("{{\"id\":\"x\",{other}}}")), None, "{other}");
    }
    // In JSON that is no document a float is never a text, but where no number says it.
    let json = codec(Format::Json).decode(Raw::Text(br#"{"id":"x","real":"2.5"}"#.to_vec()));
    assert!(json.is_err());
}

#[test]
fn the_envelope_is_found_wherever_it_stands() {
    let envelope = Envelope::compose(State::Dirty, 3, 0, &stamp(1, 2));
    for (document, is_pinned) in [
        (format!("{{\"_cr\":\"{envelope}\",\"id\":\"x\"}}"), true),
        (format!("{{\"id\":\"x\",\"_cr\":\"{envelope}\"}}"), true),
        (format!("{{\"id\":\"x\",\"y\":{{\"_cr\":\"{envelope}\"}}}}"), false),
        ("{\"id\":\"x\",\"_cr\":1}".to_owned(), false),
        ("{\"_cr\":\"".to_owned(), false),
        ("[]".to_owned(), false),
    ] {
        let mut raw = Raw::Document(document.clone().into_bytes());
        assert_eq!(raw.is_pinned(), is_pinned, "{document}");
        raw.set_state(State::Clean);
        assert!(!raw.is_pinned(), "{document}");
        let Raw::Document(changed) = raw else { unreachable!() };
        assert_eq!(changed.len(), document.len());
    }
}
