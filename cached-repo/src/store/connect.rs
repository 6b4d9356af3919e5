//! Opens a store by the scheme of its URL, or around a pool that the user already has.
