//! What sinks did, asked at each scrape. What waits for them is in the figures of the log's
//! readers, under `sink-NAME`.

use std::fmt;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::sinks::{SinkStatus, Sinks};

/// All sinks.
#[derive(Debug)]
pub(super) struct Sent(pub Sinks);

type Of = fn(&SinkStatus) -> u64;

const COUNTERS: [(&str, &str, Of); 2] = [
    ("sink_bytes", "Bytes that a sink has sent", |sink| {
        sink.did.sent_bytes
    }),
    ("sink_flushes", "How often what waited was sent", |sink| {
        sink.did.flushes
    }),
];

const GAUGES: [(&str, &str, Of); 2] = [
    (
        "sink_up",
        "Whether the last try of a sink to send worked",
        |sink| u64::from(sink.did.failure.is_none()),
    ),
    (
        "sink_last_success_timestamp_seconds",
        "When a sink sent something last; 0: not yet",
        |sink| {
            let since = sink
                .did
                .last_success
                .and_then(|last| last.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |since| since.as_secs())
        },
    ),
];

impl Collector for Sent {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let sinks = self.0.status();
        let counter = || ConstCounter::new(0_u64).metric_type();
        let gauge = || ConstGauge::new(0_i64).metric_type();
        let mut metric = encoder.encode_descriptor(
            "sink_rows",
            "Rows that a sink has sent, that its filter left out, or that it could not look at",
            None,
            counter(),
        )?;
        for sink in &sinks {
            let outcomes = [
                ("sent", sink.did.sent_rows),
                ("filtered", sink.did.filtered_rows),
                ("unreadable", sink.did.unreadable_rows),
            ];
            for (outcome, rows) in outcomes {
                let labels = [("sink", sink.name.as_str()), ("outcome", outcome)];
                ConstCounter::new(rows).encode(metric.encode_family(&labels)?)?;
            }
        }
        let mut metric = encoder.encode_descriptor(
            "sink_retries",
            "Tries of a sink that failed, by reason",
            None,
            counter(),
        )?;
        for sink in &sinks {
            for (reason, count) in &sink.did.retries {
                let labels = [("sink", sink.name.as_str()), ("reason", reason.as_str())];
                ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
            }
        }
        for (name, help, of) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, counter())?;
            for sink in &sinks {
                ConstCounter::new(of(sink)).encode(metric.encode_family(&[("sink", sink.name.as_str())])?)?;
            }
        }
        for (name, help, of) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, gauge())?;
            for sink in &sinks {
                let value = i64::try_from(of(sink)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(metric.encode_family(&[("sink", sink.name.as_str())])?)?;
            }
        }
        let (name, help) = ("sinks_config_ok", "Whether the file of sinks is right");
        let is_right = ConstGauge::new(i64::from(self.0.wrong().is_none()));
        let metric = encoder.encode_descriptor(name, help, None, gauge())?;
        is_right.encode(metric)
    }
}
