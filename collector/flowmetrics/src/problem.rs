//! What is wrong with a resource, or unwise: where it stands, what it is, what to do.

use std::fmt;

use crate::status::ObjectName;

/// Why a resource is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `spec.filters[0].value`.
    pub field: String,
    /// The kind, for counting.
    pub kind: ProblemKind,
    /// What is wrong, one sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Not YAML, a field that does not exist, a value of the wrong type.
    Syntax,
    /// Another kind or version of resource.
    NotFlowMetric,
    /// A name that Prometheus does not take, or that is reserved.
    BadName,
    /// Another resource, or another label, has the name.
    NameTaken,
    /// No such field of a flow.
    UnknownField,
    /// The field cannot be used there: a text where a number is needed.
    WrongField,
    /// A regular expression that does not compile.
    BadRegex,
    /// Bounds of buckets that are no numbers, or out of order.
    BadBuckets,
    /// A number that is none, or out of range.
    BadNumber,
    /// Settings that contradict each other.
    Contradiction,
    /// There are as many metrics, filters, labels or bytes as there may be.
    TooMany,
}

impl ProblemKind {
    /// The word for metrics and conditions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::NotFlowMetric => "not_flow_metric",
            Self::BadName => "bad_name",
            Self::NameTaken => "name_taken",
            Self::UnknownField => "unknown_field",
            Self::WrongField => "wrong_field",
            Self::BadRegex => "bad_regex",
            Self::BadBuckets => "bad_buckets",
            Self::BadNumber => "bad_number",
            Self::Contradiction => "contradiction",
            Self::TooMany => "too_many",
        }
    }
}

impl Problem {
    /// The metric of another object has a name that this one would show.
    pub fn name_taken(name: &str, metric: &str, object: &ObjectName) -> Self {
        Self {
            field: "spec.metricName".to_owned(),
            kind: ProblemKind::NameTaken,
            message: format!("{name} is a name of the metric {metric} of {object} already"),
            remedy: "choose another name, or remove that object".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.message, self.remedy)
    }
}

impl std::error::Error for Problem {}

/// What is allowed, and will probably not do what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Path of the field.
    pub field: String,
    /// What to know, one sentence.
    pub message: String,
}

/// Collects problems under paths.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(
        &mut self,
        field: impl Into<String>,
        kind: ProblemKind,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem {
            field: field.into(),
            kind,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}
