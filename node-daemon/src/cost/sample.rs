//! What OVS's counters stood at. Each is its own: what one version or configuration does
//! not tell is `None`.

use std::collections::BTreeMap;
use std::time::Instant;

use super::IpfixCounters;

/// Counters at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When they were read.
    pub at: Instant,
    /// IPFIX of each bridge that exports it; `None` for one that did not answer.
    pub ipfix: BTreeMap<String, Option<IpfixCounters>>,
    /// Packets that never reached ovs-vswitchd.
    pub lost: Option<u64>,
    /// Processor time of ovs-vswitchd.
    pub processor: Option<ProcessorTime>,
}

/// As ovs-vswitchd writes it down itself, every 5 s, with the time that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorTime {
    /// Milliseconds of a processor.
    pub used_ms: u64,
    /// Milliseconds since ovs-vswitchd began. The same again: nothing new was written.
    pub uptime_ms: u64,
}
