//! Why a message does not pass, for its sender, the log and a counter.

use serde_json::{Value, json};
use thiserror::Error;

/// Characters of what a client wrote that are repeated to anybody.
const MOST_REPEATED: usize = 64;

/// Why a message does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A method that flow export does not use.
    #[error("method {0:?} does not pass the gate")]
    Method(String),
    /// Parameters of a method.
    #[error("parameters: {0}")]
    Parameters(&'static str),
    /// A table or a column that flow export does not use in this way.
    #[error("{0:?} does not pass the gate")]
    Column(String),
    /// An operation that flow export does not use, or not of its form.
    #[error("operation: {0}")]
    Operation(&'static str),
    /// What is to stand in a column.
    #[error("value of {0:?} is out of bounds")]
    Bounds(&'static str),
    /// More than there may be.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// A process of a user that may not connect.
    #[error("a process of another user")]
    Peer,
    /// An answer to nothing, or the end of a request that there is not.
    #[error("nothing was asked")]
    Unasked,
}

impl Refusal {
    /// A method, cut to what may be repeated.
    pub fn method(name: &str) -> Self {
        Self::Method(cut(name))
    }

    /// A table, or a column of one, cut to what may be repeated.
    pub fn column(table: &str, column: &str) -> Self {
        match column {
            "" => Self::Column(cut(table)),
            column => Self::Column(format!("{}.{}", cut(table), cut(column))),
        }
    }

    /// One of [`run_folder::refusals::REASONS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::Parameters(_) => "parameters",
            Self::Column(_) => "column",
            Self::Operation(_) => "operation",
            Self::Bounds(_) => "bounds",
            Self::TooMany(_) => "too_many",
            Self::Peer => "peer",
            Self::Unasked => "unasked",
        }
    }

    /// `<error>` of RFC 7047 section 3.1, under the name that ovsdb-server uses where its own
    /// roles forbid something.
    pub fn to_json(&self) -> Value {
        json!({"error": "permission error", "details": format!("weir-ovsdb-gate: {self}")})
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_REPEATED).collect()
}
