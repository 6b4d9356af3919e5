//! Who may drain a partition of the in-process backend.

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
        let holder = self.claims.get(&keys.claim(partition));
        let is_free = holder.is_none_or(|(holder, until)| holder == token || *until <= now);
        if is_free {
            self.claims.insert(keys.claim(partition), (token.to_owned(), now + hold));
        }
        is_free
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
