//! What policies said, and how their tables fare.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeniedLabels {
    direction: &'static str,
}

/// Counts of verdicts.
#[derive(Debug, Default)]
pub struct PolicyMetrics {
    flows: Family<VerdictLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    compile: Compile,
    generation: Gauge,
    lint: Family<super::Labels, Gauge>,
    broken: Gauge,
    gaps: Counter,
}

/// From 100 us to 6 s.
#[derive(Debug, Clone)]
struct Compile(Histogram);

impl Default for Compile {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(1e-4, 4.0, 9)))
    }
}

impl PolicyMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "policy_flows",
            "Flow records by what policies say about their connection, and why",
            self.flows.clone(),
        );
        r.register(
            "policy_denied_flows",
            "Flow records whose connection policies deny, by the direction of those that deny",
            self.denied.clone(),
        );
        r.register(
            "policy_compile_seconds",
            "Time that it took to take in changes of policies and of what they select",
            self.compile.0.clone(),
        );
        r.register(
            "policy_generation",
            "Versions of policies, namespaces and nodes that were in force since the start",
            self.generation.clone(),
        );
        r.register(
            "policy_lint",
            "What is odd about policies whatever the traffic, by the code of the finding",
            self.lint.clone(),
        );
        r.register(
            "policy_watches_broken",
            "Kinds of objects that verdicts need whose watch is broken: records have no verdict meanwhile",
            self.broken.clone(),
        );
        r.register(
            "policy_gaps",
            "Times in which changes of policies or of what they select may have been missed",
            self.gaps.clone(),
        );
    }

    /// So many records were judged so.
    pub fn count(&self, verdict: &'static str, reason: &'static str, records: u64) {
        self.flows
            .get_or_create(&VerdictLabels { verdict, reason })
            .inc_by(records);
    }

    /// Policies of this direction deny so many records. Which ones is for those alone who may
    /// read policies.
    pub fn deny(&self, direction: &'static str, records: u64) {
        self.denied
            .get_or_create(&DeniedLabels { direction })
            .inc_by(records);
    }

    /// Changes were taken in.
    pub fn compiled(&self, took: std::time::Duration) {
        self.compile.0.observe(took.as_secs_f64());
    }

    /// Another version is in force.
    pub fn set_generation(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// The watches of so many kinds are broken.
    pub fn set_broken(&self, kinds: usize) {
        self.broken.set(i64::try_from(kinds).unwrap_or(i64::MAX));
    }

    /// Changes may have been missed for a time.
    pub fn count_gap(&self) {
        self.gaps.inc();
    }

    /// How many gaps were counted.
    #[cfg(test)]
    pub fn gaps(&self) -> u64 {
        self.gaps.get()
    }

    /// How many watches are broken.
    #[cfg(test)]
    pub fn broken(&self) -> i64 {
        self.broken.get()
    }

    /// So many findings of each code there are.
    pub fn set_lint(&self, findings: &std::collections::BTreeMap<&'static str, usize>) {
        self.lint.clear();
        for (code, found) in findings {
            let found = i64::try_from(*found).unwrap_or(i64::MAX);
            self.lint.get_or_create(&[("code", code)]).set(found);
        }
    }
}
