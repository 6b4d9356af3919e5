//! All integration tests in one binary, so that they link once and share the servers.

// A failed test panics: that is how it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod stage;

mod backends;
mod derive;
mod interleavings;
mod promises;
mod stores;
mod tidy;
