//! The envelope of JSON-RPC 1.0 (RFC 7047 section 4). `jsonrpc-core` gives the
//! parameters, identifiers and error objects; its own envelopes speak 2.0 and
//! neither read `"error": null` nor write what ovsdb-server accepts.

use crate::error::OvsdbError;
use crate::value::NotationError;
use jsonrpc_core::Error;
use serde::Deserialize;
use serde_json::{Value, json};

pub use jsonrpc_core::{Id, Params};

/// A message from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Wants a reply.
    Request {
        /// What to do.
        method: String,
        /// With what.
        params: Params,
        /// To be repeated in the reply.
        id: Id,
    },
    /// Wants none.
    Notification {
        /// What happened.
        method: String,
        /// To what.
        params: Params,
    },
    /// Answers a request of ours.
    Reply {
        /// The request's.
        id: Id,
        /// The result, or why there is none.
        outcome: Result<Value, Refusal>,
    },
}

/// A reply's `error`, in any of the forms that servers write.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// An `<error>` of RFC 7047, or its bare text: ovsdb-server says "unknown method" so.
    #[error(transparent)]
    Ovsdb(OvsdbError),
    /// A JSON-RPC 2.0 error object.
    #[error(transparent)]
    Rpc(Error),
    /// Any other JSON.
    #[error("{0}")]
    Other(Value),
}

/// Bytes that are not a JSON-RPC 1.0 message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON of this shape.
    #[error("not a JSON-RPC message: {0}")]
    Json(String),
    /// A member is of the wrong type.
    #[error("not a JSON-RPC message: {0}")]
    Member(#[from] NotationError),
}

#[derive(Deserialize)]
struct Envelope {
    method: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
    error: Option<Value>,
    id: Option<Id>,
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// [`EnvelopeError`] when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Message, EnvelopeError> {
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Json(error.to_string()))?;
        let id = envelope.id.unwrap_or(Id::Null);
        let Some(method) = envelope.method else {
            let outcome = match envelope.error {
                None => Ok(envelope.result.unwrap_or(Value::Null)),
                Some(error) => Err(Refusal::from(error)),
            };
            return Ok(Message::Reply { id, outcome });
        };
        let params = parameters(envelope.params)?;
        Ok(match id {
            Id::Null => Message::Notification { method, params },
            id => Message::Request { method, params, id },
        })
    }
}

fn parameters(params: Option<Value>) -> Result<Params, NotationError> {
    match params {
        None | Some(Value::Null) => Ok(Params::None),
        Some(Value::Array(params)) => Ok(Params::Array(params)),
        Some(Value::Object(params)) => Ok(Params::Map(params)),
        Some(other) => Err(NotationError::new("parameters", &other)),
    }
}

impl From<Value> for Refusal {
    fn from(error: Value) -> Refusal {
        if let Some(text) = error.as_str() {
            return Refusal::Ovsdb(OvsdbError::new(text));
        }
        match (OvsdbError::from_json(&error), Error::deserialize(&error)) {
            (Some(error), _) => Refusal::Ovsdb(error),
            (None, Ok(error)) => Refusal::Rpc(error),
            (None, Err(_)) => Refusal::Other(error),
        }
    }
}

impl Refusal {
    /// Whether the server does not have the method.
    pub fn is_unknown_method(&self) -> bool {
        use crate::error::ErrorCode::{NotSupported, UnknownMethod};
        match self {
            Refusal::Ovsdb(error) => matches!(error.code, UnknownMethod | NotSupported),
            Refusal::Rpc(error) => error.code == jsonrpc_core::ErrorCode::MethodNotFound,
            Refusal::Other(_) => false,
        }
    }

    /// As it is written in a reply.
    pub fn to_json(&self) -> Value {
        match self {
            Refusal::Ovsdb(error) => json!({"error": error.code.to_string(), "details": error.details}),
            Refusal::Rpc(error) => serde_json::to_value(error).unwrap_or_default(),
            Refusal::Other(error) => error.clone(),
        }
    }

    /// The error in the terms of RFC 7047; what is in other terms becomes an unknown one.
    pub fn into_ovsdb(self) -> OvsdbError {
        match self {
            Refusal::Ovsdb(error) => error,
            other => OvsdbError::new(other.to_string().as_str()),
        }
    }
}

/// A request in bytes.
pub fn request(method: &str, params: Params, id: &Id) -> Vec<u8> {
    message([
        ("method", json!(method)),
        ("params", Value::from(params)),
        ("id", json!(id)),
    ])
}

/// A notification in bytes.
pub fn notification(method: &str, params: Params) -> Vec<u8> {
    request(method, params, &Id::Null)
}

/// A reply in bytes.
pub fn reply(id: &Id, outcome: Result<Value, Value>) -> Vec<u8> {
    let (result, error) = match outcome {
        Ok(result) => (result, Value::Null),
        Err(error) => (Value::Null, error),
    };
    message([("result", result), ("error", error), ("id", json!(id))])
}

/// `json!` would copy the values, which may be all rows of a database.
fn message(members: [(&str, Value); 3]) -> Vec<u8> {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.into_iter().collect())
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests;
