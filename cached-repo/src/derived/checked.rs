//! A serializer around that of serde_json, which writes some values so that they are read as others.

use std::cell::Cell;

use serde::{
    Serialize, Serializer,
    ser::{self, Error},
};

/// What was met while a value was written.
#[derive(Default)]
struct Notes {
    /// How many times `Some` of what JSON writes as null.
    nulls: Cell<usize>,
    refused: Cell<Option<&'static str>>,
}

/// The JSON of a value.
pub(super) struct Text {
    pub(super) json: String,
    /// How many times it says null for a `Some`. Most types read each of them as `None`.
    pub(super) nulls: usize,
}

/// Why a value has no JSON.
pub(super) enum NoJson {
    /// The format cannot say it.
    Inexact(&'static str),
    /// The type's `Serialize` failed.
    Failed(serde_json::Error),
}

/// Writes a value. Refuses numbers that would be read as others, or not at all.
pub(super) fn write<T: Serialize>(value: &T) -> Result<Text, NoJson> {
    let notes = Notes::default();
    match serde_json::to_string(&Checked { value, notes: &notes, in_some: false }) {
        Ok(json) => Ok(Text { json, nulls: notes.nulls.get() }),
        Err(error) => Err(notes.refused.get().map_or(NoJson::Failed(error), NoJson::Inexact)),
    }
}

/// A value that is written through [`Guard`].
struct Checked<'a, T: ?Sized> {
    value: &'a T,
    notes: &'a Notes,
    in_some: bool,
}

impl<T: Serialize + ?Sized> Serialize for Checked<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guard { inner, notes: self.notes, in_some: self.in_some })
    }
}

/// A serializer, or a part of one, whose values are checked.
struct Guard<'a, S> {
    inner: S,
    notes: &'a Notes,
    /// Whether the value is that of a `Some`.
    in_some: bool,
}

impl<'a, S> Guard<'a, S> {
    fn part<P, E>(self, part: impl FnOnce(S) -> Result<P, E>) -> Result<Guard<'a, P>, E> {
        Ok(Guard { inner: part(self.inner)?, notes: self.notes, in_some: false })
    }
}

impl<S: Serializer> Guard<'_, S> {
    fn refuse(self, why: &'static str) -> Result<S::Ok, S::Error> {
        self.notes.refused.set(Some(why));
        Err(S::Error::custom(why))
    }

    fn note_null(&self) {
        self.notes.nulls.set(self.notes.nulls.get() + usize::from(self.in_some));
    }
}

const NOT_FINITE: &str =
    "NaN and the infinities have no JSON: use `Option<f64>`, or a text, for what is no number";
const TOO_WIDE: &str =
    "JSON keeps integers from `i64::MIN` to `u64::MAX`: write a wider one as a text";

macro_rules! forward {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, v: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(v)
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Guard<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guard<'a, S::SerializeSeq>;
    type SerializeTuple = Guard<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Guard<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Guard<'a, S::SerializeTupleVariant>;
    type SerializeMap = Guard<'a, S::SerializeMap>;
    type SerializeStruct = Guard<'a, S::SerializeStruct>;
    type SerializeStructVariant = Guard<'a, S::SerializeStructVariant>;

    forward! {
        serialize_bool bool;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_char char;
        serialize_str &str;
        serialize_bytes &[u8];
    }

    fn serialize_i128(self, v: i128) -> Result<S::Ok, S::Error> {
        if v < i128::from(i64::MIN) || v > i128::from(u64::MAX) {
            return self.refuse(TOO_WIDE);
        }
        self.inner.serialize_i128(v)
    }

    fn serialize_u128(self, v: u128) -> Result<S::Ok, S::Error> {
        if v > u128::from(u64::MAX) {
            return self.refuse(TOO_WIDE);
        }
        self.inner.serialize_u128(v)
    }

    fn serialize_f32(self, v: f32) -> Result<S::Ok, S::Error> {
        if !v.is_finite() {
            return self.refuse(NOT_FINITE);
        }
        self.inner.serialize_f32(v)
    }

    fn serialize_f64(self, v: f64) -> Result<S::Ok, S::Error> {
        if !v.is_finite() {
            return self.refuse(NOT_FINITE);
        }
        self.inner.serialize_f64(v)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.note_null();
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Checked { value, notes: self.notes, in_some: true })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.note_null();
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.note_null();
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Checked { value, notes: self.notes, in_some: self.in_some };
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Checked { value, notes: self.notes, in_some: false };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.part(|inner| inner.serialize_seq(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.part(|inner| inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.part(|inner| inner.serialize_tuple_struct(name, len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.part(|inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.part(|inner| inner.serialize_map(len))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.part(|inner| inner.serialize_struct(name, len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.part(|inner| inner.serialize_struct_variant(name, index, variant, len))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// The parts of a compound: those with a name, and those without.
macro_rules! compounds {
    ($($compound:ident $method:ident ($($key:ident)?);)*) => {$(
        impl<S: ser::$compound> ser::$compound for Guard<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: &'static str,)?
                value: &T,
            ) -> Result<(), S::Error> {
                let value = Checked { value, notes: self.notes, in_some: false };
                self.inner.$method($($key,)? &value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}
compounds! {
    SerializeSeq serialize_element ();
    SerializeTuple serialize_element ();
    SerializeTupleStruct serialize_field ();
    SerializeTupleVariant serialize_field ();
    SerializeStruct serialize_field (key);
    SerializeStructVariant serialize_field (key);
}

/// Keys are texts, which hold every number. serde_json refuses those that are none.
impl<S: ser::SerializeMap> ser::SerializeMap for Guard<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = Checked { value, notes: self.notes, in_some: false };
        self.inner.serialize_value(&value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
