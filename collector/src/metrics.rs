//! The collector's own counters. They add up: datagrams received = decoded +
//! rejected; records decoded = stored + dropped + queued.
//!
//! Every label takes its values from a fixed set, so no sender can make them grow.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use wire::{Protocol, Reject, Summary};

type Labels = [(&'static str, &'static str); 1];
type Counters = Family<Labels, Counter>;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why a record that was decoded was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The queue to the sink was full.
    QueueFull,
    /// The sink could not write.
    SinkFailed,
}

impl Drop {
    const ALL: [Self; 2] = [Self::QueueFull, Self::SinkFailed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SinkFailed => "sink_failed",
        }
    }
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
    queued: Gauge,
    kernel_drops: Counter,
    lost: Counters,
    templates: Counters,
    sets: Counters,
    ignored: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("weir_collector"),
            received: Counter::default(),
            decoded: by_format(),
            rejected: labelled("reason", &Reject::KINDS),
            records: by_format(),
            stored: Counter::default(),
            dropped: labelled("reason", &Drop::ALL.map(Drop::as_str)),
            queued: Gauge::default(),
            kernel_drops: Counter::default(),
            lost: by_format(),
            templates: labelled("event", &["learned", "refreshed", "refused", "assumed"]),
            sets: labelled("event", &["held", "dropped", "expired", "skipped"]),
            ignored: labelled("kind", &["options_record", "counter_sample", "other_sample"]),
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
            "Datagrams read from the sockets",
            self.received.clone(),
        );
        r.register("datagrams_decoded", "Datagrams decoded", self.decoded.clone());
        r.register(
            "datagrams_rejected",
            "Datagrams refused as malformed or unknown",
            self.rejected.clone(),
        );
        r.register("records_decoded", "Flow records decoded", self.records.clone());
        r.register(
            "records_stored",
            "Flow records that the sink has taken",
            self.stored.clone(),
        );
        r.register(
            "records_dropped",
            "Flow records decoded and not stored",
            self.dropped.clone(),
        );
        r.register(
            "records_queued",
            "Flow records on their way to the sink",
            self.queued.clone(),
        );
        r.register(
            "kernel_drops",
            "Datagrams that the kernel dropped because a socket's buffer was full",
            self.kernel_drops.clone(),
        );
        r.register(
            "sequence_lost",
            "Flows (NetFlow 5), records (IPFIX) or datagrams (NetFlow 9, sFlow) missing by sequence number",
            self.lost.clone(),
        );
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
    }

    /// Handles for one worker.
    pub fn decode_counters(&self) -> DecodeCounters {
        let one = |family: &Counters, key, value| family.get_or_create(&[(key, value)]).clone();
        let formats = |family: &Counters| Protocol::ALL.map(|p| one(family, "format", p.as_str()));
        DecodeCounters {
            received: self.received.clone(),
            rejected: self.rejected.clone(),
            decoded: formats(&self.decoded),
            records: formats(&self.records),
            lost: formats(&self.lost),
            templates: ["learned", "refreshed", "refused", "assumed"]
                .map(|e| one(&self.templates, "event", e)),
            sets: ["held", "dropped", "expired", "skipped"].map(|e| one(&self.sets, "event", e)),
            ignored: ["options_record", "counter_sample", "other_sample"]
                .map(|k| one(&self.ignored, "kind", k)),
            queued: self.queued.clone(),
        }
    }

    /// Records were stored.
    pub fn store(&self, records: u64) {
        self.stored.inc_by(records);
        self.queued.dec_by(to_signed(records));
    }

    /// Records were dropped.
    pub fn drop_records(&self, reason: Drop, records: u64) {
        self.dropped
            .get_or_create(&[("reason", reason.as_str())])
            .inc_by(records);
        self.queued.dec_by(to_signed(records));
    }

    /// Records decoded and neither stored nor dropped.
    pub fn queued(&self) -> i64 {
        self.queued.get()
    }

    /// Drops that a socket reported.
    pub fn kernel_drops(&self) -> Counter {
        self.kernel_drops.clone()
    }

    /// Everything, as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("a String takes whatever is written to it");
        out
    }
}

/// One worker's handles; an index for [`Protocol::ALL`] where they are by format.
#[derive(Debug, Clone)]
pub struct DecodeCounters {
    /// Datagrams received.
    pub received: Counter,
    rejected: Counters,
    decoded: [Counter; 4],
    records: [Counter; 4],
    lost: [Counter; 4],
    templates: [Counter; 4],
    sets: [Counter; 4],
    ignored: [Counter; 3],
    queued: Gauge,
}

impl DecodeCounters {
    /// A datagram was refused.
    pub fn reject(&self, reject: &Reject) {
        self.rejected.get_or_create(&[("reason", reject.kind())]).inc();
    }

    /// A datagram was decoded.
    pub fn decoded(&self, summary: &Summary, expired_sets: usize) {
        let format = position(summary.protocol);
        self.queued.inc_by(to_signed(summary.records as u64));
        self.decoded[format].inc();
        self.records[format].inc_by(summary.records as u64);
        let add = |counters: &[Counter], counts: &[usize]| {
            for (counter, count) in counters.iter().zip(counts).filter(|(_, count)| **count != 0) {
                counter.inc_by(*count as u64);
            }
        };
        let s = summary;
        add(
            &self.templates,
            &[
                s.templates_learned,
                s.templates_refreshed,
                s.templates_refused,
                s.templates_assumed,
            ],
        );
        add(
            &self.sets,
            &[s.sets_held, s.sets_dropped, expired_sets, s.sets_skipped],
        );
        add(
            &self.ignored,
            &[s.options_records, s.counter_samples, s.other_samples],
        );
    }

    /// Units are missing by sequence number.
    pub fn lost(&self, protocol: Protocol, units: u64) {
        self.lost[position(protocol)].inc_by(units);
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
    fn names_are_those_that_are_documented_and_every_value_shows_from_the_start() {
        let text = Metrics::default().encode();
        for line in [
            "weir_collector_datagrams_received_total 0",
            "weir_collector_records_decoded_total{format=\"ipfix\"} 0",
            "weir_collector_records_stored_total 0",
            "weir_collector_datagrams_rejected_total{reason=\"truncated\"} 0",
            "weir_collector_records_dropped_total{reason=\"queue_full\"} 0",
            "weir_collector_kernel_drops_total 0",
            "weir_collector_sequence_lost_total{format=\"netflow5\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
