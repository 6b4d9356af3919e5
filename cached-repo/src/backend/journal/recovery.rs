//! What a recovery asks of Redis, and what it is answered.

/// A recovery that the store knows of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repair<'a> {
    pub(crate) partition: u32,
    pub(crate) ticket: &'a str,
    /// The new epoch.
    pub(crate) epoch: u64,
    /// A journal of an earlier epoch than this, or of another identity, is not this one's.
    pub(crate) settled: u64,
    pub(crate) journal: &'a str,
    /// The store's position.
    pub(crate) last_id: u64,
    /// Whether it is no news that the journal goes on.
    pub(crate) expects_kept: bool,
    /// Whether it is no news that there is no journal, or an empty one.
    pub(crate) expects_empty: bool,
}

/// What a recovery found that a person should know, and what earlier ones did that nobody told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    #[default]
    None,
    /// The journal that was there goes on, with so many records that are not drained.
    Recovered { left: u64 },
    /// The journal was gone, or outdated: so many of its records were thrown away.
    Lost { discarded: u64 },
}

/// The answer to a [`Repair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repaired {
    /// Another recovery began meanwhile. Nothing was changed.
    Overtaken,
    /// The journal that was there goes on, with so many records that are not drained.
    Kept { left: u64 },
    /// There was no journal, or an outdated one: so many of its records above the position were thrown
    /// away.
    Replaced { discarded: u64 },
}

/// What became of the rest of a partition that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retired {
    /// Some of it is left.
    More,
    Done,
    /// It is another journal, or lives: nothing was changed.
    Refused,
}
