//! What the derive implements: how a struct becomes columns and is built from them again.

use std::time::Duration;

use crate::{
    column::{Column, ColumnError},
    names::SnapshotName,
    record::{Record, Value},
    schema::Schema,
};

/// A struct that a [`Repository`](crate::Repository) can keep. Derive it.
///
/// # Contract
///
/// The derive keeps it; a hand-written implementation
/// - MUST put exactly the columns of [`SCHEMA`](Self::SCHEMA) into the record, at their indices, with
///   values of their kinds. Otherwise saves are refused with [`Invalid`](crate::ErrorKind::Invalid).
/// - MUST return from [`id`](Self::id) what the id columns hold. Otherwise reads take the entry for
///   somebody else's and go to the store every time.
/// - MUST build an equal entity from the record that it made. Otherwise a read shows something else
///   than what was saved.
/// - SHOULD take values out of the record instead of copying them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no entity",
    label = "not a `CachedEntity`",
    note = "put `#[derive(CachedEntity)]` and `#[cache(prefix = \"…\")]` on the struct, and `#[cache(id)]` on its id"
)]
pub trait CachedEntity: Sized + Send + Sync + 'static {
    /// The type of the id: a [`Column`], or a tuple of them for a composite id.
    type Id: Id;

    /// The columns, and the default names.
    const SCHEMA: Schema;

    /// What the attributes say; the builder may say otherwise.
    const SETTINGS: Settings;

    /// The id.
    fn id(&self) -> Self::Id;

    /// The columns of this entity, borrowing from it. Fails where a nested value has no JSON.
    fn to_record(&self) -> Result<Record<'_>, ColumnError>;

    /// Builds the entity from its columns. Fails where one is missing or of another type.
    fn from_record(record: &mut Record<'_>) -> Result<Self, ColumnError>;
}

/// What the container attributes of the derive say. Everything is optional: what is not said has the
/// default that the attribute's documentation names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The strategy's name.
    pub strategy: Option<&'static str>,
    /// The format's name.
    pub format: Option<&'static str>,
    /// The compression's name.
    pub compress: Option<&'static str>,
    /// How long a clean entry lives.
    pub ttl: Option<Duration>,
    /// By how many percent of itself a time to live is spread.
    pub jitter_percent: Option<u8>,
    /// How long "no such row" is remembered; zero turns it off.
    pub negative_ttl: Option<Duration>,
    /// Into how many partitions the entity's keys are divided.
    pub partitions: Option<u32>,
    /// Whether of several journaled writes of one id only the last is drained.
    pub coalesce: Option<bool>,
    /// How many journaled writes are drained in one transaction.
    pub batch: Option<usize>,
    /// How many journaled writes may wait for the drain.
    pub max_backlog: Option<u64>,
    /// What a write does when they are that many.
    pub on_full: Option<OnFull>,
    /// How often what `redis_only` keeps is copied to the store.
    pub snapshot: Option<Duration>,
    /// When Redis counts as having a write.
    pub durability: Option<Durability>,
    /// The prefixes of the entities whose journaled writes are drained before those of this one.
    pub after: Option<&'static [&'static str]>,
}

/// When a write that goes to Redis is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Once Redis has it in memory. A Redis that is killed may lose it, as its `appendfsync` says. Defaults
    /// to this.
    #[default]
    Memory,
    /// Once it is on the disk of Redis. A server of version 7.2 tells when it is (`WAITAOF`): with
    /// `appendfsync everysec` within about a second. An older one must sync with every write
    /// (`appendfsync always`).
    Fsync,
    /// Once so many replicas have it in memory (`WAIT`). It is lost if a replica takes over that was
    /// none of them.
    Replicated(u32),
}

/// What a write does when the journal holds as many writes that are not drained as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFull {
    /// It waits so long for the drain, and then fails.
    Block(Duration),
    /// It fails at once.
    Reject,
    /// It goes to the store first, as under `write_through`, until the journal has room. A journaled write
    /// of the same entity is waited for.
    WriteThrough,
}

impl Default for OnFull {
    fn default() -> Self {
        Self::Block(Duration::from_secs(1))
    }
}

impl Settings {
    /// Nothing said.
    pub const fn new() -> Self {
        Self {
            strategy: None,
            format: None,
            compress: None,
            ttl: None,
            jitter_percent: None,
            negative_ttl: None,
            partitions: None,
            coalesce: None,
            batch: None,
            max_backlog: None,
            on_full: None,
            snapshot: None,
            durability: None,
            after: None,
        }
    }

    /// Says the strategy.
    #[must_use]
    pub const fn strategy(self, name: &'static str) -> Self {
        Self { strategy: Some(name), ..self }
    }

    /// Says the format.
    #[must_use]
    pub const fn format(self, name: &'static str) -> Self {
        Self { format: Some(name), ..self }
    }

    /// Says the compression.
    #[must_use]
    pub const fn compress(self, name: &'static str) -> Self {
        Self { compress: Some(name), ..self }
    }

    /// Says the time to live.
    #[must_use]
    pub const fn ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// Says the jitter.
    #[must_use]
    pub const fn jitter_percent(self, percent: u8) -> Self {
        Self { jitter_percent: Some(percent), ..self }
    }

    /// Says the time to live of "no such row".
    #[must_use]
    pub const fn negative_ttl(self, ttl: Duration) -> Self {
        Self { negative_ttl: Some(ttl), ..self }
    }

    /// Says the partitions.
    #[must_use]
    pub const fn partitions(self, partitions: u32) -> Self {
        Self { partitions: Some(partitions), ..self }
    }

    /// Says whether writes are coalesced.
    #[must_use]
    pub const fn coalesce(self, coalesce: bool) -> Self {
        Self { coalesce: Some(coalesce), ..self }
    }

    /// Says the batch.
    #[must_use]
    pub const fn batch(self, writes: usize) -> Self {
        Self { batch: Some(writes), ..self }
    }

    /// Says the bound of the backlog.
    #[must_use]
    pub const fn max_backlog(self, writes: u64) -> Self {
        Self { max_backlog: Some(writes), ..self }
    }

    /// Says how often what is kept is copied to the store, for a strategy that has snapshots.
    #[must_use]
    pub const fn snapshot<S: SnapshotName>(self, interval: Duration) -> Self {
        Self { snapshot: Some(interval), ..self }
    }

    /// Says what a write does at the bound.
    #[must_use]
    pub const fn on_full(self, on_full: OnFull) -> Self {
        Self { on_full: Some(on_full), ..self }
    }

    /// Says when a write is acknowledged.
    #[must_use]
    pub const fn durability(self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self }
    }

    /// Says which entities come before.
    #[must_use]
    pub const fn after(self, prefixes: &'static [&'static str]) -> Self {
        Self { after: Some(prefixes), ..self }
    }
}

/// An id: a [`Column`], or a tuple of two to four of them. It cannot be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an id",
    label = "not an `Id`",
    note = "an id is a type that implements `cached_repo::Column` and `Clone`, or up to four of them"
)]
pub trait Id: IntoId<Self> + Clone + Send + Sync + 'static + sealed::Sealed {
    /// The values of the id columns, in the order in which the struct declares them.
    fn values(&self) -> Vec<Value<'_>>;
}

/// What a repository takes for an id: the id itself, a reference to it, `&str` for a `String`, and
/// tuples of these for a composite id. It cannot be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the id of this entity, which is `{I}`",
    label = "expected `{I}`, or a reference to one",
    note = "the type of an entity's id is that of its field `#[cache(id)]`, or a tuple of them in their order"
)]
pub trait IntoId<I>: sealed::SealedInto<I> {
    /// The id.
    fn into_id(self) -> I;
}

// Nobody outside may implement what these seal, so nobody outside may name them.
#[allow(unnameable_types)]
mod sealed {
    pub trait Sealed {}
    pub trait SealedInto<I> {}
}

impl<T: Column + Clone + Send + Sync + 'static> sealed::Sealed for T {}
#[diagnostic::do_not_recommend]
impl<T: Column + Clone + Send + Sync + 'static> Id for T {
    fn values(&self) -> Vec<Value<'_>> {
        vec![self.to_value()]
    }
}

impl<T: Column> sealed::SealedInto<T> for T {}
#[diagnostic::do_not_recommend]
impl<T: Column> IntoId<T> for T {
    fn into_id(self) -> T {
        self
    }
}

impl<T: Column + Clone> sealed::SealedInto<T> for &T {}
#[diagnostic::do_not_recommend]
impl<T: Column + Clone> IntoId<T> for &T {
    fn into_id(self) -> T {
        self.clone()
    }
}

impl sealed::SealedInto<String> for &str {}
#[diagnostic::do_not_recommend]
impl IntoId<String> for &str {
    fn into_id(self) -> String {
        self.to_owned()
    }
}

macro_rules! composite {
    ($($id:ident $from:ident $n:tt),*) => {
        impl<$($id: Column + Clone + Send + Sync + 'static),*> sealed::Sealed for ($($id,)*) {}
        #[diagnostic::do_not_recommend]
        impl<$($id: Column + Clone + Send + Sync + 'static),*> Id for ($($id,)*) {
            fn values(&self) -> Vec<Value<'_>> {
                vec![$(self.$n.to_value()),*]
            }
        }
        impl<$($id, $from: IntoId<$id> + Clone),*> sealed::SealedInto<($($id,)*)> for &($($from,)*) {}
        #[diagnostic::do_not_recommend]
        impl<$($id, $from: IntoId<$id> + Clone),*> IntoId<($($id,)*)> for &($($from,)*) {
            fn into_id(self) -> ($($id,)*) {
                self.clone().into_id()
            }
        }
        impl<$($id, $from: IntoId<$id>),*> sealed::SealedInto<($($id,)*)> for ($($from,)*) {}
        #[diagnostic::do_not_recommend]
        impl<$($id, $from: IntoId<$id>),*> IntoId<($($id,)*)> for ($($from,)*) {
            fn into_id(self) -> ($($id,)*) {
                ($(self.$n.into_id(),)*)
            }
        }
    };
}
composite!(A X 0, B Y 1);
composite!(A X 0, B Y 1, C Z 2);
composite!(A X 0, B Y 1, C Z 2, D W 3);
