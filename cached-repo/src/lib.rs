//! Annotate a struct, get a repository, name the caching strategy.

pub mod store;

mod entity;
pub use entity::{CachedEntity, Column, ColumnError, Id, IntoId, Settings};

mod schema;
pub use schema::{ColumnSpec, Kind, Schema};

mod record;
pub use record::{Record, Value};

mod change;
pub use change::{Change, EntityId};

mod key;

mod error;
pub use error::{Error, ErrorKind, Outcome, Result};

#[doc(hidden)]
pub mod derived;
#[doc(hidden)]
pub mod names;

mod clock;
mod retry;

#[cfg(feature = "derive")]
pub use cached_repo_derive::CachedEntity;
