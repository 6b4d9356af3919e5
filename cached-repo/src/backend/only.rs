//! Writes of entries that are the only copy: what is asked for, and answered.

use super::{Content, Side};
use crate::key::Slot;

/// A write of the only copy; no content deletes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub(crate) slot: &'a Slot,
    /// The id's text, by which a change is marked.
    pub(crate) id: &'a str,
    pub(crate) content: Option<Content<'a>>,
}

/// The answer to writes of the only copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PutReply {
    /// The versions, one per write, and which server it was (empty if nobody asked).
    Written { versions: Vec<u64>, server: String },
    /// This slot (by index) holds a journaled write. Nothing was changed.
    Dirty(usize),
    /// The partition is on a side on which `redis_only` may not write. Nothing was changed.
    Elsewhere(Side),
}

impl PutReply {
    /// Where there was nothing to write.
    pub(crate) fn nothing() -> Self {
        Self::Written { versions: Vec::new(), server: String::new() }
    }
}
