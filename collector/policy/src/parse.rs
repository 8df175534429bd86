//! Policies out of YAML and JSON. What cannot be so is told with its place, all of it at
//! once; nothing here panics.
//!
//! From a file ([`Origin::File`]) a policy must be as the API server would take it:
//! unknown fields, values out of bounds and empty peers are errors, as `kubectl apply`
//! would have them. What an API server has stored ([`Origin::Stored`]) is taken as it
//! is, and what cannot be understood of it fails closed: a selector selects nothing, a
//! peer is nobody, a rule of a cluster policy denies.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::policy::Policy;

mod cluster_policy;
mod foreign;
mod network_policy;
mod object;
mod objects;
mod values;

pub use objects::Objects;

use object::Object;

/// Where objects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Written by a person and not yet seen by an API server.
    File,
    /// Read from an API server.
    Stored,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which document of the file, from 1; 0 where there is only one object.
    pub document: usize,
    /// Where in the object: `spec.ingress[0].from[1].ipBlock.cidr`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document > 0 {
            write!(f, "document {}: ", self.document)?;
        }
        match self.place.is_empty() {
            true => write!(f, "{}", self.message),
            false => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// Why a text gives no policies.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Neither YAML nor JSON.
    #[error("{message}")]
    Syntax {
        /// What is wrong; it names line and column.
        message: String,
        /// The line, from 1, if it is known.
        line: Option<u64>,
    },
    /// Objects that are not as they must be.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Documents {
    /// The policies, in their order.
    pub policies: Vec<Policy>,
    /// How many objects of other kinds there were.
    pub skipped: BTreeMap<String, usize>,
}

/// All policies of a file: documents of YAML, JSON, and `List`s of objects; those of a CNI's
/// own are there as what is not evaluated. A NetworkPolicy without namespace is in `namespace`.
pub fn file(text: &str, namespace: &str) -> Result<Documents, ParseError> {
    let values = self::documents(text)?;
    let mut documents = Documents::default();
    let mut problems = Vec::new();
    for (index, value) in values.iter().enumerate() {
        for item in items(value) {
            let mut reader = Reader {
                origin: Origin::File,
                document: index + 1,
                problems: Vec::new(),
            };
            match reader.policy(item, namespace) {
                Read::Policy(policy) => documents.policies.extend(policy),
                Read::Other(kind) => match foreign::policies(item) {
                    none if none.is_empty() => *documents.skipped.entry(kind).or_default() += 1,
                    foreign => documents.policies.extend(foreign),
                },
            }
            problems.append(&mut reader.problems);
        }
    }
    match problems.is_empty() {
        true => Ok(documents),
        false => Err(ParseError::Invalid(problems)),
    }
}

/// All objects of a text: documents of YAML or JSON, and the items of `List`s.
///
/// # Errors
/// It is neither; the message names line and column.
pub fn values(text: &str) -> Result<Vec<Value>, ParseError> {
    let documents = documents(text)?;
    Ok(documents.iter().flat_map(items).cloned().collect())
}

/// The documents of a text, YAML or JSON.
fn documents(text: &str) -> Result<Vec<Value>, ParseError> {
    // What is JSON is read as JSON, which is quicker and has no limits of its own.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return Ok(vec![value]);
    }
    // As many nodes as there are bytes cannot be too many: whoever calls has bounded those. What
    // aliases may unfold stays bounded.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: text.len().saturating_mul(2).max(1_000_000),
            max_nodes: text.len().max(250_000),
            max_documents: text.len().max(1_024),
            max_total_scalar_bytes: text.len().saturating_mul(2).max(64 << 20),
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| ParseError::Syntax {
        message: error.to_string().trim_end().to_owned(),
        line: error.location().map(|location| location.line()),
    })
}

/// One object of an API server, and what of it could not be understood. `None` if it is
/// no policy or has no name.
pub fn stored(object: &Value) -> (Option<Policy>, Vec<Problem>) {
    let mut reader = Reader {
        origin: Origin::Stored,
        document: 0,
        problems: Vec::new(),
    };
    match reader.policy(object, "") {
        Read::Policy(policy) => (policy, reader.problems),
        Read::Other(_) => (None, reader.problems),
    }
}

/// The objects of a `List`, or the object itself; nothing of an empty document.
fn items(value: &Value) -> &[Value] {
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match value.get("items") {
        Some(Value::Array(items)) if is_list => items,
        _ if value.is_null() => &[],
        _ => std::slice::from_ref(value),
    }
}

enum Read {
    /// A kind that decides; `None` if it is beyond use.
    Policy(Option<Policy>),
    /// Another kind.
    Other(String),
}

/// Reads one object and collects what is wrong with it.
struct Reader {
    origin: Origin,
    document: usize,
    problems: Vec<Problem>,
}

impl Reader {
    fn policy(&mut self, value: &Value, namespace: &str) -> Read {
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (word("apiVersion"), word("kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("networking.k8s.io", "NetworkPolicy")
            | (
                "policy.networking.k8s.io",
                "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy" | "ClusterNetworkPolicy",
            ) => {}
            _ => return Read::Other(kind.to_owned()),
        }
        let mut object = Object::new(value, String::new(), self);
        for name in ["apiVersion", "kind", "status"] {
            object.field(name);
        }
        let policy = match (version, kind) {
            ("networking.k8s.io/v1", _) => self.network_policy(&mut object, namespace),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy") => {
                self.admin_network_policy(&mut object)
            }
            ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy") => {
                self.baseline_admin_network_policy(&mut object)
            }
            (
                "policy.networking.k8s.io/v1alpha2" | "policy.networking.k8s.io/v1beta1",
                "ClusterNetworkPolicy",
            ) => self.cluster_network_policy(&mut object),
            _ => {
                self.problem("apiVersion", format!("{kind} has no version {version}"));
                return Read::Policy(None);
            }
        };
        object.close(self);
        Read::Policy(policy)
    }

    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        let (place, message) = (place.into(), message.into());
        self.problems.push(Problem {
            document: self.document,
            place,
            message,
        });
    }
}
