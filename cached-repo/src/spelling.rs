//! Values of databases' own types as text, each in one spelling.

mod decimal;
pub(crate) use decimal::Decimal;

mod time;
pub(crate) use time::{Date, Moment, Time};

/// The bytes of a UUID, with hyphens or without.
pub(crate) fn uuid(text: &str) -> Option<[u8; 16]> {
    let is_hyphen = |at: &usize| HYPHENS.contains(at);
    let mut digits = [0; 32];
    match text.len() {
        32 => digits.copy_from_slice(text.as_bytes()),
        36 if text.bytes().enumerate().all(|(at, byte)| is_hyphen(&at) == (byte == b'-')) => {
            let some = text.bytes().filter(|byte| *byte != b'-');
            digits.iter_mut().zip(some).for_each(|(digit, byte)| *digit = byte);
        }
        _ => return None,
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// A UUID in small letters, with hyphens.
pub(crate) fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for byte in bytes {
        if HYPHENS.contains(&text.len()) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// An ObjectId in small letters.
pub(crate) fn object_id(text: &str) -> Option<String> {
    let is_id = text.len() == 24 && text.bytes().all(|byte| nibble(byte).is_some());
    is_id.then(|| text.to_ascii_lowercase())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Where hyphens stand in a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let spelled = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        for text in
            [spelled, "67E55044-10b1-426F-9247-bb680e5fe0c8", "67e5504410b1426f9247bb680e5fe0c8"]
        {
            assert_eq!(uuid(text).map(uuid_text).as_deref(), Some(spelled));
        }
        for text in [
            "",
            "67e55044-10b1-426f-9247-bb680e5fe0c",
            "67e55044-10b1-426f-9247-bb680e5fe0cg",
            "67e5504410b1-426f-9247-bb680e5fe0c8-",
            "67e55044x10b1x426fx9247xbb680e5fe0c8",
            "67e5504410b1426f9247bb680e5fe0é",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_id_has_one_spelling() {
        let spelled = "0123456789abcdef01234567";
        assert_eq!(object_id("0123456789ABCDEF01234567").as_deref(), Some(spelled));
        for text in ["", "0123456789abcdef0123456", "0123456789abcdef0123456x"] {
            assert_eq!(object_id(text), None, "{text}");
        }
    }
}
