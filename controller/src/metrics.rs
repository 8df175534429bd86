//! What the controller counts. Names begin with `weir_controller_`; every label
//! value is one of a few words.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use weir_process::http::metrics_text;

use crate::rollup::StateCounts;

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// Handles to all metrics; clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    reconciles: Family<Label, Counter>,
    applies: Family<Label, Counter>,
    deletes: Family<Label, Counter>,
    reports: Family<Label, Counter>,
    assessments: Family<Label, Counter>,
    rollout_writes: Family<Label, Counter>,
    rollout_stopped: Gauge,
    node_states: Family<Label, Gauge>,
    failing_writes: Gauge,
    holds: Gauge,
    watch_failures: Family<Label, Counter>,
    collector_requests: Family<Label, Counter>,
    nodes: Gauge,
    problems: Gauge,
    leader: Gauge,
    registry: Arc<std::sync::OnceLock<Registry>>,
}

impl Metrics {
    /// All metrics at zero, ready to be shown.
    pub fn new() -> Self {
        let metrics = Self::default();
        let mut registry = Registry::with_prefix("weir_controller");
        metrics.register(&mut registry);
        // Set once, right here: there is no other handle yet.
        let _ = metrics.registry.set(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        let mut counter = |name, help, family: &Family<Label, Counter>| {
            registry.register(name, help, family.clone());
        };
        counter(
            "reconciles",
            "Decisions made, by whether they changed anything",
            &self.reconciles,
        );
        counter("applies", "NodeFlowExports written, by result", &self.applies);
        counter("deletes", "NodeFlowExports deleted, by result", &self.deletes);
        counter(
            "reports",
            "Condition updates of the Network or FlowExport, by result",
            &self.reports,
        );
        counter(
            "profile_reports",
            "Status updates of ExportProfiles, by result",
            &self.assessments,
        );
        counter(
            "rollout_writes",
            "Status updates of the ExportRollout and revisions kept or deleted, by result",
            &self.rollout_writes,
        );
        counter(
            "watch_failures",
            "Watches that failed and were tried again",
            &self.watch_failures,
        );
        counter(
            "collector_requests",
            "Requests to the collector for what it receives, by result",
            &self.collector_requests,
        );
        registry.register("nodes", "Nodes that have a spec", self.nodes.clone());
        registry.register(
            "nodes_by_state",
            "Nodes that export, are behind their spec, fail, or have no daemon",
            self.node_states.clone(),
        );
        registry.register(
            "failing_writes",
            "Objects whose last write failed",
            self.failing_writes.clone(),
        );
        registry.register(
            "source_missing",
            "Whether nodes keep what they export because the Network or FlowExport is gone",
            self.holds.clone(),
        );
        registry.register(
            "rollout_stopped",
            "Whether a rollout was ended or cannot go on until a person does something",
            self.rollout_stopped.clone(),
        );
        registry.register("problems", "Entries that are skipped", self.problems.clone());
        registry.register("leader", "Whether this replica writes", self.leader.clone());
    }

    /// A decision was made.
    pub fn reconciled(&self, changed: bool, nodes: usize, problems: usize) {
        let result = if changed { "changed" } else { "unchanged" };
        self.reconciles.get_or_create(&[("result", result)]).inc();
        self.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    /// A `NodeFlowExport` was written, or not.
    pub fn applied(&self, result: &'static str) {
        self.applies.get_or_create(&[("result", result)]).inc();
    }

    /// A `NodeFlowExport` was deleted, or not.
    pub fn deleted(&self, result: &'static str) {
        self.deletes.get_or_create(&[("result", result)]).inc();
    }

    /// Conditions were written, or not.
    pub fn reported(&self, result: &'static str) {
        self.reports.get_or_create(&[("result", result)]).inc();
    }

    /// The status of a profile was written, or not.
    pub fn assessed(&self, result: &'static str) {
        self.assessments.get_or_create(&[("result", result)]).inc();
    }

    /// The state of a rollout or a revision was written, or not.
    pub fn rolled(&self, result: &'static str) {
        self.rollout_writes.get_or_create(&[("result", result)]).inc();
    }

    /// Whether a rollout waits for a person who mends something.
    pub fn rollout_stopped(&self, stopped: bool) {
        self.rollout_stopped.set(i64::from(stopped));
    }

    /// The collector was asked what it receives.
    pub fn asked_collector(&self, result: &'static str) {
        self.collector_requests.get_or_create(&[("result", result)]).inc();
    }

    /// The nodes were counted.
    pub fn rolled_up(&self, counts: &StateCounts, failing_writes: usize) {
        let states = [
            ("exporting", counts.exporting),
            ("behind", counts.behind),
            ("failing", counts.failing),
            ("left_out", counts.left_out),
        ];
        for (state, nodes) in states {
            let nodes = i64::try_from(nodes).unwrap_or(i64::MAX);
            self.node_states.get_or_create(&[("state", state)]).set(nodes);
        }
        self.failing_writes
            .set(i64::try_from(failing_writes).unwrap_or(i64::MAX));
    }

    /// Whether nodes keep what they export without a source.
    pub fn holds(&self, holds: bool) {
        self.holds.set(i64::from(holds));
    }

    /// A watch failed.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_failures.get_or_create(&[("kind", kind)]).inc();
    }

    /// This replica writes from now on, or no longer.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All metrics in OpenMetrics text.
    pub fn text(&self) -> String {
        self.registry.get().map(metrics_text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.reconciled(true, 3, 1);
        metrics.applied("ok");
        metrics.leads(true);
        let text = metrics.text();
        for line in [
            "weir_controller_reconciles_total{result=\"changed\"} 1",
            "weir_controller_applies_total{result=\"ok\"} 1",
            "weir_controller_nodes 3",
            "weir_controller_problems 1",
            "weir_controller_leader 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
