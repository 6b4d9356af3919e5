//! The reserved field `_cr` that says what an entry is, in a fixed width that scripts can read.
//!
//! ```text
//! 1  c  0005f0a1b2c3d4e5  00000000  AAAAAAAAAAA BBBBBBBBBBB CCCCCC
//! │  │  │                 │         │           │           └ check of the two before it
//! │  │  │                 │         │           └ hash of the key
//! │  │  │                 │         └ fingerprint of the schema
//! │  │  │                 └ generation of the partition
//! │  │  └ version, 0 where the store decides the order
//! │  └ state: c clean, n no such row, k kept by redis_only, d dirty, t dirty tombstone
//! └ format of the envelope
//! ```
//!
//! Scripts write the first four, clients the rest, which is constant for an entity and therefore
//! checked. 54 characters and the field's name stay under the 64 bytes that keep a hash compact.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use xxhash_rust::xxh3::xxh3_64;

use crate::column::ColumnError;

/// The field's name, in JSON and in a hash.
pub(crate) const ENVELOPE_FIELD: &str = "_cr";
/// The whole width.
pub(super) const LEN: usize = 54;
const FORMAT: u8 = b'1';
const STAMP_AT: usize = 26;
const HASHES_LEN: usize = 22;
const CHECK_LEN: usize = 6;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A copy of a row.
    Clean,
    /// The store has no such row.
    Negative,
    /// The only copy: `redis_only` wrote it.
    Kept,
    /// Journaled, not yet in the store.
    Dirty,
    /// A delete that is journaled, not yet in the store.
    Tombstone,
}

impl State {
    pub(crate) const fn letter(self) -> char {
        match self {
            State::Clean => 'c',
            State::Negative => 'n',
            State::Kept => 'k',
            State::Dirty => 'd',
            State::Tombstone => 't',
        }
    }

    /// Whether the entry says that there is no such entity.
    pub(crate) const fn is_absence(self) -> bool {
        matches!(self, State::Negative | State::Tombstone)
    }

    /// Whether the entry holds what the store does not: it must not be replaced by a copy.
    pub(crate) const fn is_pinned(self) -> bool {
        matches!(self, State::Kept | State::Dirty | State::Tombstone)
    }

    const ALL: [State; 5] =
        [State::Clean, State::Negative, State::Kept, State::Dirty, State::Tombstone];
}

/// An envelope, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) state: State,
    pub(crate) version: u64,
    pub(crate) generation: u64,
    pub(crate) fingerprint: u64,
    pub(crate) key_hash: u64,
}

impl Envelope {
    /// What the scripts put together: their part and the client's stamp.
    pub(crate) fn compose(state: State, version: u64, generation: u64, stamp: &str) -> String {
        format!("{}{}{version:016x}{generation:08x}{stamp}", FORMAT as char, state.letter())
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, ColumnError> {
        Self::parse_or_none(text)
            .ok_or_else(|| ColumnError::new("not an envelope").in_column(ENVELOPE_FIELD))
    }

    fn parse_or_none(text: &[u8]) -> Option<Self> {
        if text.len() != LEN || text[0] != FORMAT {
            return None;
        }
        let hex =
            |from, to| u64::from_str_radix(std::str::from_utf8(&text[from..to]).ok()?, 16).ok();
        let (hashes, check) = text[STAMP_AT..].split_at(HASHES_LEN);
        if check != check_of(hashes) {
            return None;
        }
        let (fingerprint, key_hash) = hashes.split_at(HASHES_LEN / 2);
        Some(Self {
            state: State::ALL.into_iter().find(|s| s.letter() == char::from(text[1]))?,
            version: hex(2, 18)?,
            generation: hex(18, STAMP_AT)?,
            fingerprint: unpack(fingerprint)?,
            key_hash: unpack(key_hash)?,
        })
    }
}

/// The part of an envelope that is the same in every entry of an entity under one schema.
pub(crate) fn stamp(fingerprint: u64, key_hash: u64) -> String {
    let mut stamp = String::with_capacity(LEN - STAMP_AT);
    URL_SAFE_NO_PAD.encode_string(fingerprint.to_be_bytes(), &mut stamp);
    URL_SAFE_NO_PAD.encode_string(key_hash.to_be_bytes(), &mut stamp);
    URL_SAFE_NO_PAD.encode_string(sum_of(stamp.as_bytes()), &mut stamp);
    stamp
}

/// Whether a text begins as the envelope of a pinned entry does.
pub(super) fn is_pinned(text: &[u8]) -> bool {
    let letter = text.strip_prefix(&[FORMAT]).and_then(|rest| rest.first());
    letter.is_some_and(|&l| State::ALL.iter().any(|s| s.is_pinned() && s.letter() == char::from(l)))
}

/// A hash as it stands in a stamp.
pub(super) fn spell(hash: u64) -> String {
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

fn check_of(hashes: &[u8]) -> [u8; CHECK_LEN] {
    let mut check = [0; CHECK_LEN];
    // Four bytes are six characters: they fit.
    let _ = URL_SAFE_NO_PAD.encode_slice(sum_of(hashes), &mut check);
    check
}

fn sum_of(hashes: &[u8]) -> [u8; 4] {
    (xxh3_64(hashes) as u32).to_be_bytes()
}

fn unpack(text: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (len == bytes.len()).then(|| u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_back_and_stays_compact() {
        let text = Envelope::compose(State::Kept, 1_700_000_000_000_000, 7, &stamp(1, u64::MAX));
        assert!(text.len() + ENVELOPE_FIELD.len() <= 64);
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(
            envelope,
            Envelope {
                state: State::Kept,
                version: 1_700_000_000_000_000,
                generation: 7,
                fingerprint: 1,
                key_hash: u64::MAX,
            }
        );
    }

    #[test]
    fn a_damaged_envelope_is_refused() {
        let text = Envelope::compose(State::Clean, 1, 2, &stamp(3, 4));
        for position in [0, 1, 5, 20, 30, 40, 53] {
            let mut damaged = text.clone().into_bytes();
            damaged[position] = b'!';
            assert!(Envelope::parse(&damaged).is_err(), "position {position}");
        }
        assert!(Envelope::parse(b"").is_err());
    }
}
