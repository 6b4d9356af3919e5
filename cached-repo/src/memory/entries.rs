//! The entries of the in-process backend: bytes as Redis would hold them, with their expiry.

use std::collections::HashMap;

use crate::{
    backend::Content,
    codec::{Body, ENVELOPE_FIELD, Envelope, Format, Raw, State},
    key::Slot,
};

/// Entries by key.
#[derive(Debug, Default)]
pub(super) struct Entries(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    raw: Raw,
    /// Taken from the envelope; `None` if another program wrote the entry.
    state: Option<State>,
    /// When the entry expires (µs), if it does.
    deadline: Option<u64>,
}

impl Entries {
    pub(super) fn read(&self, key: &str, format: Format, now: u64) -> Option<Raw> {
        let entry = self.live(key, now)?;
        match (&entry.raw, format) {
            (Raw::Text(_), Format::Json) | (Raw::Fields(_), Format::Hash) => {
                Some(entry.raw.clone())
            }
            // `MGET` takes a hash for nothing; `HGETALL` refuses a string.
            (_, Format::Json) => None,
            (_, Format::Hash) => Some(Raw::WrongType),
        }
    }

    /// Whether there is an entry of this format.
    pub(super) fn is_of(&self, key: &str, format: Format, now: u64) -> bool {
        self.live(key, now).is_some_and(|entry| {
            matches!(
                (&entry.raw, format),
                (Raw::Text(_), Format::Json) | (Raw::Fields(_), Format::Hash)
            )
        })
    }

    /// The state of an entry: outer `None` without an entry, inner `None` without an envelope.
    pub(super) fn state(&self, key: &str, now: u64) -> Option<Option<State>> {
        self.live(key, now).map(|entry| entry.state)
    }

    pub(super) fn is_pinned(&self, key: &str, now: u64) -> bool {
        self.state(key, now).flatten().is_some_and(State::is_pinned)
    }

    pub(super) fn write(
        &mut self,
        slot: &Slot,
        content: &Content<'_>,
        version: u64,
        generation: u64,
        now: u64,
    ) {
        let envelope = Envelope::compose(content.state, version, generation, content.stamp);
        let raw = match content.body {
            Body::Text(rest) => {
                Raw::Text(format!("{{\"{ENVELOPE_FIELD}\":\"{envelope}\"{rest}").into_bytes())
            }
            Body::Fields(fields) => {
                let own = (ENVELOPE_FIELD.as_bytes().to_vec(), envelope.into_bytes());
                let rest = fields.iter().map(|(name, v)| (name.as_bytes().to_vec(), v.clone()));
                Raw::Fields(std::iter::once(own).chain(rest).collect())
            }
        };
        let deadline = content.ttl.map(|ttl| now + super::micros(ttl));
        self.0.insert(slot.entry.clone(), Entry { raw, state: Some(content.state), deadline });
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn expire(&mut self, now: u64) {
        self.0.retain(|_, entry| entry.is_live(now));
    }

    #[cfg(feature = "conformance")]
    pub(super) fn plant(&mut self, key: &str, raw: Raw) {
        let envelope = match &raw {
            Raw::Text(text) => text.strip_prefix(b"{\"_cr\":\"").and_then(|rest| rest.get(..54)),
            Raw::Fields(fields) => {
                fields.iter().find(|(name, _)| name == b"_cr").map(|(_, value)| value.as_slice())
            }
            Raw::WrongType => None,
        };
        let state = envelope.and_then(|text| Envelope::parse(text).ok()).map(|e| e.state);
        self.0.insert(key.to_owned(), Entry { raw, state, deadline: None });
    }

    fn live(&self, key: &str, now: u64) -> Option<&Entry> {
        self.0.get(key).filter(|entry| entry.is_live(now))
    }
}

impl Entry {
    fn is_live(&self, now: u64) -> bool {
        self.deadline.is_none_or(|deadline| deadline > now)
    }
}
