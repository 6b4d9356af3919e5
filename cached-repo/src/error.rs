//! The one error of this crate: what failed, for whom, and what a caller can do about it.

use std::{error::Error as StdError, fmt};

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for code that branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings, the server or the database do not fit together; [`build`] refused them.
    ///
    /// [`build`]: crate::RepositoryBuilder::build
    Configuration,
    /// An id or a value that cannot be stored as it is. Nothing was sent anywhere.
    Invalid,
    /// Redis did not answer, or could not be reached.
    CacheUnavailable,
    /// Redis answered with an error.
    Cache,
    /// The store did not answer, could not be reached, or asks to try again.
    StoreUnavailable,
    /// The store refused the record: a constraint, a type, a length.
    Refused,
    /// The store as a whole cannot do this: a table or a permission is missing.
    Store,
    /// Too many callers wait for the store while Redis is down.
    Overloaded,
    /// The journal of the entity's partition must be recovered before anything is written to it.
    Fenced,
    /// The entry holds a journaled write that is not in the store yet.
    Dirty,
    /// Another process is writing the same entity to the store right now.
    Intended,
    /// The journal holds as many writes that are not drained as it may.
    BacklogFull,
    /// Redis has the write, and did not make it as durable as
    /// [`durability`](crate::RepositoryBuilder::durability) says in time. What is journaled is drained all
    /// the same; [`tokens`](Error::tokens) name it.
    DurabilityNotMet,
    /// The store refused the write when the journal was drained; it is a dead letter.
    DeadLettered,
    /// The journal was recovered since the write: whether the store has it is not known. Read it.
    Recovered,
    /// What is stored cannot be turned into the entity.
    Undecodable,
    /// This crate broke its own rule. Please report it.
    Internal,
}

/// Whether the write that failed took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was changed.
    NotApplied,
    /// The write took effect, although the call failed.
    Applied,
    /// Nobody knows: the connection was lost while the commit was under way. Read to find out.
    Unknown,
}

/// An operation on a repository that failed.
///
/// The message names the operation, the entity and, where there is one, the id. Secrets (passwords
/// in URLs) never stand in it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    retryable: bool,
    operation: &'static str,
    entity: String,
    id: Option<String>,
    tokens: Vec<String>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(
            kind,
            ErrorKind::CacheUnavailable
                | ErrorKind::StoreUnavailable
                | ErrorKind::Overloaded
                | ErrorKind::Intended
                | ErrorKind::BacklogFull
        );
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::NotApplied,
            retryable,
            operation: "",
            entity: String::new(),
            id: None,
            tokens: Vec::new(),
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Says which operation on which entity failed. The innermost caller that knows wins.
    pub(crate) fn during(mut self, operation: &'static str, entity: &str) -> Self {
        if self.0.operation.is_empty() {
            self.0.operation = operation;
            self.0.entity = entity.to_owned();
        }
        self
    }

    pub(crate) fn of(mut self, id: impl fmt::Display) -> Self {
        self.0.id.get_or_insert_with(|| shorten(&id.to_string()));
        self
    }

    pub(crate) fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    pub(crate) fn outcome_is(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Says that the writes are journaled, and how to name them.
    pub(crate) fn journaled_as(mut self, tokens: Vec<String>) -> Self {
        self.0.tokens = tokens;
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error for another caller that waited for the same work.
    pub(crate) fn share(&self) -> Self {
        let source = self.0.source.as_ref().map(|s| s.to_string().into());
        Self(Box::new(Inner {
            message: self.0.message.clone(),
            entity: self.0.entity.clone(),
            id: self.0.id.clone(),
            tokens: self.0.tokens.clone(),
            source,
            ..*self.0
        }))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Names the writes of the call that are journaled although it failed, in their order, so that
    /// [`Repository::persisted`](crate::Repository::persisted) can wait for them. Empty for other errors.
    pub fn tokens(&self) -> &[String] {
        &self.0.tokens
    }

    /// Whether the write took effect. Reads are always [`Outcome::NotApplied`].
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, entity, id, message, source, outcome, .. } = &*self.0;
        if !operation.is_empty() {
            write!(f, "{operation} {entity}")?;
            match id {
                Some(id) => write!(f, " {id:?}: ")?,
                None => write!(f, ": ")?,
            }
        }
        f.write_str(message)?;
        match outcome {
            Outcome::NotApplied => {}
            Outcome::Applied => f.write_str(" (the write took effect)")?,
            Outcome::Unknown => f.write_str(" (whether the write took effect is unknown)")?,
        }
        if let Some(source) = source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// Ids may be 10 KB long; a message shows the beginning.
fn shorten(id: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    match id.char_indices().nth(SHOWN_CHARS) {
        None => id.to_owned(),
        Some((end, _)) => format!("{}…", &id[..end]),
    }
}
