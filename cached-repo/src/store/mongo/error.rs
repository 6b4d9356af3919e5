//! What an error of MongoDB means for whoever asked.

use mongodb::{
    bson::Document,
    error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure},
};

use crate::store::{Class, StoreError};

/// Why a step of a transaction failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    /// Whether the same transaction may work when it is run again from its beginning.
    pub(super) again: Again,
    /// Which of the changes that were sent was refused.
    pub(super) refused: Option<usize>,
}

/// Whether to run a transaction again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// Another transaction was faster. One of them always gets through, so this ends.
    Conflict,
    /// The connection or the primary is gone. The next one may be there already.
    Lost,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, again: Again::No, refused: None }
    }
}

impl Fault {
    /// Makes a fault of the driver's error. Nothing was written.
    pub(super) fn new(error: Error, doing: &str) -> Self {
        let (class, code) = (class(&error), code(&error));
        let may_work = error.contains_label(TRANSIENT_TRANSACTION_ERROR);
        let again = match code {
            Some(code) if CONFLICTS.contains(&code) => Again::Conflict,
            _ if may_work => Again::Lost,
            _ => Again::No,
        };
        Self { again, ..Self::from(told(class, code, doing).caused_by(error)) }
    }

    /// Makes a fault of an entry in a reply's list of write errors.
    pub(super) fn refused(entry: &Document) -> Self {
        let code = number(entry, "code");
        let message = entry.get_str("errmsg").unwrap_or("it gave no reason").to_owned();
        // Two transactions that insert one id: the later one finds the document when it looks again.
        if is_same(entry, &["_id"]) {
            let error = told(Class::Transient, Some(code), "write").caused_by(message);
            return Self { again: Again::Conflict, ..Self::from(error) };
        }
        let refused = usize::try_from(number(entry, "index")).ok();
        let again = if CONFLICTS.contains(&code) { Again::Conflict } else { Again::No };
        let error = told(class_of(code), Some(code), "write").caused_by(message);
        Self { error, again, refused }
    }
}

/// Turns the driver's error into the store's. Nothing was written.
pub(super) fn classify(error: Error, doing: &str) -> StoreError {
    Fault::new(error, doing).error
}

/// Whether the server refuses who we are, or what we ask to see.
pub(super) fn is_refused_login(error: &Error) -> bool {
    matches!(*error.kind, ErrorKind::Authentication { .. })
        || code(error).is_some_and(|code| LOGINS.contains(&code))
        || error.to_string().contains("AuthenticationFailed")
}

/// What the server refused about who we are, if that is why a call failed. Then nothing was written.
pub(super) fn refused_login(error: &StoreError) -> Option<RefusedLogin> {
    if error.class() == Class::Unknown {
        return None;
    }
    let error = error.cause()?.downcast_ref::<Error>()?;
    match code(error) {
        Some(UNAUTHORIZED) => Some(RefusedLogin::Rights),
        _ => is_refused_login(error).then_some(RefusedLogin::Password),
    }
}

/// What a server may refuse about who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedLogin {
    /// A connection did not come about.
    Password,
    /// The user may not do it; or is none any more, and its connections are open still.
    Rights,
}

/// Whether a document with this key is there already.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error).is_some_and(|code| DUPLICATES.contains(&code))
}

/// Whether a collection of this name is there already.
pub(super) fn is_there(error: &Error) -> bool {
    code(error) == Some(NAMESPACE_EXISTS)
}

/// The error of a write that is no transaction, in the reply of a command that ended well.
pub(super) fn check_reply(reply: &Document) -> Result<(), Fault> {
    if let Some(entry) = write_errors(reply).next() {
        return Err(Fault::refused(entry));
    }
    match reply.get_document("writeConcernError") {
        // It was written, and may be lost when the primary is.
        Ok(concern) => {
            let message = concern.get_str("errmsg").unwrap_or_default().to_owned();
            let error = StoreError::unknown("MongoDB did not confirm a write by the majority");
            Err(error.caused_by(message).into())
        }
        Err(_) => Ok(()),
    }
}

/// Whether an entry in a reply's list of write errors says that there is a document with the same
/// values in exactly these fields.
pub(super) fn is_same(entry: &Document, fields: &[&str]) -> bool {
    let Ok(pattern) = entry.get_document("keyPattern") else { return false };
    DUPLICATES.contains(&number(entry, "code"))
        && pattern.len() == fields.len()
        && fields.iter().all(|field| pattern.contains_key(field))
}

/// The list of write errors of a reply.
pub(super) fn write_errors(reply: &Document) -> impl Iterator<Item = &Document> {
    reply.get_array("writeErrors").into_iter().flatten().filter_map(|entry| entry.as_document())
}

fn class(error: &Error) -> Class {
    match &*error.kind {
        ErrorKind::Io(_)
        // Credentials may be about to be changed, as at PostgreSQL.
        | ErrorKind::Authentication { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. } => Class::Transient,
        // A write without a transaction that took place, and is not confirmed.
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => Class::Unknown,
        // What cannot be spelled in BSON is the record's fault.
        ErrorKind::Bson(_) => Class::Record,
        _ if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => Class::Transient,
        _ => code(error).map_or(Class::Systemic, class_of),
    }
}

fn class_of(code: i32) -> Class {
    match code {
        code if TRANSIENT.contains(&code) || CONFLICTS.contains(&code) => Class::Transient,
        code if RECORDS.contains(&code) || DUPLICATES.contains(&code) => Class::Record,
        _ => Class::Systemic,
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(e) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteError(e)) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(e)) => Some(e.code),
        _ => None,
    }
}

fn told(class: Class, code: Option<i32>, doing: &str) -> StoreError {
    let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
    match class {
        Class::Transient => {
            StoreError::transient(format!("MongoDB could not {doing}; try again{code}"))
        }
        Class::Record => StoreError::record(format!("MongoDB refused a record{code}")),
        Class::Unknown => {
            StoreError::unknown(format!("MongoDB did not say whether it could {doing}{code}"))
        }
        _ => StoreError::systemic(format!("MongoDB cannot {doing} as it is set up{code}")),
    }
}

fn number(document: &Document, field: &str) -> i32 {
    document.get_i32(field).unwrap_or_default()
}

/// WriteConflict, LockTimeout, PreparedTransactionInProgress, and SnapshotUnavailable: the collection or
/// an index was made meanwhile.
const CONFLICTS: [i32; 4] = [112, 24, 267, 246];

/// DuplicateKey, and what old servers said.
const DUPLICATES: [i32; 3] = [11000, 11001, 12582];

/// It may work later: the server is away, changes its role, or has too much to do.
const TRANSIENT: [i32; 26] = [
    6,     // HostUnreachable
    7,     // HostNotFound
    18,    // AuthenticationFailed
    46,    // LockBusy
    50,    // MaxTimeMSExpired
    64,    // WriteConcernFailed
    89,    // NetworkTimeout
    91,    // ShutdownInProgress
    133,   // FailedToSatisfyReadPreference
    134,   // ReadConcernMajorityNotAvailableYet
    189,   // PrimarySteppedDown
    202,   // NetworkInterfaceExceededTimeLimit
    225,   // TransactionTooOld
    239,   // SnapshotTooOld
    251,   // NoSuchTransaction
    262,   // ExceededTimeLimit
    290,   // TransactionExceededLifetimeLimitSeconds
    365,   // TemporarilyUnavailable
    9001,  // SocketException
    10058, // NotPrimary, as old servers say
    10107, // NotWritablePrimary
    11600, // InterruptedAtShutdown
    11601, // Interrupted
    11602, // InterruptedDueToReplStateChange
    13435, // NotPrimaryNoSecondaryOk
    13436, // NotPrimaryOrSecondary
];

/// The record cannot be written, and others can.
const RECORDS: [i32; 14] = [
    16,    // InvalidLength
    28,    // PathNotViable: an index or an update meets a value that is no document
    52,    // DollarPrefixedFieldName
    56,    // EmptyFieldName
    57,    // DottedFieldName
    66,    // ImmutableField
    121,   // DocumentValidationFailure
    171,   // CannotIndexParallelArrays
    10334, // BSONObjectTooLarge
    16755, // Can't extract geo keys
    17261, // The index of a field takes no such value (text index)
    17280, // KeyTooLong
    17419, // The resulting document is too large
    17420, // The document to upsert is too large
];

const NAMESPACE_EXISTS: i32 = 48;

const UNAUTHORIZED: i32 = 13;
/// The other is AuthenticationFailed.
const LOGINS: [i32; 2] = [UNAUTHORIZED, 18];
