//! Why a session ended.

use crate::{
    error::ErrorCode,
    framing::FramingError,
    replica::ReplicaError,
    rpc::{EnvelopeError, Refusal},
    schema::SchemaError,
    value::NotationError,
};

/// What ended a connection, or kept it from coming up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No connection could be opened.
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// The server closed the connection.
    #[error("connection closed by the server")]
    Closed,
    /// Reading or writing failed.
    #[error("connection broken: {0}")]
    Io(String),
    /// The server said nothing, not even to an echo request.
    #[error("the server does not answer")]
    Silent,
    /// The bytes are no sequence of messages.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A message is not one of JSON-RPC 1.0.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The content of a message is not of RFC 7047.
    #[error("message from the server: {0}")]
    Notation(#[from] NotationError),
    /// The schema cannot be understood.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The server does not have the database.
    #[error("the server has no database {0:?}")]
    UnknownDatabase(String),
    /// The server refuses what a session needs.
    #[error("{method} refused: {refusal}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The server's error.
        refusal: String,
    },
    /// An update does not fit.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Too many updates came before the monitor's reply.
    #[error("too many updates before the reply to the monitor request")]
    Flooded,
    /// The server stopped the monitor: the database was converted or removed.
    #[error("the server cancelled the monitor")]
    MonitorCanceled,
}

impl SessionError {
    pub(super) fn schema_refused(database: &str, refusal: Refusal) -> SessionError {
        match refusal {
            Refusal::Ovsdb(error) if error.code == ErrorCode::UnknownDatabase => {
                SessionError::UnknownDatabase(database.to_owned())
            }
            // Who stands between tells that the server is out of reach: as if the connection broke.
            Refusal::Ovsdb(error) if error.code == ErrorCode::IoError => SessionError::Io(error.details),
            refusal => SessionError::Refused {
                method: "get_schema",
                refusal: refusal.to_string(),
            },
        }
    }

    /// One of a bounded number of names, for metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            SessionError::Connect { .. } => "connect",
            SessionError::Closed => "closed",
            SessionError::Io(_) => "io",
            SessionError::Silent => "silent",
            SessionError::Framing(_) => "framing",
            SessionError::Envelope(_) | SessionError::Notation(_) => "malformed message",
            SessionError::Schema(_) => "schema",
            SessionError::UnknownDatabase(_) => "unknown database",
            SessionError::Refused { .. } => "refused",
            SessionError::Replica(_) => "update",
            SessionError::Flooded => "flooded",
            SessionError::MonitorCanceled => "monitor canceled",
        }
    }

    /// Whether the server's words, not the connection, were at fault.
    pub(super) fn is_protocol(&self) -> bool {
        use SessionError::{Closed, Connect, Io, Silent};
        !matches!(self, Connect { .. } | Closed | Io(_) | Silent)
    }
}
