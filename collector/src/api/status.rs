//! What `status` answers: what is stored, who exports, what became of the records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_query::{EngineStatus, ReaderStatus, TierStatus};

use crate::metrics::Totals;
use weir_identity::exporters::{Exporters, NodeExports};

/// The state of the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswer {
    /// Version of the collector.
    pub version: String,
    /// What is stored; nothing without `--data-dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub store: Option<StoreAnswer>,
    /// Nodes that are known to export, by name.
    pub exporters: Vec<ExporterAnswer>,
    /// What became of the records since the collector started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub records: Option<RecordsAnswer>,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreAnswer {
    /// Rows that are in no file yet.
    pub memory_rows: u64,
    /// What does not go on, and is tried again.
    pub troubles: Vec<String>,
    /// Records as they came, and their sums.
    pub tiers: Vec<TierAnswer>,
    /// Files that are skipped.
    pub unreadable: Vec<UnreadableAnswer>,
    /// Room where the files lie, of a store that is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disk: Option<DiskAnswer>,
    /// Those who are told of every record as it is stored: standard output, live tails.
    #[serde(default)]
    pub readers: Vec<ReaderAnswer>,
}

/// How far one is who is told of every record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReaderAnswer {
    /// What it is called.
    pub name: String,
    /// It goes on after a restart, where it was.
    pub durable: bool,
    /// Somebody reads under this name now.
    pub attached: bool,
    /// The head of the log that it is at.
    pub head: u64,
    /// The frame in it that it does not have yet.
    pub frame: u64,
    /// Records that wait for it.
    pub lag_rows: u64,
    /// Octets of them.
    pub lag_bytes: u64,
    /// Seconds that the oldest waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lag_seconds: Option<u64>,
    /// Octets that may wait; beyond, the oldest records are dropped.
    pub max_bytes: u64,
    /// Records that it has.
    pub acknowledged_rows: u64,
    /// Records that it is not shown, by reason: `behind`, `disk_short`, `lost`.
    pub dropped_rows: BTreeMap<String, u64>,
}

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskAnswer {
    /// Octets that are free.
    pub free: u64,
    /// All octets.
    pub total: u64,
    /// Records that expired before their time since the collector started, because
    /// too little was free.
    pub expired_early: u64,
}

/// What a tier has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TierAnswer {
    /// `raw`, `minute` or `hour`.
    pub tier: String,
    /// Files.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Octets that they take.
    pub bytes: u64,
    /// The earliest time in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub oldest: Option<Timestamp>,
    /// The latest time in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub newest: Option<Timestamp>,
}

/// A file that is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadableAnswer {
    /// Its name.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// A node that exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExporterAnswer {
    /// Its name.
    pub node: String,
    /// Bridges that export something.
    pub bridges: usize,
    /// What they export: `netflow5`, `ipfix`, `sflow5`.
    pub formats: Vec<String>,
}

/// What became of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordsAnswer {
    /// Decoded: stored, dropped or on their way.
    pub decoded: u64,
    /// Stored.
    pub stored: u64,
    /// Dropped.
    pub dropped: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
}

impl From<EngineStatus> for StoreAnswer {
    fn from(status: EngineStatus) -> Self {
        let tier = |has: TierStatus| TierAnswer {
            tier: has.tier,
            segments: has.segments,
            rows: has.rows,
            bytes: has.bytes,
            oldest: has.time.and_then(|(oldest, _)| moment(oldest)),
            newest: has.time.and_then(|(_, newest)| moment(newest)),
        };
        let unreadable = |(file, reason)| UnreadableAnswer { file, reason };
        Self {
            memory_rows: status.memory_rows,
            troubles: status.degraded,
            tiers: status.tiers.into_iter().map(tier).collect(),
            unreadable: status.unreadable.into_iter().map(unreadable).collect(),
            disk: status.disk.map(|disk| DiskAnswer {
                free: disk.free,
                total: disk.total,
                expired_early: disk.expired_early_rows,
            }),
            readers: status.readers.into_iter().map(ReaderAnswer::from).collect(),
        }
    }
}

impl From<ReaderStatus> for ReaderAnswer {
    fn from(reader: ReaderStatus) -> Self {
        let (head, frame) = reader.position;
        let dropped = reader.dropped_rows.into_iter();
        Self {
            name: reader.name,
            durable: reader.durable,
            attached: reader.attached,
            head,
            frame,
            lag_rows: reader.lag_rows,
            lag_bytes: reader.lag_bytes,
            lag_seconds: reader.lag_age.map(|age| age.as_secs()),
            max_bytes: reader.max_bytes,
            acknowledged_rows: reader.acknowledged_rows,
            dropped_rows: dropped.map(|(reason, rows)| (reason.to_owned(), rows)).collect(),
        }
    }
}

fn moment(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

/// The nodes that export something, by name.
pub fn exporters(known: &Exporters) -> Vec<ExporterAnswer> {
    let mut nodes: Vec<_> = known.nodes().filter(|(_, exports)| exports.bridges > 0).collect();
    nodes.sort_unstable_by_key(|(node, _)| *node);
    nodes
        .into_iter()
        .map(|(node, exports)| exporter(node, exports))
        .collect()
}

fn exporter(node: &str, exports: &NodeExports) -> ExporterAnswer {
    let formats = &exports.formats;
    let formats = [
        ("netflow5", formats.net_flow.is_some()),
        ("ipfix", formats.ipfix.is_some()),
        ("sflow5", formats.s_flow.is_some()),
    ];
    ExporterAnswer {
        node: node.to_owned(),
        bridges: exports.bridges,
        formats: formats
            .iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| (*name).to_owned())
            .collect(),
    }
}

impl From<Totals> for RecordsAnswer {
    fn from(totals: Totals) -> Self {
        Self {
            decoded: totals.records,
            stored: totals.stored,
            dropped: totals.dropped,
            kernel_drops: totals.kernel_drops,
        }
    }
}
