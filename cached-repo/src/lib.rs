//! Annotate a struct, get a repository, name the caching strategy.

mod repository;
pub use repository::{BATCH_MAX, Repository};

mod builder;
pub use builder::RepositoryBuilder;

mod strategy;
pub use strategy::{CacheStep, Durable, Outage, Saved, Strategy};

mod cache;
pub use cache::{Cache, CacheBuilder, Counts};

pub mod store;

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod backend;

mod entity;
pub use entity::{CachedEntity, Id, IntoId, Settings};

mod column;
pub use column::{Column, ColumnError};

mod schema;
pub use schema::{ColumnSpec, Kind, Schema};

mod record;
pub use record::{Record, Value};

mod change;
pub use change::{Change, EntityId};

mod codec;
pub use codec::Format;

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
