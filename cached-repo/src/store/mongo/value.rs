//! Values of columns as BSON, and back.

use std::borrow::Cow;

use mongodb::bson::{Binary, Bson, Uuid, oid::ObjectId, spec::BinarySubtype};

use super::json;
use crate::{record::Value, schema::Kind};

/// How texts of an id are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// The spelling of an ObjectId or a UUID as what it spells.
    Native,
    AsTheyAre,
}

/// A value as BSON; `None` for null, which is an absent field.
///
/// # Errors
///
/// Why MongoDB cannot hold it exactly.
pub(super) fn to_bson(kind: Kind, value: &Value<'_>, texts: Texts) -> Result<Option<Bson>, String> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(v) => Bson::Boolean(*v),
        Value::I64(v) => match (kind, i32::try_from(*v)) {
            (Kind::I16 | Kind::I32, Ok(v)) => Bson::Int32(v),
            _ => Bson::Int64(*v),
        },
        Value::U64(v) => match i64::try_from(*v) {
            Ok(v) => Bson::Int64(v),
            Err(_) => return Err(format!("integers above {}", i64::MAX)),
        },
        Value::F64(v) => Bson::Double(*v),
        Value::Text(v) if texts == Texts::Native => {
            native(v).unwrap_or_else(|| Bson::String(v.to_string()))
        }
        Value::Text(v) => Bson::String(v.to_string()),
        Value::Bytes(v) => {
            Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: v.to_vec() })
        }
        Value::Json(v) => json::to_bson(v)?,
    }))
}

/// What a field holds, as a value of a column. A field that is absent or null is null.
///
/// # Errors
///
/// What is wrong with the field.
pub(super) fn from_bson(
    kind: Kind,
    field: Option<Bson>,
    texts: Texts,
) -> Result<Value<'static>, String> {
    let Some(field) = field else { return Ok(Value::Null) };
    Ok(match (kind, field) {
        // JSON has a null of its own.
        (Kind::Json, field) => Value::Json(Cow::Owned(json::from_bson(field)?)),
        (_, Bson::Null | Bson::Undefined) => Value::Null,
        (Kind::Bool, Bson::Boolean(v)) => Value::Bool(v),
        (Kind::I16 | Kind::I32 | Kind::I64, number) => Value::I64(integer(&number)?),
        (Kind::U64, number) => match u64::try_from(integer(&number)?) {
            Ok(v) => Value::U64(v),
            Err(_) => return Err("it is below 0".to_owned()),
        },
        (Kind::F32 | Kind::F64, Bson::Double(v)) => Value::F64(v),
        (Kind::F32 | Kind::F64, Bson::Int32(v)) => Value::F64(v.into()),
        (Kind::F32 | Kind::F64, Bson::Int64(v)) if v.unsigned_abs() <= DOUBLE_EXACT_MAX => {
            Value::F64(v as f64)
        }
        (Kind::Text, Bson::String(v)) => Value::Text(Cow::Owned(v)),
        (Kind::Text, Bson::ObjectId(v)) if texts == Texts::Native => {
            Value::Text(Cow::Owned(v.to_hex()))
        }
        (Kind::Text, Bson::Binary(v)) if texts == Texts::Native => match v.to_uuid() {
            Ok(uuid) => Value::Text(Cow::Owned(uuid.to_string())),
            Err(_) => return Err(unexpected(kind, &Bson::Binary(v))),
        },
        (Kind::Bytes, Bson::Binary(v)) => Value::Bytes(Cow::Owned(v.bytes)),
        (kind, other) => return Err(unexpected(kind, &other)),
    })
}

/// The ObjectId or UUID that a text spells: in small letters, so that each has one spelling.
pub(super) fn native(text: &str) -> Option<Bson> {
    let is_small = || !text.bytes().any(|byte| byte.is_ascii_uppercase());
    match text.len() {
        OBJECT_ID_LEN if is_small() => ObjectId::parse_str(text).ok().map(Bson::ObjectId),
        UUID_LEN if is_small() => {
            let uuid = Uuid::parse_str(text).ok()?;
            (uuid.to_string() == text).then(|| Bson::Binary(uuid.into()))
        }
        _ => None,
    }
}

/// Shells write whole numbers as doubles: those are integers too.
fn integer(number: &Bson) -> Result<i64, String> {
    match number {
        Bson::Int32(v) => Ok(i64::from(*v)),
        Bson::Int64(v) => Ok(*v),
        Bson::Double(v) if v.fract() == 0.0 && v.abs() <= DOUBLE_EXACT_MAX as f64 => Ok(*v as i64),
        other => Err(unexpected(Kind::I64, other)),
    }
}

/// Names the type and never the content.
fn unexpected(kind: Kind, found: &Bson) -> String {
    let found = found.element_type();
    format!("a column of kind {kind:?} cannot be read from a BSON {found:?}")
}

const OBJECT_ID_LEN: usize = 24;
const UUID_LEN: usize = 36;
/// Every integer up to here is a double, and no other integer is rounded to one of these.
const DOUBLE_EXACT_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_an_id_is_native() {
        for text in ["0123456789abcdef01234567", "67e55044-10b1-426f-9247-bb680e5fe0c8"] {
            let Some(id) = native(text) else { panic!("{text} is a spelling") };
            let read = from_bson(Kind::Text, Some(id), Texts::Native);
            assert_eq!(read, Ok(Value::Text(text.into())));
        }
        for text in [
            "0123456789ABCDEF01234567",
            "0123456789abcdef0123456",
            "0123456789abcdef0123456x",
            "67E55044-10b1-426f-9247-bb680e5fe0c8",
            "67e5504410b1426f9247bb680e5fe0c8",
            "67e55044x10b1x426fx9247xbb680e5fe0c8",
        ] {
            assert_eq!(native(text), None, "{text}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_refused_and_whole_doubles_are_integers() {
        let read = |kind, field| from_bson(kind, Some(field), Texts::AsTheyAre);
        assert_eq!(read(Kind::I64, Bson::Double(2.0)), Ok(Value::I64(2)));
        assert_eq!(read(Kind::F64, Bson::Int64(7)), Ok(Value::F64(7.0)));
        for (kind, field) in [
            (Kind::I64, Bson::Double(2.5)),
            (Kind::I64, Bson::Double(1e300)),
            (Kind::I64, Bson::String("2".to_owned())),
            (Kind::U64, Bson::Int32(-1)),
            (Kind::F64, Bson::Int64(i64::MAX)),
            (Kind::Text, Bson::ObjectId(ObjectId::new())),
            (Kind::Text, Bson::Int32(1)),
            (Kind::Bool, Bson::Int32(1)),
            (Kind::Bytes, Bson::String(String::new())),
        ] {
            assert!(read(kind, field.clone()).is_err(), "{kind:?} from {field:?}");
        }
    }
}
