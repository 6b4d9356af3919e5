//! An entry's bytes: what a client sends of it, and what Redis answers.

use super::{
    Format, document,
    envelope::{self, ENVELOPE_FIELD, LEN},
};

/// What stands in front of the envelope in JSON.
pub(super) const TEXT_HEAD: [u8; HEAD_LEN] = *b"{\"_cr\":\"";
/// The same in MessagePack: a map of three, and its first key with a text of 54 bytes. The text's
/// length takes two bytes more than it needs, so that the envelope stands where it does in JSON.
pub(super) const PACKED_HEAD: [u8; HEAD_LEN] = *b"\x83\xa3_cr\xda\x00\x36";
const HEAD_LEN: usize = 8;
/// Where the envelope ends in a string.
pub(super) const ENVELOPE_END: usize = HEAD_LEN + LEN;

/// An entry's columns, encoded, without the envelope that the server-side script puts in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The rest of a JSON object, from behind its first member to its closing brace.
    Text(String),
    /// The same, compressed.
    CompressedText(Vec<u8>),
    /// What is behind the envelope in MessagePack, compressed or not.
    Packed(Vec<u8>),
    /// The fields of a hash.
    Fields(Vec<(String, Vec<u8>)>),
    /// As [`Text`](Self::Text), of a document.
    Document(String),
}

impl Body {
    /// The entry that a script makes of it.
    pub(crate) fn compose(&self, envelope: &str) -> Raw {
        let text = |head: [u8; HEAD_LEN], between: &[u8], rest: &[u8]| {
            [&head, envelope.as_bytes(), between, rest].concat()
        };
        match self {
            Body::Text(rest) => Raw::Text(text(TEXT_HEAD, b"\"", rest.as_bytes())),
            Body::CompressedText(rest) => Raw::Text(text(TEXT_HEAD, b"\"", rest)),
            Body::Packed(rest) => Raw::Text(text(PACKED_HEAD, b"", rest)),
            Body::Document(rest) => Raw::Document(text(TEXT_HEAD, b"\"", rest.as_bytes())),
            Body::Fields(fields) => {
                let own = (ENVELOPE_FIELD.as_bytes().to_vec(), envelope.as_bytes().to_vec());
                let rest = fields.iter().map(|(name, v)| (name.as_bytes().to_vec(), v.clone()));
                Raw::Fields(std::iter::once(own).chain(rest).collect())
            }
        }
    }
}

/// What Redis answered for an entry's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// The text of a string key.
    Text(Vec<u8>),
    /// The fields of a hash.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    /// A document, as JSON text.
    Document(Vec<u8>),
    /// A key of another type than the one that was looked for.
    WrongType,
}

impl Raw {
    /// The format that the bytes are in, if they are an entry at all.
    pub(crate) fn format(&self) -> Option<Format> {
        match self {
            Raw::Text(text) if text.starts_with(&PACKED_HEAD) => Some(Format::Msgpack),
            Raw::Text(_) => Some(Format::Json),
            Raw::Fields(_) => Some(Format::Hash),
            Raw::Document(_) => Some(Format::JsonDoc),
            Raw::WrongType => None,
        }
    }

    /// The envelope, or as much as there is of it.
    pub(crate) fn envelope(&self) -> Option<&[u8]> {
        match self {
            Raw::Text(text) => {
                let rest =
                    text.strip_prefix(&TEXT_HEAD).or_else(|| text.strip_prefix(&PACKED_HEAD))?;
                Some(&rest[..rest.len().min(LEN)])
            }
            Raw::Fields(fields) => {
                let own = fields.iter().find(|(name, _)| name == ENVELOPE_FIELD.as_bytes());
                own.map(|(_, envelope)| envelope.as_slice())
            }
            Raw::Document(text) => document::envelope_at(text).map(|at| &text[at]),
            Raw::WrongType => None,
        }
    }

    /// Changes the letter of the state.
    pub(crate) fn set_state(&mut self, state: super::State) {
        let is_headed = self.envelope().is_some();
        let envelope = match self {
            Raw::Text(text) if is_headed => text.get_mut(HEAD_LEN..),
            Raw::Fields(fields) => {
                let own = fields.iter_mut().find(|(name, _)| name == ENVELOPE_FIELD.as_bytes());
                own.map(|(_, envelope)| envelope.as_mut_slice())
            }
            Raw::Document(text) => document::envelope_at(text).and_then(|at| text.get_mut(at)),
            _ => None,
        };
        if let Some(letter) = envelope.and_then(|envelope| envelope.get_mut(1)) {
            *letter = state.letter() as u8;
        }
    }

    /// Whether the bytes begin as those of an entry do that holds what the store does not.
    pub(crate) fn is_pinned(&self) -> bool {
        self.envelope().is_some_and(envelope::is_pinned)
    }
}
