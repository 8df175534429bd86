//! How far those are who read the flow log, asked at each scrape.

use std::fmt;
use std::sync::OnceLock;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use weir_store::{LogReaderStatus, LogStatus};

use crate::sink::STDOUT;

/// Those who read the flow log, of the store or in memory.
#[derive(Debug, Default)]
pub(super) struct LogReaders(OnceLock<LogStatus>);

impl LogReaders {
    /// There is a log.
    pub fn watch(&self, log: LogStatus) {
        // There is one log: nobody tells of another.
        let _ = self.0.set(log);
    }
}

type Of = fn(&LogReaderStatus) -> u64;

const GAUGES: [(&str, &str, Of); 5] = [
    (
        "log_reader_lag_rows",
        "Rows of the flow log that wait for a reader",
        |reader| reader.lag_rows,
    ),
    ("log_reader_lag_bytes", "Octets of them", |reader| {
        reader.lag_bytes
    }),
    (
        "log_reader_limit_bytes",
        "Octets that may wait for a reader; beyond, the oldest rows are dropped",
        |reader| reader.bounds.bytes,
    ),
    (
        "log_reader_lag_seconds",
        "How long the oldest row waits for a reader",
        |reader| reader.lag_age.map_or(0, |age| age.as_secs()),
    ),
    (
        "log_reader_head",
        "The head of the flow log that a reader is at",
        |reader| reader.cursor.head,
    ),
];

impl Collector for LogReaders {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let readers = self.0.get().map(LogStatus::readers).unwrap_or_default();
        for (name, help, of) in GAUGES {
            let kind = ConstGauge::new(0_i64).metric_type();
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for reader in &readers {
                let gauge = ConstGauge::new(i64::try_from(of(reader)).unwrap_or(i64::MAX));
                gauge.encode(metric.encode_family(&[("reader", reader.name.as_str())])?)?;
            }
        }
        let kind = ConstCounter::new(0_u64).metric_type();
        let (name, help) = (
            "log_reader_acknowledged_rows",
            "Rows of the flow log that a reader has",
        );
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        for reader in &readers {
            let counter = ConstCounter::new(reader.acknowledged_rows);
            counter.encode(metric.encode_family(&[("reader", reader.name.as_str())])?)?;
        }
        let (name, help) = (
            "log_reader_dropped_rows",
            "Rows of the flow log that a reader is not shown",
        );
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        for reader in &readers {
            for (reason, rows) in reader.dropped.by_reason() {
                let labels = [("reader", reader.name.as_str()), ("reason", reason)];
                ConstCounter::new(rows).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Records that were stored and are not printed as well.
#[derive(Debug, Default)]
pub(super) struct Unprinted {
    failed: Counter,
    log: OnceLock<LogStatus>,
}

impl Unprinted {
    /// What the printer of this store's log is not shown, counts.
    pub fn watch(&self, log: LogStatus) {
        let _ = self.log.set(log);
    }

    pub fn fail(&self, records: u64) {
        self.failed.inc_by(records);
    }

    fn behind(&self) -> u64 {
        let readers = self.log.get().map(LogStatus::readers).unwrap_or_default();
        let printer = readers.iter().find(|reader| reader.name == STDOUT);
        printer.map_or(0, |printer| printer.dropped.sum())
    }
}

impl Collector for Unprinted {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let (name, help) = ("records_unprinted", "Flow records stored and not printed as well");
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        let of_reason = [("behind", self.behind()), ("failed", self.failed.get())];
        for (reason, records) in of_reason {
            ConstCounter::new(records).encode(metric.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}
