//! All integration tests in one binary, so that they link once and share the servers.

// A failed test panics: that is how it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod campaign;
mod databases;
mod histories;
mod users;
#[macro_use]
mod stage;

mod backends;
mod bad_entries;
mod bad_rows;
mod credentials;
mod derive;
mod failpoints;
mod faults;
mod formats;
mod fuzz;
mod generated;
mod ids;
mod interleaved_writes;
mod interleavings;
mod kills;
mod nothing_older;
mod promises;
mod privileges;
mod refusals;
mod send;
mod simulation;
mod snapshots;
mod state_machine;
mod storms;
mod stores;
mod swaps;
mod testing;
mod tidy;
mod tls;
mod types;
mod write_behind;
