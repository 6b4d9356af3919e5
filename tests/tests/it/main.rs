//! The one integration test binary.

// A failed test panics: that is how it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod stores;
