//! In which namespaces FlowMetrics are read.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Where the objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricNamespace {
    /// In any namespace.
    All,
    /// In this one.
    One(String),
}

impl Default for MetricNamespace {
    /// NetObserv's, unless it was told otherwise.
    fn default() -> Self {
        Self::One("netobserv".to_owned())
    }
}

impl MetricNamespace {
    /// Whether it names this namespace, and not any.
    pub fn names(&self, namespace: &str) -> bool {
        matches!(self, Self::One(one) if one == namespace)
    }
}

impl FromStr for MetricNamespace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "*" => Self::All,
            one => Self::One(one.to_owned()),
        })
    }
}

impl fmt::Display for MetricNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::One(namespace) => namespace,
        })
    }
}
