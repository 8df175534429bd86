//! Why a transaction did not go through (RFC 7047 sections 3.1, 4.1.3, 5.2).

use crate::value::NotationError;
use serde_json::Value;
use std::fmt;

/// An `<error>` of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{details}", if details.is_empty() { "" } else { ": " })]
pub struct OvsdbError {
    /// What kind of error.
    pub code: ErrorCode,
    /// The server's explanation in free text; may be empty.
    pub details: String,
}

/// The `error` string of an `<error>`: those of RFC 7047, and the ones that
/// ovsdb-server adds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The change would break a constraint of the schema.
    ConstraintViolation,
    /// The change would leave a strong reference to a row that does not exist.
    ReferentialIntegrityViolation,
    /// The server lacks memory, disk or the like.
    ResourcesExhausted,
    /// The server could not write its database.
    IoError,
    /// Two inserts of one transaction bear the same name.
    DuplicateUuidName,
    /// An insert names the UUID of an existing row (OVS 2.13).
    DuplicateUuid,
    /// Division by zero.
    DomainError,
    /// The result of a mutation does not fit its type.
    RangeError,
    /// A wait's time was over.
    TimedOut,
    /// The server cannot do that.
    NotSupported,
    /// The transaction has an abort.
    Aborted,
    /// An asserted lock is not held.
    NotOwner,
    /// The transaction was cancelled.
    Canceled,
    /// The database is read-only or not open for this (OVS).
    NotAllowed,
    /// Role-based access control forbids it (OVS 2.9).
    PermissionError,
    /// The server does not have this database (OVS).
    UnknownDatabase,
    /// The table does not have this column (OVS).
    UnknownColumn,
    /// The request is not understood; an unknown table is reported so (OVS).
    SyntaxError,
    /// The server does not have this method.
    UnknownMethod,
    /// Any other text.
    Unknown(String),
}

const CODES: &[(&str, ErrorCode)] = &[
    ("constraint violation", ErrorCode::ConstraintViolation),
    (
        "referential integrity violation",
        ErrorCode::ReferentialIntegrityViolation,
    ),
    ("resources exhausted", ErrorCode::ResourcesExhausted),
    ("I/O error", ErrorCode::IoError),
    ("duplicate uuid-name", ErrorCode::DuplicateUuidName),
    // The text of RFC 7047 section 5.2.1; ovsdb-server writes it with the hyphen.
    ("duplicate uuid name", ErrorCode::DuplicateUuidName),
    ("duplicate uuid", ErrorCode::DuplicateUuid),
    ("domain error", ErrorCode::DomainError),
    ("range error", ErrorCode::RangeError),
    ("timed out", ErrorCode::TimedOut),
    ("not supported", ErrorCode::NotSupported),
    ("aborted", ErrorCode::Aborted),
    ("not owner", ErrorCode::NotOwner),
    ("canceled", ErrorCode::Canceled),
    ("not allowed", ErrorCode::NotAllowed),
    ("permission error", ErrorCode::PermissionError),
    ("unknown database", ErrorCode::UnknownDatabase),
    ("unknown column", ErrorCode::UnknownColumn),
    ("syntax error", ErrorCode::SyntaxError),
    ("unknown method", ErrorCode::UnknownMethod),
];

impl From<&str> for ErrorCode {
    fn from(text: &str) -> ErrorCode {
        let known = CODES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, code)| code.clone());
        known.unwrap_or_else(|| ErrorCode::Unknown(text.to_owned()))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorCode::Unknown(text) => f.write_str(text),
            code => f.write_str(code.name()),
        }
    }
}

impl ErrorCode {
    /// One of a bounded number of names, for metric labels.
    pub fn name(&self) -> &'static str {
        CODES
            .iter()
            .find(|(_, code)| code == self)
            .map_or("unknown", |(name, _)| name)
    }
}

impl OvsdbError {
    /// An error without details.
    pub fn new(code: impl Into<ErrorCode>) -> OvsdbError {
        OvsdbError {
            code: code.into(),
            details: String::new(),
        }
    }

    /// Reads an `<error>`, or `None` when the value is not one.
    pub fn from_json(value: &Value) -> Option<OvsdbError> {
        let code = ErrorCode::from(value.get("error")?.as_str()?);
        let details = value
            .get("details")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Some(OvsdbError { code, details })
    }
}

/// Which part of a transaction the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedAt {
    /// The operation with this index, from zero.
    Operation(usize),
    /// All operations went well, the commit did not: the result after the last
    /// operation's (RFC 7047 section 4.1.3).
    Commit,
    /// The whole request, before any operation.
    Request,
}

impl fmt::Display for FailedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailedAt::Operation(index) => write!(f, "operation {index}"),
            FailedAt::Commit => f.write_str("commit"),
            FailedAt::Request => f.write_str("request"),
        }
    }
}

/// Why [`crate::Client::transact`] failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// Nothing was sent: the database is not in sync.
    #[error("not connected to the database")]
    NotConnected,
    /// The connection died before the reply came: the server may or may not
    /// have committed. The replica tells after the next sync.
    #[error("connection lost in mid-transaction, outcome unknown: {reason}")]
    Disconnected {
        /// Why the connection died.
        reason: String,
    },
    /// No reply in time: the server was asked to cancel, but may have committed.
    #[error("no reply to the transaction in time, outcome unknown")]
    TimedOut,
    /// The server refused: nothing was changed.
    #[error("{at} refused: {error}")]
    Rejected {
        /// The server's error.
        error: OvsdbError,
        /// What it refused.
        at: FailedAt,
    },
    /// The reply cannot be understood: the outcome is unknown.
    #[error("reply to the transaction: {0}")]
    Malformed(#[from] NotationError),
}

impl TransactError {
    /// One of a bounded number of names, for metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            TransactError::NotConnected => "not connected",
            TransactError::Disconnected { .. } => "disconnected",
            TransactError::TimedOut => "no reply",
            TransactError::Rejected { error, .. } => error.code.name(),
            TransactError::Malformed(_) => "malformed reply",
        }
    }

    /// Whether the server may have committed all the same.
    pub fn outcome_unknown(&self) -> bool {
        !matches!(self, TransactError::NotConnected | TransactError::Rejected { .. })
    }
}
