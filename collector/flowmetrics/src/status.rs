//! What becomes of a resource and how its metric fares, for whoever writes its status.

use std::fmt;

use crate::names::Cardinality;
use crate::problem::Warning;
use crate::resource::FlowMetric;

/// Which object a metric comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Namespace; empty where there is none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectName {
    /// The name of this object.
    pub fn of(metric: &FlowMetric) -> Self {
        Self {
            namespace: metric.metadata.namespace.clone(),
            name: metric.metadata.name.clone(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What became of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Name of the metric in Prometheus, for the status.
    pub prometheus_name: String,
    /// What it meant for the series.
    pub change: MetricChange,
    /// How many values its labels take, the worst of them.
    pub cardinality: Cardinality,
    /// What to know about it.
    pub warnings: Vec<Warning>,
}

/// What a resource meant for the series of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricChange {
    /// There was none.
    Added,
    /// The series go on: it counts what it counted.
    Kept,
    /// They begin anew: something else is counted now.
    Reset,
}

/// How a metric fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricStats<'r> {
    /// Object that it comes from.
    pub object: &'r ObjectName,
    /// Name in Prometheus.
    pub prometheus_name: &'r str,
    /// Series that there are.
    pub series: usize,
    /// As many as there may be.
    pub max_series: usize,
    /// Counts that were refused because they needed one series too many.
    pub refused: u64,
    /// Series that ended.
    pub expired: u64,
}
