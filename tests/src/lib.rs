//! What the tests stand on: servers, faults that can be switched, and calls that can be held.

// A harness that cannot do its work has nobody to tell but the test's output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod isolate;

pub mod certificates;

mod raw;
pub use raw::raw;

pub mod servers;

pub mod private;
pub use private::PrivateDatabase;

pub mod secured;

mod documents;

pub mod process;
pub use process::Process;

pub mod actor;

pub mod hoard;

pub mod proxy;
pub use proxy::{Direction, Mode, Proxy};

pub mod gate;
pub use gate::{Gated, Held, Point};

pub mod fuzz;

pub mod privileged;
pub use privileged::Privileged;

/// The README's programs, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
