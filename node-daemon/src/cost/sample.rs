//! What OVS's counters stood at. Each is its own: what one version or configuration does
//! not tell is `None`.

use std::time::Instant;

/// Counters at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When they were read.
    pub at: Instant,
    /// IPFIX datagrams that left.
    pub datagrams: Option<u64>,
    /// IPFIX datagrams that could not be sent.
    pub send_errors: Option<u64>,
    /// Packets that never reached ovs-vswitchd.
    pub lost: Option<u64>,
    /// Processor time of ovs-vswitchd, in milliseconds.
    pub cpu_ms: Option<u64>,
}
