//! The one integration test binary.

mod stores;
