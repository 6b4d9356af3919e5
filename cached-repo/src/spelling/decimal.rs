//! Decimals: a number is spelled with the digits that it needs, so that 1.50 and 1.5 are one text.

use std::fmt;

/// A decimal number, of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    /// Without a zero at either end; empty for 0.
    digits: String,
    /// By which power of ten the digits, taken as an integer, are multiplied.
    exponent: i32,
}

impl Decimal {
    /// Reads plain digits, and those with an exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let is_short = digits.len() <= DIGITS_MAX && exponent.unsigned_abs() <= EXPONENT_MAX;
        if digits.is_empty() || !is_short || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_end_matches('0');
        // Both lengths are below the bound.
        let dropped = (digits.len() - significant.len()) as i32 - fraction.len() as i32;
        let significant = significant.trim_start_matches('0').to_owned();
        let is_zero = significant.is_empty();
        let read = Self {
            is_negative: is_negative && !is_zero,
            digits: significant,
            exponent: if is_zero { 0 } else { exponent + dropped },
        };
        // What is spelled is read again.
        let spelled = read.whole_digits().max(1) + read.fraction_digits();
        (spelled <= DIGITS_MAX).then_some(read)
    }

    /// How many digits stand before the point.
    pub(crate) fn whole_digits(&self) -> usize {
        usize::try_from(self.digits.len() as i32 + self.exponent).unwrap_or(0)
    }

    /// How many digits stand behind the point.
    pub(crate) fn fraction_digits(&self) -> usize {
        usize::try_from(-self.exponent).unwrap_or(0)
    }

    /// The digits from the first to the last that is not 0, and the exponent to which they are an integer.
    pub(crate) fn parts(&self) -> (&str, i32) {
        (&self.digits, self.exponent)
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.is_negative
    }
}

/// Plain digits, without an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative {
            f.write_str("-")?;
        }
        let whole = self.whole_digits();
        if whole >= self.digits.len() {
            let zeros = (whole - self.digits.len()).max(usize::from(whole == 0));
            return write!(f, "{}{}", self.digits, "0".repeat(zeros));
        }
        let (before, behind) = self.digits.split_at(whole);
        let before = if before.is_empty() { "0" } else { before };
        let zeros = self.fraction_digits() - behind.len();
        write!(f, "{before}.{}{behind}", "0".repeat(zeros))
    }
}

/// More than any database has, and little enough to be spelled out.
const DIGITS_MAX: usize = 150_000;
/// More than MongoDB writes, the only database that writes exponents. A short text becomes a long one by them.
const EXPONENT_MAX: u32 = 6_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_has_one_spelling() {
        for (text, spelled) in [
            ("0", "0"),
            ("-0.000", "0"),
            ("0E+10", "0"),
            ("00", "0"),
            ("1.50", "1.5"),
            ("+1.5", "1.5"),
            ("-001.0", "-1"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0.0050", "0.005"),
            ("1200", "1200"),
            ("1.2E+3", "1200"),
            ("1.2e-3", "0.0012"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            (
                "-0.00000000000000000000000000000000000001",
                "-0.00000000000000000000000000000000000001",
            ),
        ] {
            let decimal = Decimal::parse(text).unwrap();
            assert_eq!(decimal.to_string(), spelled, "{text}");
            assert_eq!(Decimal::parse(spelled), Some(decimal), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "1e", "1e5000000", "NaN", "Infinity", "1 ", "0x1", "１"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    /// A few letters in Redis must not become many, nor what cannot be read again.
    #[test]
    fn what_an_exponent_makes_of_a_decimal_is_bounded() {
        for text in ["1e6500", "-9.99e-6500", "1e6144", "1E-6176"] {
            let spelled = Decimal::parse(text).unwrap().to_string();
            assert!(spelled.len() <= 6_510, "{text}: {}", spelled.len());
            assert_eq!(Decimal::parse(&spelled), Decimal::parse(text), "{text}");
        }
        let long = "1".repeat(DIGITS_MAX);
        assert!(Decimal::parse(&long).is_some());
        let small = format!(".{}1e-1", "0".repeat(DIGITS_MAX - 1));
        for text in ["1e6501", "1e-6501", "1e150000", &format!("{long}e1"), &small] {
            assert_eq!(Decimal::parse(text), None, "{} letters", text.len());
        }
    }

    #[test]
    fn digits_are_counted_on_both_sides_of_the_point() {
        for (text, counts) in
            [("0", (0, 0)), ("1200", (4, 0)), ("12.5", (2, 1)), ("0.005", (0, 3)), ("-1.5", (1, 1))]
        {
            let decimal = Decimal::parse(text).unwrap();
            assert_eq!((decimal.whole_digits(), decimal.fraction_digits()), counts, "{text}");
        }
    }
}
