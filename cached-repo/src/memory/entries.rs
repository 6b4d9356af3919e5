//! The entries of the in-process backend: bytes as Redis would hold them, with their expiry.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    backend::{
        Content,
        journal::{Fate, Settled},
    },
    codec::{Envelope, Format, Raw, State},
    key::Slot,
};

/// Entries by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(HashMap<String, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    raw: Raw,
    /// Taken from the envelope, as is the version; `None` if another program wrote the entry.
    state: Option<State>,
    version: u64,
    /// When the entry expires (µs), if it does.
    deadline: Option<u64>,
}

impl Entries {
    pub(super) fn read(&self, key: &str, format: Format, now: u64) -> Option<Raw> {
        let entry = self.live(key, now)?;
        match (&entry.raw, format) {
            (raw, format) if is_of(raw, format) => Some(raw.clone()),
            // `HGETALL` and `JSON.GET` refuse other types; `MGET` takes them for nothing.
            (_, Format::Hash | Format::JsonDoc) => Some(Raw::WrongType),
            _ => None,
        }
    }

    /// Whether there is an entry of the type that this format has.
    pub(super) fn is_of(&self, key: &str, format: Format, now: u64) -> bool {
        self.live(key, now).is_some_and(|entry| is_of(&entry.raw, format))
    }

    /// The state of an entry: outer `None` without an entry, inner `None` without an envelope.
    pub(super) fn state(&self, key: &str, now: u64) -> Option<Option<State>> {
        self.live(key, now).map(|entry| entry.state)
    }

    pub(super) fn is_pinned(&self, key: &str, now: u64) -> bool {
        self.state(key, now).flatten().is_some_and(State::is_pinned)
    }

    /// That of an entry that holds a journaled write.
    pub(super) fn journaled_version(&self, key: &str, now: u64) -> Option<u64> {
        self.0.get(key).filter(|entry| entry.is_journaled(now)).map(|entry| entry.version)
    }

    pub(super) fn is_kept(&self, key: &str, now: u64) -> bool {
        self.state(key, now).flatten() == Some(State::Kept)
    }

    /// Version and deadline of an entry that is kept.
    pub(super) fn kept(&self, key: &str, now: u64) -> Option<(u64, Option<u64>)> {
        let entry = self.live(key, now).filter(|entry| entry.state == Some(State::Kept))?;
        Some((entry.version, entry.deadline))
    }

    /// Some of the keys that are meant, in the order of their hashes, and where to go on; 0 at the end.
    pub(super) fn page(
        &self,
        is_meant: impl Fn(&&str) -> bool,
        from: u64,
        count: usize,
        now: u64,
    ) -> (u64, Vec<String>) {
        let live = self.0.iter().filter(|(_, entry)| entry.is_live(now));
        let meant = live.map(|(key, _)| key.as_str()).filter(is_meant);
        // 0 is the end.
        let hashed = meant.map(|key| (xxh3_64(key.as_bytes()).max(1), key));
        let mut found: Vec<_> = hashed.filter(|(hash, _)| *hash >= from).collect();
        found.sort_unstable();
        let next = found.get(count).map_or(0, |(hash, _)| *hash);
        found.truncate(count);
        (next, found.into_iter().map(|(_, key)| key.to_owned()).collect())
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
        let raw = content.body.compose(&envelope);
        let deadline = content.ttl.map(|ttl| now + super::micros(ttl));
        let state = Some(content.state);
        self.0.insert(slot.entry.clone(), Entry { raw, state, version, deadline });
    }

    /// Makes a journaled entry what the store's commit says, unless a later write is in it.
    pub(super) fn settle(&mut self, settled: &Settled<'_>, now: u64) {
        let key = settled.entry;
        let is_kept = self.is_kept(key, now);
        let Some(entry) = self.0.get_mut(key).filter(|entry| entry.state.is_some() && !is_kept)
        else {
            return;
        };
        match settled.fate {
            _ if entry.version > settled.version => {}
            // It was made where the entry had been lost: from the row before this write.
            _ if entry.version < settled.version => self.remove(key),
            _ if !entry.is_journaled(now) => {}
            Fate::Clean { ttl } if !ttl.is_zero() => {
                entry.clean();
                entry.deadline = Some(now + super::micros(ttl));
            }
            Fate::Clean { .. } | Fate::Drop => self.remove(key),
        }
    }

    /// Removes a journaled entry, unless it has a later version.
    pub(super) fn forget(&mut self, key: &str, latest: u64, now: u64) {
        let is_found = |entry: &Entry| entry.is_journaled(now) && entry.version <= latest;
        if self.0.get(key).is_some_and(is_found) {
            self.remove(key);
        }
    }

    /// Removes an entry that was journaled in an epoch up to this one.
    pub(super) fn disown(&mut self, key: &str, epoch: u64, now: u64) {
        let is_found = |entry: &Entry| entry.is_journaled(now) && entry.generation() < epoch;
        if self.0.get(key).is_some_and(is_found) {
            self.remove(key);
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn expire(&mut self, now: u64) {
        self.0.retain(|_, entry| entry.is_live(now));
    }

    #[cfg(feature = "conformance")]
    pub(super) fn plant(&mut self, key: &str, raw: Raw) {
        let envelope = raw.envelope().and_then(|text| Envelope::parse(text).ok());
        let (state, version) = envelope.map_or((None, 0), |e| (Some(e.state), e.version));
        self.0.insert(key.to_owned(), Entry { raw, state, version, deadline: None });
    }

    fn live(&self, key: &str, now: u64) -> Option<&Entry> {
        self.0.get(key).filter(|entry| entry.is_live(now))
    }
}

/// Whether Redis would hold it under a key of the type that this format has.
fn is_of(raw: &Raw, format: Format) -> bool {
    match raw {
        Raw::Text(_) => matches!(format, Format::Json | Format::Msgpack),
        Raw::Fields(_) => format == Format::Hash,
        Raw::Document(_) => format == Format::JsonDoc,
        Raw::WrongType => false,
    }
}

impl Entry {
    fn is_live(&self, now: u64) -> bool {
        self.deadline.is_none_or(|deadline| deadline > now)
    }

    /// Whether it holds a journaled write that is not known to be in the store.
    fn is_journaled(&self, now: u64) -> bool {
        self.is_live(now) && matches!(self.state, Some(State::Dirty | State::Tombstone))
    }

    /// That of a journaled write is its epoch.
    fn generation(&self) -> u64 {
        let envelope = self.raw.envelope().and_then(|text| Envelope::parse(text).ok());
        envelope.map_or(0, |envelope| envelope.generation)
    }

    /// A dirty entry becomes a copy of the row, a tombstone that of its absence.
    fn clean(&mut self) {
        let state = match self.state {
            Some(State::Tombstone) => State::Negative,
            _ => State::Clean,
        };
        self.state = Some(state);
        self.raw.set_state(state);
    }
}
