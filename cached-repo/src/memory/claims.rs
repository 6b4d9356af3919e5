//! Rights of one process at a time in the in-process backend, such as to drain a partition.

use super::state::State;
use crate::key::Keyspace;

impl State {
    pub(super) fn claim(
        &mut self,
        keys: &Keyspace,
        partition: u32,
        token: &str,
        hold: u64,
        now: u64,
    ) -> bool {
        self.hold(keys.claim(partition), token, hold, now)
    }

    /// Takes or renews a right.
    pub(super) fn hold(&mut self, right: String, token: &str, hold: u64, now: u64) -> bool {
        let holder = self.claims.get(&right);
        let is_free = holder.is_none_or(|(holder, until)| holder == token || *until <= now);
        if is_free {
            self.claims.insert(right, (token.to_owned(), now + hold));
        }
        is_free
    }

    /// Gives a right back.
    pub(super) fn let_go(&mut self, right: &str, token: &str) {
        if self.claims.get(right).is_some_and(|(holder, _)| holder == token) {
            self.claims.remove(right);
        }
    }

    pub(super) fn is_claimed_by(
        &self,
        keys: &Keyspace,
        partition: u32,
        token: &str,
        now: u64,
    ) -> bool {
        let holder = self.claims.get(&keys.claim(partition));
        holder.is_some_and(|(holder, until)| holder == token && *until > now)
    }
}
