//! The names that a resource's metric shows, which are known before anything else of it is.

use super::PREFIX;
use crate::resource::{FlowMetric, MetricType};

/// Name in Prometheus of what a resource counts, whether it is good or not.
pub fn prometheus_name(metric: &FlowMetric) -> String {
    let given = &metric.spec.metric_name;
    if !given.is_empty() {
        return format!("{PREFIX}{given}");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_');
    let of_object = metric.metadata.name.chars();
    let name = of_object.map(|c| if allowed(c) { c } else { '_' });
    format!("{PREFIX}{}", name.collect::<String>())
}

/// Names of its samples and of its family in both formats: no other metric may have one.
pub fn exposed_names(metric: &FlowMetric) -> Vec<String> {
    names_of(&prometheus_name(metric), metric.spec.metric_type)
}

/// The same of a metric of this name and type.
pub(super) fn names_of(name: &str, kind: MetricType) -> Vec<String> {
    let with = |name: &str, suffixes: &[&str]| {
        let suffixed = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
        suffixed.collect::<Vec<_>>()
    };
    match (kind, name.strip_suffix("_total")) {
        (MetricType::Counter, Some(family)) => with(family, &["", "_total", "_created"]),
        (MetricType::Histogram, _) => with(name, &["", "_bucket", "_count", "_sum", "_created"]),
        _ => with(name, &[""]),
    }
}
