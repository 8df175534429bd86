//! The collector's own counters. They add up in every answer: datagrams received =
//! decoded + rejected; records decoded = stored + dropped + queued. Whoever changes
//! one side of a sum changes the other under the same [`Metrics::gate`], and an
//! answer is written while nobody is under it.
//!
//! Every label takes its values from a fixed set, from [`MAX_NODES`] nodes that are known,
//! or from what those tell of themselves, within `switch`'s bounds, so no sender can make
//! them grow. How a worker counts is `tally`'s, the words for it are `reason`'s.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use weir_process::http::metrics_text;
use wire::{Discard, Protocol};

use crate::flow_metrics::FlowMetrics;
use crate::registry::ExporterRegistry;
use crate::sinks::Sinks;
use weir_identity::exporters::Exporter;

mod connections;
mod counted;
mod policies;
mod readers;
mod reason;
mod running;
mod sent;
mod stored;
mod switch;
mod tally;

pub use connections::{Closed, Connections, HttpConnections, Refusal, Transport};
pub use policies::PolicyMetrics;
pub use reason::Drop;
pub use tally::DecodeCounters;

use readers::{LogReaders, Unprinted};
use reason::{
    IGNORED_KINDS, OTHER, RECORD_KINDS, SET_EVENTS, TEMPLATE_EVENTS, discard_reason, reject_reasons,
};
use switch::Switches;

type Labels = [(&'static str, &'static str); 1];
type Counters = Family<Labels, Counter>;

/// Nodes that have series of their own; the rest share one.
const MAX_NODES: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    node: String,
    format: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiscardLabels {
    node: String,
    reason: &'static str,
}

/// What became of everything, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams and messages read: `decoded` + `rejected`.
    pub received: u64,
    /// Datagrams and messages decoded.
    pub decoded: u64,
    /// Datagrams and messages refused.
    pub rejected: u64,
    /// Records decoded: `stored` + `dropped` + what is queued.
    pub records: u64,
    /// Records that the store has taken, or that were printed or let go without one.
    pub stored: u64,
    /// Records that it has not, and never will.
    pub dropped: u64,
    /// Records of `stored` that the disk did not take when the store was closed.
    pub lost: u64,
    /// Datagrams that never came here.
    pub kernel_drops: u64,
}

/// All counters of one collector.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: Counter,
    decoded: Counters,
    rejected: Counters,
    records: Counters,
    stored: Counter,
    dropped: Counters,
    stored_lost: Counters,
    unprinted: Arc<Unprinted>,
    log_readers: Arc<LogReaders>,
    queued: Gauge,
    kernel_drops: Counter,
    lost: Counters,
    templates: Counters,
    templates_saved: Gauge,
    sets: Counters,
    ignored: Counters,
    record_kinds: Counters,
    node_lost: Family<NodeLabels, Counter>,
    discarded: Family<DiscardLabels, Counter>,
    interfaces: Gauge,
    unscaled: Counter,
    unproven_marks: Counter,
    options_refused: Counter,
    names_refused: Counter,
    switches: Arc<Switches>,
    exporters: Arc<ExporterRegistry>,
    connections: Connections,
    http_connections: Arc<HttpConnections>,
    policies: Arc<PolicyMetrics>,
    nodes: Mutex<HashSet<Arc<str>>>,
    gate: RwLock<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("weir_collector"),
            received: Counter::default(),
            decoded: by_format(),
            rejected: labelled("reason", &reject_reasons()),
            records: by_format(),
            stored: Counter::default(),
            dropped: labelled("reason", &Drop::ALL.map(Drop::as_str)),
            stored_lost: labelled("reason", &Drop::STORE.map(Drop::as_str)),
            unprinted: Arc::default(),
            log_readers: Arc::default(),
            queued: Gauge::default(),
            kernel_drops: Counter::default(),
            lost: by_format(),
            templates: labelled("event", &TEMPLATE_EVENTS),
            templates_saved: Gauge::default(),
            sets: labelled("event", &SET_EVENTS),
            ignored: labelled("kind", &IGNORED_KINDS),
            record_kinds: labelled("kind", &RECORD_KINDS),
            node_lost: Family::default(),
            discarded: Family::default(),
            interfaces: Gauge::default(),
            unscaled: Counter::default(),
            unproven_marks: Counter::default(),
            options_refused: Counter::default(),
            names_refused: Counter::default(),
            switches: Arc::default(),
            exporters: Arc::default(),
            connections: Connections::default(),
            http_connections: Arc::default(),
            policies: Arc::default(),
            nodes: Mutex::default(),
            gate: RwLock::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "datagrams_received",
            "Datagrams and messages read from the sockets",
            self.received.clone(),
        );
        r.register(
            "datagrams_decoded",
            "Datagrams and messages decoded",
            self.decoded.clone(),
        );
        r.register(
            "datagrams_rejected",
            "Datagrams and messages refused: malformed, unknown, or of a stranger",
            self.rejected.clone(),
        );
        r.register("records_decoded", "Flow records decoded", self.records.clone());
        r.register(
            "records_stored",
            "Flow records that the store has accepted; without a store, that were printed or let go",
            self.stored.clone(),
        );
        r.register(
            "records_dropped",
            "Flow records decoded and not stored",
            self.dropped.clone(),
        );
        r.register(
            "records_lost",
            "Flow records that counted as stored and that the disk did not take when the store was closed",
            self.stored_lost.clone(),
        );
        r.register_collector(Box::new(Arc::clone(&self.unprinted)));
        r.register_collector(Box::new(Arc::clone(&self.log_readers)));
        r.register(
            "records_queued",
            "Flow records that were decoded and are not yet stored",
            self.queued.clone(),
        );
        r.register(
            "kernel_drops",
            "Datagrams that the kernel dropped: a socket's buffer was full, or the collector was stopping",
            self.kernel_drops.clone(),
        );
        r.register(
            "sequence_lost",
            "Flows (NetFlow 5), records (IPFIX) or datagrams (NetFlow 9, sFlow) missing by sequence number",
            self.lost.clone(),
        );
        r.register(
            "node_sequence_lost",
            "The same by exporting node, for nodes that are known",
            self.node_lost.clone(),
        );
        r.register(
            "templates_saved",
            "Templates that a restarted collector would know",
            self.templates_saved.clone(),
        );
        self.connections.register(r);
        self.http_connections.register(r);
        self.policies.register(r);
        r.register("templates", "Templates received", self.templates.clone());
        r.register(
            "data_sets",
            "Data sets without their template, and sets skipped",
            self.sets.clone(),
        );
        r.register(
            "ignored",
            "Records and samples that are no flows",
            self.ignored.clone(),
        );
        r.register(
            "record_kinds",
            "Records of both directions of a flow, made of a reverse direction, or with lists, which are not read",
            self.record_kinds.clone(),
        );
        r.register(
            "discarded_packets",
            "Packets that exporters told as discarded (sFlow discarded packets)",
            self.discarded.clone(),
        );
        r.register(
            "interfaces_named",
            "Interfaces whose pod is known from node daemons",
            self.interfaces.clone(),
        );
        r.register(
            "unscaled_records",
            "Records without a sampling rate, of exporters that tell of samplers",
            self.unscaled.clone(),
        );
        r.register(
            "unproven_marks",
            "Datagrams with the mark of a node that they do not come from",
            self.unproven_marks.clone(),
        );
        r.register(
            "interface_names_refused",
            "Names of interfaces that came neither from their node nor through a declared relay",
            self.options_refused.clone(),
        );
        r.register(
            "record_names_refused",
            "Records that name pods or policies, of exporters that are not the cluster's",
            self.names_refused.clone(),
        );
        r.register_collector(Box::new(Arc::clone(&self.switches)));
    }

    /// The counting of one worker.
    pub fn decode_counters(self: &Arc<Self>) -> DecodeCounters {
        DecodeCounters::new(Arc::clone(self))
    }

    /// Nobody sees the counters while this is held.
    fn gate(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a store's figures, too.
    pub fn watch_store(&mut self, reader: weir_store::Reader) {
        self.unprinted.watch(reader.log_status());
        self.watch_log(reader.log_status());
        self.registry.register_collector(Box::new(stored::Stored(reader)));
    }

    /// Shows how far those are who read the flow log.
    pub fn watch_log(&self, log: weir_store::LogStatus) {
        self.log_readers.watch(log);
    }

    /// Shows what sinks did, too.
    pub fn watch_sinks(&mut self, sinks: Sinks) {
        self.registry.register_collector(Box::new(sent::Sent(sinks)));
    }

    /// Shows how FlowMetrics fare, too.
    pub fn watch_flow_metrics(&mut self, flow_metrics: FlowMetrics) {
        let counted = counted::Counted(flow_metrics);
        self.registry.register_collector(Box::new(counted));
    }

    /// What each exporter has sent.
    pub fn exporters(&self) -> &Arc<ExporterRegistry> {
        &self.exporters
    }

    /// Counts of what policies said.
    pub fn policies(&self) -> &Arc<PolicyMetrics> {
        &self.policies
    }

    /// Counts of connections over HTTP.
    pub fn http_connections(&self) -> &Arc<HttpConnections> {
        &self.http_connections
    }

    /// Counts of connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Records were stored.
    pub fn store(&self, records: u64) {
        let _gate = self.gate();
        self.stored.inc_by(records);
        self.queued.dec_by(to_signed(records));
    }

    /// Records were dropped.
    pub fn drop_records(&self, reason: Drop, records: u64) {
        let _gate = self.gate();
        self.dropped
            .get_or_create(&[("reason", reason.as_str())])
            .inc_by(records);
        self.queued.dec_by(to_signed(records));
    }

    /// Records that counted as stored are lost.
    pub fn lose_stored(&self, reason: Drop, records: u64) {
        self.stored_lost
            .get_or_create(&[("reason", reason.as_str())])
            .inc_by(records);
    }

    /// Records were stored, and cannot be printed.
    pub fn leave_unprinted(&self, records: u64) {
        self.unprinted.fail(records);
    }

    /// Records decoded and neither stored nor dropped.
    pub fn queued(&self) -> i64 {
        self.queued.get()
    }

    /// Templates on disk.
    pub fn templates_saved(&self) -> Gauge {
        self.templates_saved.clone()
    }

    /// Drops that a socket reported.
    pub fn kernel_drops(&self) -> Counter {
        self.kernel_drops.clone()
    }

    fn lost_on(&self, node: &Arc<str>, protocol: Protocol, units: u64) {
        let labels = NodeLabels {
            node: self.node_label(Some(node)),
            format: protocol.as_str(),
        };
        self.node_lost.get_or_create(&labels).inc_by(units);
    }

    /// Exporters told of packets that were discarded.
    fn discarded(&self, exporter: Option<&Exporter>, discards: &[Discard]) {
        for discard in discards {
            let labels = DiscardLabels {
                node: self.node_label(exporter.map(|exporter| &exporter.node)),
                reason: discard_reason(discard.reason),
            };
            self.discarded.get_or_create(&labels).inc();
        }
    }

    /// The node's name, as long as there is room for its series.
    fn node_label(&self, node: Option<&Arc<str>>) -> String {
        let Some(node) = node else {
            return OTHER.to_owned();
        };
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let has_series = nodes.contains(node) || nodes.len() < MAX_NODES;
        if !has_series {
            return OTHER.to_owned();
        }
        nodes.insert(Arc::clone(node));
        node.to_string()
    }

    /// The sums, for the log.
    pub fn totals(&self) -> Totals {
        let _all = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let sum = |family: &Counters, key, values: &[&'static str]| -> u64 {
            let one = |value: &&'static str| family.get_or_create(&[(key, *value)]).get();
            values.iter().map(one).sum()
        };
        let formats = Protocol::ALL.map(Protocol::as_str);
        Totals {
            received: self.received.get(),
            decoded: sum(&self.decoded, "format", &formats),
            rejected: sum(&self.rejected, "reason", &reject_reasons()),
            records: sum(&self.records, "format", &formats),
            stored: self.stored.get(),
            dropped: sum(&self.dropped, "reason", &Drop::ALL.map(Drop::as_str)),
            lost: sum(&self.stored_lost, "reason", &Drop::STORE.map(Drop::as_str)),
            kernel_drops: self.kernel_drops.get(),
        }
    }

    /// Everything, as OpenMetrics text.
    pub fn encode(&self) -> String {
        let _all = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        metrics_text(&self.registry)
    }
}

fn position(protocol: Protocol) -> usize {
    Protocol::ALL
        .iter()
        .position(|p| *p == protocol)
        .expect("ALL has every protocol")
}

fn by_format() -> Counters {
    labelled("format", &Protocol::ALL.map(Protocol::as_str))
}

/// A family that shows each of its values from the start, as 0.
fn labelled(key: &'static str, values: &[&'static str]) -> Counters {
    let family = Counters::default();
    for value in values {
        drop(family.get_or_create(&[(key, *value)]));
    }
    family
}

fn to_signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_nodes_take_bounded_room_and_none_is_lost() {
        let metrics = Metrics::default();
        for n in 0..3 * MAX_NODES {
            let node = format!("node-{n}").into();
            metrics.lost_on(&node, Protocol::Ipfix, 1);
            metrics.lost_on(&node, Protocol::Ipfix, 1);
        }
        let text = metrics.encode();
        let lines = text
            .lines()
            .filter(|l| l.starts_with("weir_collector_node_sequence_lost_total"));
        assert_eq!(lines.count(), MAX_NODES + 1);
        let rest = format!("{{node=\"other\",format=\"ipfix\"}} {}", 4 * MAX_NODES);
        assert!(text.contains(&rest), "{rest}");
        assert!(text.contains("{node=\"node-0\",format=\"ipfix\"} 2"));
    }

    #[test]
    fn names_are_those_that_are_documented_and_every_value_shows_from_the_start() {
        let text = Metrics::default().encode();
        for line in [
            "weir_collector_datagrams_received_total 0",
            "weir_collector_records_decoded_total{format=\"ipfix\"} 0",
            "weir_collector_records_stored_total 0",
            "weir_collector_datagrams_rejected_total{reason=\"truncated\"} 0",
            "weir_collector_records_dropped_total{reason=\"queue_full\"} 0",
            "weir_collector_records_lost_total{reason=\"store_full\"} 0",
            "weir_collector_kernel_drops_total 0",
            "weir_collector_sequence_lost_total{format=\"netflow5\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
