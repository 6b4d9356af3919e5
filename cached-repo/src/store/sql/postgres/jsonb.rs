//! JSON for `jsonb` columns, which hold each number as a decimal: without an exponent, and without a sign of
//! zero.

use std::borrow::Cow;

/// The JSON with every float in a form that `jsonb` reads back as a float. It would return `1e16` as the integer
/// `10000000000000000`, which is another value of [`serde_json::Value`].
pub(super) fn held(json: &str) -> Cow<'_, str> {
    let mut held = String::new();
    let mut end = 0;
    for (at, number) in numbers(json) {
        let Some(plain) = plain(number) else { continue };
        held.push_str(&json[end..at]);
        held.push_str(&plain);
        end = at + number.len();
    }
    match end {
        0 => Cow::Borrowed(json),
        end => Cow::Owned(held + &json[end..]),
    }
}

/// Why `jsonb` does not hold this JSON.
pub(super) fn refusal(json: &str) -> Option<String> {
    if has_nul_escape(json) {
        return Some("JSON with \\u0000".to_owned());
    }
    numbers(json).find_map(|(_, number)| {
        let (mantissa, exponent) = split(number);
        let is_zero = mantissa.bytes().all(|byte| !matches!(byte, b'1'..=b'9'));
        if is_zero && number.starts_with('-') {
            return Some("-0.0 in a jsonb column, which drops the sign".to_owned());
        }
        let is_short = |exponent: i32| exponent.unsigned_abs() <= DIGITS_MAX as u32;
        let fits = mantissa.len() <= DIGITS_MAX && exponent.is_none_or(is_short);
        (!fits).then(|| format!("JSON with a number of more than {DIGITS_MAX} digits"))
    })
}

/// A number with an exponent and without a digit behind the point, written out.
fn plain(number: &str) -> Option<String> {
    let (mantissa, exponent) = split(number);
    let exponent = usize::try_from(exponent?).ok().filter(|digits| *digits <= DIGITS_MAX)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = exponent.checked_sub(fraction.len())?;
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Some(format!("{sign}{digits}.0"))
}

/// What stands before an exponent, and the exponent if there is one. One that is no `i32` counts as the greatest.
fn split(number: &str) -> (&str, Option<i32>) {
    match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.parse().unwrap_or(i32::MAX))),
        None => (number, None),
    }
}

/// The numbers in a JSON text, each with its place.
fn numbers(json: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'"' => at = string_end(bytes, at),
                b'-' | b'0'..=b'9' => {
                    let is_part =
                        |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                    at += bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                    return Some((start, &json[start..at]));
                }
                _ => {}
            }
        }
        None
    })
}

/// Behind the quote that ends the string in which this place is.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether JSON text has the escape of a NUL. A backslash before it that is itself escaped makes it plain text.
fn has_nul_escape(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json[..at].bytes().rev().take_while(|&b| b == b'\\').count();
        before % 2 == 0
    })
}

/// A `numeric` has 131,072 digits before the point and 16,383 behind it: this many, moved by an exponent of this
/// many, fit both.
const DIGITS_MAX: usize = 8_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_out_and_all_else_stays() {
        for (json, expected) in [
            ("1e16", "10000000000000000.0"),
            ("[-1.5E+3,2]", "[-1500.0,2]"),
            ("[0.05e2, 0e5, 1e0]", "[5.0, 0.0, 1.0]"),
            (r#"{"1e16":"1e16\"1e16","a":1.50}"#, r#"{"1e16":"1e16\"1e16","a":1.50}"#),
            (r#"["\\",1e1]"#, r#"["\\",10.0]"#),
            // They have a point in `jsonb` as well.
            ("[1e-7,1.25e1]", "[1e-7,1.25e1]"),
        ] {
            assert_eq!(held(json), expected);
        }
    }

    #[test]
    fn what_jsonb_changes_is_refused() {
        for json in ["-0.0", "[-0]", "-0e5", "1e9000", "1e-9000", r#""\u0000""#, "1e99999999999"] {
            assert!(refusal(json).is_some(), "{json}");
        }
        for json in ["-0.01", "[0.0]", r#""-0.0""#, r#""\\u0000""#, "1e308", "-5e-324"] {
            assert_eq!(refusal(json), None, "{json}");
        }
    }
}
