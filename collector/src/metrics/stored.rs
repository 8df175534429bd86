//! What the store says of itself, asked at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use weir_store::{Reader, Status, Tier};

/// A store's figures.
#[derive(Debug)]
pub(super) struct Stored(pub Reader);

type Of = fn(&weir_store::TierStatus) -> u64;

const TIERS: [(&str, &str, Of); 3] = [
    ("store_segments", "Files of the store", |tier| tier.segments),
    ("store_rows", "Rows in the files of the store", |tier| tier.rows),
    ("store_bytes", "Octets that the files of the store take", |tier| {
        tier.bytes
    }),
];

impl Collector for Stored {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        for (name, help, of) in TIERS {
            encode_tiers(&mut encoder, &status, (name, help, of))?;
        }
        let gauges = [
            (
                "store_memory_rows",
                "Rows that are in no file yet",
                status.memory_rows,
            ),
            ("store_memory_bytes", "Octets of them", status.memory_bytes),
            (
                "store_unlogged_rows",
                "Rows that are not in the log yet",
                status.unlogged_rows,
            ),
            (
                "store_identities",
                "Identities that the store has in memory",
                status.identities,
            ),
            (
                "store_unreadable_files",
                "Files that are skipped",
                status.unreadable.len() as u64,
            ),
            (
                "store_troubles",
                "Parts of the store that do not go on",
                status.troubles.len() as u64,
            ),
        ];
        let disk = status.disk.map(|space| {
            [
                (
                    "store_disk_free_bytes",
                    "Octets of the store's disk that are free",
                    space.free,
                ),
                ("store_disk_bytes", "Octets of the store's disk", space.total),
            ]
        });
        for (name, help, value) in gauges.into_iter().chain(disk.into_iter().flatten()) {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let counts = &status.counts;
        let counters = [
            (
                "store_sealed_rows",
                "Rows that went into files",
                counts.sealed_rows,
            ),
            ("store_log_bytes", "Octets written to the log", counts.log_bytes),
            ("store_expired_rows", "Rows that expired", counts.expired_rows),
            (
                "store_expired_early_rows",
                "Rows of them that expired before their time, because the disk was short",
                counts.expired_early_rows,
            ),
            (
                "store_folded_ports",
                "Ports of servers that edges leave out, because their client called more than is kept of a pair in an hour",
                counts.folded_ports,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

fn encode_tiers(
    encoder: &mut DescriptorEncoder,
    status: &Status,
    (name, help, of): (&str, &str, Of),
) -> fmt::Result {
    let kind = ConstGauge::new(0_i64).metric_type();
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (tier, has) in Tier::ALL.iter().zip(&status.tiers) {
        let gauge = ConstGauge::new(i64::try_from(of(has)).unwrap_or(i64::MAX));
        gauge.encode(metric.encode_family(&[("tier", tier.as_str())])?)?;
    }
    Ok(())
}
