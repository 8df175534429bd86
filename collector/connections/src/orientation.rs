//! Who began a connection.

use crate::connection::Connection;
use crate::icmp;
use crate::observation::{Client, Evidence, Observation};

/// Whether the source began the connection, and what that rests on.
fn who_began(observation: &Observation) -> (bool, Evidence) {
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

impl Connection {
    /// By the best that is known, as long as nothing was put out and nothing rests on it.
    /// Says whether what it rests on changed.
    pub fn orient(&mut self, observation: &Observation, sender_high: bool, is_first: bool) -> bool {
        let (client_sends, evidence) = who_began(observation);
        let better = evidence > self.evidence && self.seq == 0 && self.service().is_none();
        if is_first || better {
            self.client_high = if client_sends { sender_high } else { !sender_high };
            self.evidence = evidence;
        }
        better
    }
}
