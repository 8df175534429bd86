//! What `exporters` answers: what each exporter has sent, and what became of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_identity::exporters::Standing;
use wire::Protocol;

use crate::registry::{ExporterCounts, ExporterRegistry};

/// All exporters that were heard of since the collector started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportersAnswer {
    /// By address.
    pub exporters: Vec<ExporterCountsAnswer>,
    /// Addresses that were forgotten because there were too many.
    pub forgotten: u64,
    /// Exporters that are not Open vSwitch and were given no role: where there are
    /// several, sums may count what two of them saw twice.
    pub without_role: u64,
}

/// What one exporter has sent. Counts are since it was heard of first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExporterCountsAnswer {
    /// Its address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The node that it is proven to be; empty: none.
    pub node: String,
    /// What its address proves: `node`, `relay`, or `stranger`.
    pub standing: String,
    /// The node whose mark (observation domain, engine, agent) it bears without coming
    /// from it; empty: none.
    pub claims: String,
    /// `edge`, `core` or `ignore`; empty: it was given none.
    pub role: String,
    /// Some of its records are Open vSwitch's.
    pub ovs: bool,
    /// Formats that it speaks.
    pub formats: Vec<String>,
    /// When it was heard of first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub first_seen: Option<Timestamp>,
    /// When it was heard of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_seen: Option<Timestamp>,
    /// Datagrams and messages.
    pub datagrams: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Flow records.
    pub records: u64,
    /// Of them, those without a sampling rate although it told of samplers.
    pub unscaled_records: u64,
    /// Missing by sequence number: flows (NetFlow 5), records (IPFIX) or datagrams.
    pub lost: u64,
    /// Datagrams that were refused.
    pub rejected: Vec<RejectedAnswer>,
    /// The last refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_reject: Option<LastRejectAnswer>,
    /// Data sets that waited for their template.
    pub sets_held: u64,
    /// Data sets lost for want of a template.
    pub sets_dropped: u64,
    /// Sets with a reserved id, and data sets without a byte.
    pub sets_skipped: u64,
    /// Data sets that had a template and yielded no record.
    pub sets_without_record: u64,
    /// Malformed sets in messages of which others were read.
    pub sets_malformed: u64,
    /// Bytes after the last record of a set that are no padding, and after the last set.
    pub leftover_bytes: u64,
    /// Data sets read by a template that came from another port of the same address.
    pub templates_borrowed: u64,
    /// Data records too short to be a flow.
    pub records_skipped: u64,
    /// Templates that were new or different.
    pub templates_learned: u64,
    /// Templates that were refused.
    pub templates_refused: u64,
    /// Options data records.
    pub options_records: u64,
    /// Of them, names of interfaces that were not believed.
    pub options_refused: u64,
    /// Datagrams with the mark of a node that they do not come from.
    pub unproven_marks: u64,
}

/// Datagrams that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedAnswer {
    /// As in `weir_collector_datagrams_rejected_total`.
    pub reason: String,
    /// How many.
    pub datagrams: u64,
}

/// Why a datagram was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastRejectAnswer {
    /// In words.
    pub reason: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub time: Option<Timestamp>,
}

impl ExportersAnswer {
    /// All that is known now.
    pub fn of(registry: &ExporterRegistry) -> Self {
        let (all, forgotten) = registry.all();
        let lacks_role = |counts: &ExporterCounts| counts.is_foreign && counts.role.is_none();
        let without_role = all.iter().filter(|(_, counts)| lacks_role(counts)).count();
        Self {
            exporters: all.into_iter().map(ExporterCountsAnswer::from).collect(),
            forgotten,
            without_role: without_role as u64,
        }
    }
}

impl From<(IpAddr, ExporterCounts)> for ExporterCountsAnswer {
    fn from((address, counts): (IpAddr, ExporterCounts)) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let speaks = |format: &&Protocol| counts.formats & 1 << (**format as u8) != 0;
        let formats = Protocol::ALL.iter().filter(speaks);
        let rejected = counts.rejected.iter().map(|(reason, datagrams)| RejectedAnswer {
            reason: (*reason).to_owned(),
            datagrams: *datagrams,
        });
        let last_reject = counts.last_reject.as_ref().map(|last| LastRejectAnswer {
            reason: last.reason.clone(),
            time: moment(last.at_ms),
        });
        Self {
            address,
            node: text(counts.node.as_deref()),
            standing: standing(counts.standing).to_owned(),
            claims: text(counts.claims.as_deref()),
            role: text(counts.role.map(|role| role.as_str())),
            ovs: counts.is_ovs,
            formats: formats.map(|format| format.as_str().to_owned()).collect(),
            first_seen: moment(counts.first_ms),
            last_seen: moment(counts.last_ms),
            datagrams: counts.datagrams,
            bytes: counts.bytes,
            records: counts.records,
            unscaled_records: counts.unscaled_records,
            lost: counts.lost,
            rejected: rejected.collect(),
            last_reject,
            sets_held: counts.sets_held,
            sets_dropped: counts.sets_dropped,
            sets_skipped: counts.sets_skipped,
            sets_without_record: counts.sets_without_record,
            sets_malformed: counts.sets_malformed,
            leftover_bytes: counts.leftover_bytes,
            templates_borrowed: counts.templates_borrowed,
            records_skipped: counts.records_skipped,
            templates_learned: counts.templates_learned,
            templates_refused: counts.templates_refused,
            options_records: counts.options_records,
            options_refused: counts.options_refused,
            unproven_marks: counts.unproven_marks,
        }
    }
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Node => "node",
        Standing::Relay => "relay",
        Standing::Stranger => "stranger",
    }
}

fn moment(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms != 0)?;
    Timestamp::from_millisecond(ms).ok()
}
