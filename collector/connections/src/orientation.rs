//! Who began a connection, by one observation.

use crate::icmp;
use crate::observation::{Client, Evidence, Observation};

/// Whether the source began the connection, and what that rests on.
pub(crate) fn who_began(observation: &Observation) -> (bool, Evidence) {
    let mut best = (true, Evidence::FirstSeen);
    let mut consider = |source: bool, evidence: Evidence| {
        if evidence > best.1 {
            best = (source, evidence);
        }
    };
    if let Some((client, evidence)) = observation.client {
        consider(client == Client::Src, evidence);
    }
    if let Some(flags) = observation.tcp_flags
        && (flags.asks() || flags.agrees())
    {
        consider(flags.asks(), Evidence::Syn);
    }
    if let Some(icmp) = observation.icmp
        && let Some(asks) = icmp::asks(observation.proto, icmp)
    {
        consider(asks, Evidence::Syn);
    }
    if observation.conntrack.is_some() {
        consider(true, Evidence::Conntrack);
    }
    best
}
