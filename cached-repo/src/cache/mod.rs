//! One entity's entries over the backend: reading, filling, announcing, and one flight for many readers.

mod counts;
mod entries;
mod flight;
mod owed;
mod steps;

pub use counts::Counts;
pub(crate) use entries::{Entries, Entry, Lifetimes, Only};
pub(crate) use flight::{Flights, Landing, Lead, Phase};
pub(crate) use owed::Owed;
pub(crate) use steps::{Begun, Filling, Kept, Refusal, Unput};
