//! Why a store could not do what it was asked, in the classes that decide what follows.

use std::fmt;

use crate::error::{Error, ErrorKind, Outcome};

/// Why a store could not do what it was asked.
///
/// The constructors are the classes; everything that follows an error is decided by its class.
pub struct StoreError {
    class: Class,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What an error of a store means for whoever asked.
///
/// Which class an answer of a database has is decided by its code, which stands in the message. Tests
/// provoke those that a table, a lock or a user can, and let a trigger or a fail point say most of the
/// others. What is not listed is [`Systemic`](Self::Systemic): better to stop than to give up a record.
///
/// | | PostgreSQL | MySQL, MariaDB | SQLite | MongoDB |
/// |---|---|---|---|---|
/// | [`Transient`](Self::Transient) | classes 08, 28, 40, 53, 57, 58; 25006, 25P03, 25P04, 55P03, 55006; 0A000 of a cached plan | connection: 1053, 1079, 1080, 1152, 1158 to 1161, 1184, 1927, 2006, 2013, 3169, 4031; locks: 1099, 1205, 1206, 1213; time: 1317, 1969, 3024; too many: 1037, 1040, 1041, 1135, 1203, 1226; login: 1045, 1698; read-only: 1290, 1792, 1836; full: 1021, 1114; system: 1 to 99; others first: 1020, 1047, 1180, 1412, 1615, 3100, 3101 | 5, 6, 7, 9, 10, 13, 14, 15, 17 | connection, login (18), and 6, 7, 24, 46, 50, 64, 89, 91, 112, 133, 134, 189, 202, 225, 239, 246, 251, 262, 267, 290, 365, 9001, 10058, 10107, 11600 to 11602, 13435, 13436 |
/// | [`Record`](Self::Record) | classes 22, 23, 44, 54, P0; 42501 of a policy; but not 23502 of a column that is not mapped | unique: 1022, 1062, 1169, 1557, 1586, 1690, 1761, 1762; null: 1048, 1263; value: 1264, 1265, 1292, 1300, 1365, 1366, 1367, 1406, 1411, 3140 to 3158; check: 1369, 1526, 1748, 3819, 4025; length: 1030, 1118, 1139, 1153; trigger: 1172, 1242, 1329, 1416, 1644 | 18, 19 and its extended codes (but not 1299 of a column that is not mapped), 20 | 16, 28, 52, 56, 57, 66, 121, 171, 10334, 11000, 11001, 12582, 16755, 17261, 17280, 17419, 17420 |
/// | [`Reference`](Self::Reference) | 23001, 23503 | 1216, 1217, 1451, 1452 | 787 | – |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It may work later: connection, timeout, deadlock.
    Transient,
    /// No record can be written: a table, a column, a permission is missing.
    Systemic,
    /// This record cannot be written: a constraint, a type, a length.
    Record,
    /// This record refers to a row that is not there (yet), or is deleted while another row still
    /// refers to it. It may work when the other row has been written, which may be on its way.
    Reference,
    /// A fence, the position of a journal, or the state of a dead letter is not the expected one.
    /// Nothing was written.
    Fenced,
    /// The commit may or may not have happened.
    Unknown,
}

impl Class {
    /// Whether a record of the batch is at fault, and not the database.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Record | Self::Reference)
    }
}

impl StoreError {
    /// It may work later. Nothing was written.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, message)
    }

    /// Nothing can be written until a person changes the database. Nothing was written.
    pub fn systemic(message: impl Into<String>) -> Self {
        Self::new(Class::Systemic, message)
    }

    /// A record of the batch cannot be written. Nothing was written.
    pub fn record(message: impl Into<String>) -> Self {
        Self::new(Class::Record, message)
    }

    /// A record of the batch refers to a row that is not there (yet). Nothing was written.
    pub fn reference(message: impl Into<String>) -> Self {
        Self::new(Class::Reference, message)
    }

    /// A fence did not hold. Nothing was written.
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(Class::Fenced, message)
    }

    /// Whether the batch was written is unknown.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Class::Unknown, message)
    }

    fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), source: None }
    }

    /// Keeps what caused it. Its message must not contain secrets.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// What caused it.
    #[cfg(feature = "mongodb")]
    pub(super) fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    pub(crate) fn into_error(self) -> Error {
        let (kind, outcome) = match self.class {
            Class::Transient => (ErrorKind::StoreUnavailable, Outcome::NotApplied),
            Class::Systemic => (ErrorKind::Store, Outcome::NotApplied),
            Class::Record | Class::Reference => (ErrorKind::Refused, Outcome::NotApplied),
            Class::Fenced => (ErrorKind::Fenced, Outcome::NotApplied),
            Class::Unknown => (ErrorKind::StoreUnavailable, Outcome::Unknown),
        };
        let error = Error::new(kind, self.message).outcome_is(outcome);
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({:?}: {self})", self.class)
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_says_whether_the_write_happened() {
        for (error, kind, outcome, is_refusal) in [
            (StoreError::record("x"), ErrorKind::Refused, Outcome::NotApplied, true),
            (StoreError::reference("x"), ErrorKind::Refused, Outcome::NotApplied, true),
            (StoreError::fenced("x"), ErrorKind::Fenced, Outcome::NotApplied, false),
            (StoreError::systemic("x"), ErrorKind::Store, Outcome::NotApplied, false),
            (StoreError::transient("x"), ErrorKind::StoreUnavailable, Outcome::NotApplied, false),
            (StoreError::unknown("x"), ErrorKind::StoreUnavailable, Outcome::Unknown, false),
        ] {
            assert_eq!(error.class().is_refusal(), is_refusal, "{error:?}");
            let error = error.into_error();
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error:?}");
        }
    }
}
