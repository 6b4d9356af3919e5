//! The writers that are writing one entity to the store, in the in-process backend.

use std::collections::HashMap;

/// One token per writer, and whether two of them overlapped.
#[derive(Clone, Debug, Default)]
pub(super) struct Intents {
    /// Deadline (µs) by token.
    tokens: HashMap<String, u64>,
    overlapped: bool,
}

impl Intents {
    pub(super) fn expire(&mut self, now: u64) {
        self.tokens.retain(|_, deadline| *deadline > now);
        self.overlapped &= self.is_live();
    }

    pub(super) fn is_live(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub(super) fn is_live_at(&self, now: u64) -> bool {
        self.tokens.values().any(|deadline| *deadline > now)
    }

    /// When the last of the tokens expires (µs).
    pub(super) fn deadline(&self) -> Option<u64> {
        self.tokens.values().max().copied()
    }

    pub(super) fn begin(&mut self, token: &str, deadline: u64) {
        self.tokens.remove(token);
        self.overlapped |= self.is_live();
        self.tokens.insert(token.to_owned(), deadline);
    }

    /// Removes a token; tells whether it was there and nobody else was since it was placed.
    pub(super) fn end(&mut self, token: &str) -> bool {
        let had = self.tokens.remove(token).is_some();
        let alone = had && !self.is_live() && !self.overlapped;
        // A writer whose token was gone may have written after those that are still there began.
        self.overlapped = self.is_live() && (self.overlapped || !had);
        alone
    }
}
