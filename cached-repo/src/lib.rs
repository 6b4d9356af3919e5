//! Annotate a struct, get a repository, name the caching strategy.
//!
//! ```text
//! Entity is what. Store is where. Strategy is how. Repository is the front door.
//! Redis holds entries and a journal; a worker carries the journal to the store.
//!
//! repo.save(&todo)                           repository     span, checks, receipt
//!   └▶ flow.write(changes)                   strategy/write_behind
//!        └▶ journal.append(changes)          one atomic server-side step: journal record + entry
//!             ⋮                              returns Saved (a receipt)
//! worker: read → apply → acknowledge         worker/drain
//!   └▶ store.apply(batch)                    one transaction: position + rows
//! repo.get(id)
//!   └▶ flow.read(ids)                        one round trip; else lease, load, fill
//! ```
//!
//! # A first repository
//!
//! ```
//! use cached_repo::{Cache, CachedEntity, Repository, store};
//!
//! #[derive(Clone, Debug, PartialEq, CachedEntity)]
//! #[cache(prefix = "todos", strategy = "write_through")]
//! struct Todo {
//!     #[cache(id)]
//!     id: String,
//!     name: String,
//!     description: Option<String>,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> cached_repo::Result<()> {
//! let cache = Cache::in_memory(); // or Cache::connect("redis://127.0.0.1:6379").await?
//! let db = store::memory(); // or store::connect("postgres://localhost/app").await?
//! let todos = Repository::<Todo>::builder(&cache).store(&db).build().await?;
//!
//! let todo = Todo { id: "42".into(), name: "Read the manual".into(), description: None };
//! let saved = todos.save(&todo).await?;
//! saved.persisted().await?; // at once, as write_through acknowledges after the commit
//! assert_eq!(todos.get("42").await?, Some(todo));
//! # Ok(())
//! # }
//! ```
//!
//! # Choosing a strategy
//!
//! | you want | strategy |
//! |---|---|
//! | the least surprise; rows that other programs change too | `cache_aside` |
//! | few queries when many processes miss one entry | `read_through` |
//! | reads that hit right after a write | `write_through` |
//! | saves that do not wait for the database, and go on while it is down | `write_behind` |
//! | no database at all | `redis_only` |
//!
//! In the first three the store is written first and is the truth; the cache never holds a row from
//! before an acknowledged write, whatever crashes. Under `write_behind` Redis has the truth until a
//! worker has carried it to the store: unique and foreign keys are checked only then, and what the store
//! refuses becomes a dead letter ([`Cache::dead_letters`]). In the last, Redis is the truth. Changing
//! between those with a store needs nothing but the word; old and new processes may run side by side. The word may
//! stand in the attribute, in a configuration file (serde), or in a call of the builder.
//!
//! # Attributes
//!
//! On the struct, as `#[cache(name = "value", …)]`; what [`RepositoryBuilder`] is told wins.
//!
//! | attribute | default | meaning |
//! |---|---|---|
//! | `prefix` | required | first part of every key |
//! | `table` (or `collection`) | = prefix | name in the store; `schema.table` is allowed |
//! | `strategy` | `cache_aside` | see above |
//! | `format` | `json` | `json`: JSON text; `hash`: one Redis hash field per column; `json_doc`: a RedisJSON document; `msgpack`: MessagePack |
//! | `compress` | none | `zstd`: entries of 4 KiB and more, in `json` and `msgpack`; needs the feature `zstd` |
//! | `ttl` | `1h` | how long a copy lives; under `redis_only` only the builder's counts |
//! | `jitter` | `10%` | by how much of itself a lifetime is spread |
//! | `negative_ttl` | `30s` | how long "no such row" is remembered; `0` turns it off |
//! | `partitions` | `16` | into how many parts the keys are divided; [`repartition`](RepositoryBuilder::repartition) changes it |
//! | `coalesce`, `batch` | `true`, `500` | how the journal is drained: whether of several writes of one id only the last, and how many in one transaction |
//! | `max_backlog`, `on_full` | `100000`, `block(1s)` | how many journaled writes may wait for the drain, and what a write does when they are that many: wait so long, or `reject` |
//! | `snapshot` | none | `5m`: how often what `redis_only` keeps is copied to the store, for reporting |
//! | `schema` | `1` | raise it for a change that names and types do not show |
//! | `removed` | none | the name of a field that older versions of the struct had, once for each |
//! | `crate` | `::cached_repo` | where this crate is, if it is re-exported |
//!
//! On a field:
//!
//! | attribute | meaning |
//! |---|---|
//! | `id` | the id, or a part of it; ids are then tuples |
//! | `rename = "…"` | another name in entries and in the store |
//! | `column = "…"` | another name in the store |
//! | `alias = "…"` | an older name that entries may still have; may be repeated |
//! | `skip` | not stored; `Default` when read |
//! | `default`, `default = "path"` | what an entry or row without the column means |
//! | `json` | any serde type, as JSON in one column, which may be null |
//! | `generated` | a column that the database computes (`GENERATED ALWAYS AS`): read, and never written, whatever the field says when it is saved; under `cache_aside`, `read_through` and `write_through`, on SQL databases. `create_tables` leaves it out, and `build` tells what to add |
//!
//! Columns are `bool`, integers up to 64 bits, floats, `String`, `Vec<u8>`, `serde_json::Value`, behind
//! features UUIDs, decimals, dates and times and ObjectIds, `Option` of these, and types that implement
//! [`Column`], which has the list.
//!
//! # Types in databases
//!
//! | [`Kind`] | PostgreSQL | MySQL, MariaDB | SQLite | MongoDB |
//! |---|---|---|---|---|
//! | `Uuid` | `uuid` | `CHAR(36)`, `BINARY(16)`, `UUID` | text | binary of the subtype 4 |
//! | `Decimal` | `numeric` | `DECIMAL` | text | `Decimal128` |
//! | `Timestamp` | `timestamptz` | `DATETIME`, `TIMESTAMP` | text | date |
//! | `DateTime` | `timestamp` | `DATETIME` | text | text |
//! | `Date` | `date` | `DATE` | text | text |
//! | `Time` | `time` | `TIME` | text | text |
//! | `ObjectId` | text | `CHAR(24)` | text | ObjectId |
//!
//! A column of a table that exists may be one of these or text; `build` refuses other types and says what
//! to do. Instants are in UTC everywhere, whatever zone a session is in. A `save` of what the column cannot
//! hold exactly is refused before anything is sent, and nothing is rounded: PostgreSQL and MySQL hold
//! microseconds (or fewer digits, if the column says so), MongoDB milliseconds; MySQL no year before 1000;
//! a decimal has as many digits as the column, in MongoDB 34. A decimal does not keep zeros at its end.
//! In a text column an id is found in the spelling of its kind only.
//!
//! # Writing behind
//!
//! A save returns when Redis has the entry and the journal's record of it, which are written in one
//! step. Every process that has built a repository drains the journals of its entities in the
//! background; any number of them may. [`Saved::persisted`] waits for one write, [`Repository::flush`] for
//! all of an entity, [`Cache::shutdown`] for everything, and then stops. [`Cache::health`] says what is
//! wrong, [`CacheBuilder::on_event`] calls back when a journal was recovered or lost, when a write became a
//! dead letter, and when draining stopped or went on.
//!
//! When a wait does not end, nobody drains, or the store does not take writes: [`Cache::health`] tells
//! which, [`Cache::backlog`] how much waits. The worker runs on the tokio runtime on which the first
//! repository was built, and ends with it; what is left is drained by others, or at the next start.
//!
//! Redis must not evict what has no time to live (`allkeys-*` is refused), and should have an append-only
//! file. How much it can lose is up to its settings (`appendfsync`); what it lost is noticed before the
//! next write is accepted.
//!
//! # What is in Redis
//!
//! An entry is under the key that [`Repository::key`] tells, `[namespace:]prefix:id`, with everything but
//! `A-Z a-z 0-9 _ . ~ -` of the id percent-encoded. It is JSON, a hash or a document that other programs can read;
//! the field `_cr` is the library's. An entry without `_cr` was written by another program: it is read as
//! a clean copy, and a write through the library replaces it. The parts of a composite id are joined by
//! `,`. A null is `null` in JSON and no field in a hash; bytes are base64 in JSON and raw in a hash. In a document
//! stands as a text what RedisJSON would change: floats of many digits, and behind `_cr:` the JSON of a `json`
//! column that is nested deeply, or has such a float, spaces or repeated members: a text that begins so is for
//! the library to write. An id
//! that was asked for and has no row has an entry as well, with `_cr` alone, for `negative_ttl`. Other keys
//! of the entity have `@` behind the prefix; `@registry`, `@meta`, `@generation` and `@journal` stay. One key,
//! `[namespace:]@backlog`, lists the partitions of all entities that are not drained.
//!
//! # Errors
//!
//! Every error is an [`Error`]: [`kind`](Error::kind) says what went wrong,
//! [`is_retryable`](Error::is_retryable) whether the same call may succeed later, and
//! [`outcome`](Error::outcome) whether a write took effect. Redis being down is no error for a read that
//! the store can serve; [`Outage`] says what it is for a write.
//!
//! # Cancellation
//!
//! A future of a read can be dropped at any time. A future of a write can be dropped as well: the write
//! goes on in a task of its own, and happens whole or not at all. Both need a tokio runtime.
//!
//! # Features
//!
//! `derive` and `redis` are on by default. `sqlite`, `postgres`, `mysql` and `mongodb` add stores, `tls` adds
//! TLS to Redis, PostgreSQL and MySQL, `uuid`, `chrono`, `time` and `rust_decimal` add columns of the types
//! of these crates, `zstd` the compression of entries, `conformance` the suites that stores of other crates are tested with. A feature adds API and changes no
//! behaviour.

mod repository;
pub use repository::{BATCH_MAX, Repository};

mod builder;
pub use builder::RepositoryBuilder;

mod handle;
pub use handle::{Cache, CacheBuilder, Health, Shutdown};

mod strategy;
pub use strategy::{CacheStep, Durable, Outage, Saved, Strategy};

mod worker;
pub use worker::{DeadLetters, Snapshot};

mod journal;
pub use journal::Event;

mod cache;
pub use cache::Counts;

pub mod store;

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod backend;
#[cfg(feature = "conformance")]
#[doc(hidden)]
pub use backend::Incident;

mod entity;
pub use entity::{CachedEntity, Durability, Id, IntoId, OnFull, Settings};

mod column;
pub use column::{Column, ColumnError};

mod schema;
pub use schema::{ColumnSpec, Kind, Schema};

mod record;
pub use record::{Record, Value};

mod change;
pub use change::{Change, EntityId};

mod codec;
pub use codec::{Compression, Format};

mod key;

mod layout;

mod credentials;
pub use credentials::{Credentials, Login, LoginError};

#[cfg_attr(not(feature = "tls"), allow(dead_code, unreachable_pub))]
mod tls;
#[cfg(feature = "tls")]
pub use tls::Tls;

mod error;
pub use error::{Error, ErrorKind, Outcome, Result};

#[doc(hidden)]
pub mod derived;
#[doc(hidden)]
pub mod names;

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod failpoint;
#[cfg(not(feature = "conformance"))]
mod failpoint;

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod decoders;

mod clock;
mod retry;
// Each store and each family of types needs a part of it.
#[cfg_attr(
    not(all(
        feature = "postgres",
        feature = "mysql",
        feature = "mongodb",
        feature = "uuid",
        feature = "chrono"
    )),
    allow(dead_code)
)]
mod spelling;

#[cfg(feature = "derive")]
pub use cached_repo_derive::CachedEntity;
