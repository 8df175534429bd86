//! The daemon's own counters and gauges, and the facts that health is computed
//! from. Every label is bounded: error texts go to logs and conditions.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use weir_process::http::metrics_text;

use crate::status_pace::WriteOutcome;
use run_folder::{Absence, RefusalCounts};

/// One label of a family.
type Label = [(&'static str, &'static str); 1];

/// All metrics of one agent. Made once, shared by reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `weir_node_drift_healed_total`: rows that others changed and that were put right.
    pub drift_healed: Counter<u64, AtomicU64>,
    /// `weir_node_conflicts`: slots that hold rows of somebody else.
    pub conflicts: Gauge<i64, AtomicI64>,
    /// `weir_node_file_errors_total`: versions of the files that could not be used.
    pub file_errors: Counter<u64, AtomicU64>,
    /// `weir_node_interfaces_named`: interfaces whose pod the collectors are told, once a collector.
    pub interfaces_named: Gauge<i64, AtomicI64>,
    interface_messages: Family<Label, Counter<u64, AtomicU64>>,
    transactions: Family<Label, Counter<u64, AtomicU64>>,
    status_patches: Family<Label, Counter<u64, AtomicU64>>,
    watch_errors: Counter<u64, AtomicU64>,
    gate_refusals: Family<Label, Counter<u64, AtomicU64>>,
    ready: Family<Label, Gauge<i64, AtomicI64>>,
    facts: Mutex<HealthFacts>,
}

/// What the agent knows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthFacts {
    /// The replica follows OVSDB.
    pub ovsdb_synced: bool,
    /// Why not, once an attempt has failed, and what to do where that is known.
    pub unreachable: Option<String>,
    /// There is a spec.
    pub spec_seen: bool,
    /// All of it is in place. Tells of the switch, so it is no matter of readiness.
    pub applied: bool,
    /// When the loop last turned.
    pub turned: Instant,
    /// Whether the database's socket can be found.
    pub socket: Absence,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("weir_node"),
            drift_healed: Counter::default(),
            conflicts: Gauge::default(),
            file_errors: Counter::default(),
            interfaces_named: Gauge::default(),
            interface_messages: Family::default(),
            transactions: Family::default(),
            status_patches: Family::default(),
            watch_errors: Counter::default(),
            gate_refusals: Family::default(),
            ready: Family::default(),
            facts: Mutex::new(HealthFacts {
                ovsdb_synced: false,
                unreachable: None,
                spec_seen: false,
                applied: false,
                turned: Instant::now(),
                socket: Absence::default(),
            }),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "drift_healed",
            "Rows that others changed and that were put right",
            self.drift_healed.clone(),
        );
        registry.register(
            "conflicts",
            "Bridges and protocols that hold rows of somebody else",
            self.conflicts.clone(),
        );
        registry.register(
            "file_errors",
            "Versions of the files that could not be used",
            self.file_errors.clone(),
        );
        registry.register(
            "interfaces_named",
            "Interfaces whose pod the collectors are told, once a collector",
            self.interfaces_named.clone(),
        );
        registry.register(
            "interface_messages",
            "Messages that tell collectors which pods stand behind interfaces",
            self.interface_messages.clone(),
        );
        registry.register(
            "transactions",
            "Transactions sent to OVSDB",
            self.transactions.clone(),
        );
        registry.register(
            "status_patches",
            "Attempts to write the status",
            self.status_patches.clone(),
        );
        registry.register(
            "watch_errors",
            "Failures of the watch on the node's own object",
            self.watch_errors.clone(),
        );
        registry.register(
            "gate_refusals",
            "Requests that the gate to OVSDB has refused since it began, whoever sent them",
            self.gate_refusals.clone(),
        );
        registry.register(
            "ready",
            "Facts that readiness is computed from",
            self.ready.clone(),
        );
    }

    /// Counts a transaction by its outcome: `committed` or a
    /// [`ovsdb::TransactError::kind`].
    pub fn count_transaction(&self, result: &'static str) {
        self.transactions.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a message about interfaces by its outcome: `sent` or `failed`.
    pub fn count_interface_message(&self, result: &'static str) {
        self.interface_messages.get_or_create(&[("result", result)]).inc();
    }

    /// Counts an attempt to write the status by its outcome.
    pub fn count_status_patch(&self, outcome: WriteOutcome) {
        self.status_patches
            .get_or_create(&[("result", outcome.name())])
            .inc();
    }

    /// Counts a failure of the watch.
    pub fn count_watch_error(&self) {
        self.watch_errors.inc();
    }

    /// The gate says how much it has refused since it began; one that begins anew begins at
    /// zero, as counters do.
    pub fn show_gate_refusals(&self, counts: &RefusalCounts) {
        for (reason, count) in counts.iter() {
            let counter = self.gate_refusals.get_or_create(&[("reason", reason)]);
            counter.inner().store(count, Ordering::Relaxed);
        }
    }

    /// The loop has turned and found this.
    pub fn record(&self, facts: HealthFacts) {
        let gauges = [
            ("ovsdb_synced", facts.ovsdb_synced),
            ("spec_seen", facts.spec_seen),
            ("applied", facts.applied),
        ];
        for (fact, holds) in gauges {
            self.ready.get_or_create(&[("fact", fact)]).set(holds.into());
        }
        *self.facts.lock().unwrap_or_else(|broken| broken.into_inner()) = facts;
    }

    /// What the loop found last.
    pub fn facts(&self) -> HealthFacts {
        let facts = self.facts.lock().unwrap_or_else(|broken| broken.into_inner());
        facts.clone()
    }

    /// All metrics in OpenMetrics text.
    pub fn text(&self) -> String {
        metrics_text(&self.registry)
    }
}

impl HealthFacts {
    /// Why the daemon cannot do its work yet, or nothing. That a spec cannot be applied
    /// is the status's to say: another daemon could not apply it either, and a rollout
    /// must not wait for it.
    pub fn unready(&self) -> Vec<String> {
        let ovsdb = (!self.ovsdb_synced).then(|| match &self.unreachable {
            Some(why) => format!("OVSDB is not in sync: {why}"),
            None => "OVSDB is not in sync".to_owned(),
        });
        let spec = (!self.spec_seen).then(|| "no spec was seen".to_owned());
        ovsdb.into_iter().chain(spec).collect()
    }

    /// Why only another start helps; `None`: all is well. The loop must have turned
    /// within `limit` before `now`.
    pub fn unhealthy(&self, now: Instant, limit: Duration) -> Option<&'static str> {
        if now.saturating_duration_since(self.turned) > limit {
            return Some("the loop does not turn");
        }
        self.socket.complaint(now)
    }
}
