//! The words that tell, as values of labels, what became of datagrams, sets, templates
//! and records: fixed sets, so that no sender can make series grow.

use wire::Reject;

/// Node of what is of no known exporter, or of one too many; a reason that is none of these.
pub(super) const OTHER: &str = "other";

/// Reason of a datagram that was refused for who sent it.
pub(super) const STRANGER: &str = "stranger";

/// Reason of a datagram for which there was no time left.
pub(super) const STOPPING: &str = "stopping";

/// Reason of a datagram that met a fault of the collector's.
pub(super) const PANIC: &str = "panic";

/// Reason of a datagram whose exporter has the role `ignore`.
pub(super) const IGNORED: &str = "ignored";

pub(super) const TEMPLATE_EVENTS: [&str; 8] = [
    "learned",
    "refreshed",
    "refused",
    "assumed",
    "withdrawn",
    "recalled",
    "borrowed",
    "withdrawal_ignored",
];

pub(super) const SET_EVENTS: [&str; 6] = [
    "held",
    "dropped",
    "expired",
    "skipped",
    "malformed",
    "without_record",
];

pub(super) const IGNORED_KINDS: [&str; 4] =
    ["options_record", "counter_sample", "other_sample", "short_record"];

/// Records that are more than the fields of one flow.
pub(super) const RECORD_KINDS: [&str; 3] = ["biflow", "reverse", "list"];

/// Why a record that was decoded was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The queue to the printer was full.
    QueueFull,
    /// The sink could not write.
    SinkFailed,
    /// Records came faster than the store could seal them.
    StoreBehind,
    /// The store's disk is full.
    StoreFull,
    /// The store's disk fails otherwise.
    StoreFailed,
    /// The record met a fault of the collector's.
    Panic,
}

impl Drop {
    pub(super) const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::SinkFailed,
        Self::StoreBehind,
        Self::StoreFull,
        Self::StoreFailed,
        Self::Panic,
    ];

    /// Those of a store that takes no more.
    pub(super) const STORE: [Self; 3] = [Self::StoreBehind, Self::StoreFull, Self::StoreFailed];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SinkFailed => "sink_failed",
            Self::StoreBehind => "store_behind",
            Self::StoreFull => "store_full",
            Self::StoreFailed => "store_failed",
            Self::Panic => "panic",
        }
    }
}

/// Every reason of a datagram that was refused.
pub(super) fn reject_reasons() -> Vec<&'static str> {
    Reject::KINDS
        .into_iter()
        .chain([STRANGER, IGNORED, STOPPING, PANIC])
        .collect()
}

/// The words of sflow_drops.txt for the codes that mean something here; those below
/// 256 are ICMP's reasons why a destination is unreachable.
pub(super) fn discard_reason(code: u32) -> &'static str {
    match code {
        0..=255 => "unreachable",
        256 => "unknown",
        257 => "ttl_exceeded",
        258 => "acl",
        259 => "no_buffer_space",
        260 => "red",
        261 => "traffic_shaping",
        262 => "too_big",
        _ => OTHER,
    }
}
