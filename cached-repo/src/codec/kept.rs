//! Which JSON RedisJSON gives back letter by letter: what this module can prove, not all that there is.

use std::{collections::HashSet, fmt, ops::Range};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::json::string;

/// How deep JSON in a column may be. RedisJSON refuses documents deeper than 127.
const NESTED_MAX: usize = 100;
/// Up to here a double holds every integer.
const WHOLE_MAX: u64 = 1 << 53;
/// Up to this power a double holds powers of ten.
const TENS_MAX: i32 = 22;
/// Floats that everybody spells without an exponent.
const PLAIN: Range<f64> = 1e-3..1e15;

/// Whether a float's digits are read as exactly that float by every parser: its significand and the power
/// of ten are doubles, so that their product or quotient is rounded once. RedisJSON rounds others twice.
pub(super) fn is_kept_number(digits: &[u8]) -> bool {
    let exact = || {
        let digits = std::str::from_utf8(digits).ok()?;
        let (significand, tens) = digits.split_once('e').unwrap_or((digits, "0"));
        let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
        let whole = whole.strip_prefix('-').unwrap_or(whole);
        let significand: u64 = format!("{whole}{fraction}").parse().ok()?;
        let tens = tens.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(significand <= WHOLE_MAX && tens.abs() <= TENS_MAX)
    };
    exact().unwrap_or(false)
}

/// Whether a document that holds this JSON says it letter by letter: it is spelled as RedisJSON spells.
pub(super) fn is_kept(json: &str) -> bool {
    let mut text = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_str(json);
    let spelled = Spelling { text: &mut text, depth: 0 }.deserialize(&mut reader);
    spelled.is_ok() && reader.end().is_ok() && text == json.as_bytes()
}

/// Writes a value anew while it reads it.
struct Spelling<'t> {
    text: &'t mut Vec<u8>,
    depth: usize,
}

impl Spelling<'_> {
    fn inner(&mut self) -> Spelling<'_> {
        Spelling { text: self.text, depth: self.depth + 1 }
    }

    fn write(self, value: impl fmt::Display) {
        self.text.extend_from_slice(value.to_string().as_bytes());
    }

    fn enter<E: Error>(&self) -> Result<(), E> {
        match self.depth < NESTED_MAX {
            true => Ok(()),
            false => Err(E::custom("too deep")),
        }
    }

    /// Between two values.
    fn comma(&mut self, is_first: bool) {
        if !is_first {
            self.text.push(b',');
        }
    }
}

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write("null");
        Ok(())
    }

    fn visit_bool<E>(self, v: bool) -> Result<(), E> {
        self.write(v);
        Ok(())
    }

    fn visit_i64<E>(self, v: i64) -> Result<(), E> {
        self.write(v);
        Ok(())
    }

    fn visit_u64<E>(self, v: u64) -> Result<(), E> {
        self.write(v);
        Ok(())
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        let start = self.text.len();
        serde_json::to_writer(&mut *self.text, &v).map_err(E::custom)?;
        match (v == 0.0 || PLAIN.contains(&v.abs())) && is_kept_number(&self.text[start..]) {
            true => Ok(()),
            false => Err(E::custom("not exact, or not spelled the same by everybody")),
        }
    }

    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        string(v, self.text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.enter()?;
        self.text.push(b'[');
        let mut is_first = true;
        loop {
            // The comma is taken back where nothing follows.
            let end = self.text.len();
            self.comma(is_first);
            if items.next_element_seed(self.inner())?.is_none() {
                self.text.truncate(end);
                break;
            }
            is_first = false;
        }
        self.text.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.enter()?;
        self.text.push(b'{');
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            self.comma(names.is_empty());
            string(&name, self.text);
            self.text.push(b':');
            members.next_value_seed(self.inner())?;
            if !names.insert(name) {
                return Err(A::Error::custom("repeated"));
            }
        }
        self.text.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_few_digits_are_kept() {
        for kept in ["0.1", "-0.0", "2.5", "1e22", "-1.5e-8", "900719925474099.0", "1e-22"] {
            assert!(is_kept_number(kept.as_bytes()), "{kept}");
        }
        for other in ["1e23", "5e-324", "0.30000000000000004", "9007199254740993.0", "1e-23", "x"] {
            assert!(!is_kept_number(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn json_in_the_spelling_of_the_module_is_kept() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let kept = [
            "null",
            "true",
            "[]",
            "{}",
            "[{}]",
            "-9223372036854775808",
            "18446744073709551615",
            "{\"b\":1,\"a\":[2,2.5,null,\"\u{1F980}\\n\"]}",
            "\"\"",
            &nested(NESTED_MAX),
        ];
        for json in kept {
            assert!(is_kept(json), "{json}");
        }
        let others = [
            "",
            "[1,]",
            "[1, 2]",
            "{\"a\":1,\"a\":2}",
            "2.50",
            "1E2",
            "1e-4",
            "0.0001",
            "1e16",
            "-0",
            "1e400",
            "0.1e1",
            "18446744073709551616",
            "\"\\ud800\"",
            "\"\\u0041\"",
            "\"\\/\"",
            " 1",
            "1 2",
            "[0.30000000000000004]",
            &nested(NESTED_MAX + 1),
            &nested(100_000),
        ];
        for json in others {
            assert!(!is_kept(json), "{json}");
        }
    }
}
