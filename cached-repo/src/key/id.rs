//! How an id is spelled in keys, and read again.

use std::{borrow::Cow, fmt::Write};

use crate::{
    change::EntityId,
    error::{Error, Result},
    record::Value,
    schema::Kind,
};

/// An id longer than this (bytes, encoded) is refused: databases index at most a few KB.
const ID_REFUSED_LEN: usize = 8 * 1024;
const PART_SEPARATOR: char = ',';

/// Spells an id. Refuses the empty one, those with a null, and those of more than 8 KiB.
pub(crate) fn entity_id(values: Vec<Value<'static>>) -> Result<EntityId> {
    let size: usize = values.iter().map(Value::size).sum();
    let mut text = String::with_capacity(size.min(ID_REFUSED_LEN));
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push(PART_SEPARATOR);
        }
        match value {
            Value::Bool(v) => text.push_str(if *v { "true" } else { "false" }),
            Value::I64(v) => drop(write!(text, "{v}")),
            Value::U64(v) => drop(write!(text, "{v}")),
            Value::Text(v) => encode(v.as_bytes(), &mut text),
            Value::Bytes(v) => encode(v, &mut text),
            other => {
                let found = other.type_name();
                return Err(Error::invalid(format!("{found} cannot be an id")));
            }
        }
    }
    if text.is_empty() {
        return Err(Error::invalid("the id is empty"));
    }
    if text.len() > ID_REFUSED_LEN {
        return Err(Error::invalid(format!(
            "the id has more than {ID_REFUSED_LEN} bytes when encoded: use a shorter one"
        ))
        .of(&text));
    }
    Ok(EntityId::new(values, text))
}

/// Reads what [`entity_id`] spelled, for id columns of these kinds.
pub(crate) fn parse_id(kinds: &[Kind], text: &str) -> Option<EntityId> {
    if text.split(PART_SEPARATOR).count() != kinds.len() {
        return None;
    }
    let value = |(part, kind): (&str, &Kind)| {
        let value = match kind {
            Kind::Bool => Value::Bool(part.parse().ok()?),
            Kind::I16 | Kind::I32 | Kind::I64 => Value::I64(part.parse().ok()?),
            Kind::U64 => Value::U64(part.parse().ok()?),
            Kind::Bytes => Value::Bytes(Cow::Owned(decode(part)?)),
            _ => Value::Text(Cow::Owned(String::from_utf8(decode(part)?).ok()?)),
        };
        Some(value)
    };
    let parts = text.split(PART_SEPARATOR).zip(kinds);
    let id = entity_id(parts.map(value).collect::<Option<_>>()?).ok()?;
    // Only one text spells an id.
    (id.text() == text).then_some(id)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, section 2.3.
fn encode(bytes: &[u8], text: &mut String) {
    // What is too long in any case is not encoded to its end: it may be megabytes that lie in Redis.
    let bytes = bytes.get(..=ID_REFUSED_LEN).unwrap_or(bytes);
    // Most ids need no encoding.
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b'-');
    if let (true, Ok(plain)) = (bytes.iter().all(is_plain), std::str::from_utf8(bytes)) {
        text.push_str(plain);
        return;
    }
    for &byte in bytes {
        if is_plain(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// Undoes [`encode`].
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = behind;
            }
            (b'%', _) => return None,
            _ => bytes.push(*first),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spells_an_id_is_read_as_that_id() {
        let value = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
        for (kinds, values) in [
            (vec![Kind::Text], vec![value("a:b{c}%\n\0é,@#")]),
            (vec![Kind::Text, Kind::Text], vec![value(""), value("a,b")]),
            (vec![Kind::I32, Kind::U64], vec![Value::I64(-7), Value::U64(u64::MAX)]),
            (vec![Kind::Bool], vec![Value::Bool(false)]),
            (vec![Kind::Bytes], vec![Value::Bytes(Cow::Owned(vec![0, 255, b'a']))]),
        ] {
            let id = entity_id(values.clone()).unwrap();
            assert_eq!(parse_id(&kinds, id.text()).unwrap().values(), values);
        }
        for wrong in ["%4", "%zz", "%61", "a:b", "a,b", "", "%FF"] {
            assert!(parse_id(&[Kind::Text], wrong).is_none(), "{wrong}");
        }
        assert!(parse_id(&[Kind::I64], "+7").is_none());
    }

    #[test]
    fn an_id_of_more_than_8_kib_is_refused_and_may_be_of_any_length() {
        let id = |part: &str, times| entity_id(vec![Value::Text(Cow::Owned(part.repeat(times)))]);
        for (part, longest) in [("a", 8192), ("%", 2730), ("é", 1365)] {
            assert!(id(part, longest).is_ok(), "{part}");
            for times in [longest + 1, 3 * longest, 100 * longest] {
                let error = id(part, times).unwrap_err();
                assert!(error.to_string().contains("more than 8192 bytes"), "{error}");
            }
        }
    }
}
