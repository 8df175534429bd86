//! What `exporters` answers: what each exporter has sent, and what became of it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_identity::exporters::Standing;
use wire::Protocol;

use crate::registry::{ExporterCounters, ExporterCounts, ExporterRegistry};

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

/// What one exporter has sent.
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
    /// Datagrams that were refused.
    pub rejected: Vec<RejectedAnswer>,
    /// The last refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_reject: Option<LastRejectAnswer>,
    /// How much of each thing came.
    #[serde(flatten)]
    pub counters: ExporterCounters,
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
            rejected: rejected.collect(),
            last_reject,
            counters: counts.counters,
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

/// A time in ms since the epoch UTC; 0: none.
pub(super) fn moment(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms != 0)?;
    Timestamp::from_millisecond(ms).ok()
}
