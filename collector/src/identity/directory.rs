//! What the workers look names up in: who had an address when, which Service has
//! an address and port. Reading only; who writes it is `index` or `switch`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use weir_api::interface::PRIMARY;
use weir_flow::{Identity, Kind};

use super::shards::Shards;
use super::time::{Held, Span, Timeline};

/// How far the clocks of exporters, nodes and the collector may be apart before a
/// flow is credited to who had the address shortly before or after. Kubernetes
/// tells the times of pods in whole seconds.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// An address and port that a Service has or stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// IANA protocol; 0: all, with port 0.
    pub proto: u8,
    /// The port; 0: all.
    pub port: u16,
}

/// A port that a Service has on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePort {
    /// IANA protocol.
    pub proto: u8,
    /// The port.
    pub port: u16,
}

/// Who has which address, interface and Ethernet address.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By address.
    pub addresses: Shards<IpAddr, Timeline>,
    /// The Services that have, or stand before, an address and port.
    pub endpoints: Shards<Endpoint, Timeline>,
    /// Some endpoints have no ports: all of theirs count.
    pub portless: bool,
    /// The Services by their ports on every node.
    pub node_ports: Shards<NodePort, Timeline>,
    /// Pods by `namespace/name`.
    pub pods: Shards<Arc<str>, Timeline>,
    /// By what a node's switch knows.
    pub nodes: HashMap<Arc<str>, Ports, RandomState>,
}

/// Who stands behind the ports of one node's switch.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// By interface name.
    pub interfaces: HashMap<Box<str>, Arc<Identity>, RandomState>,
    /// By Ethernet address.
    pub macs: HashMap<[u8; 6], Arc<Identity>, RandomState>,
}

/// Who had something during a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Holders<'a> {
    /// Nobody that is known.
    Nobody,
    /// One alone.
    One(&'a Arc<Identity>),
    /// Several, at the same time or one after the other.
    Several(Vec<&'a Arc<Identity>>),
}

impl Directory {
    /// Whether a node had the address at this time (ns since the epoch UTC), and nobody
    /// else.
    pub fn has_node(&self, address: IpAddr, at_ns: u64) -> bool {
        let at = Span {
            from: at_ns,
            to: at_ns,
        };
        matches!(self.holders(address, at), Holders::One(who) if who.kind == Kind::Node)
    }

    /// Who had an address during a flow.
    pub fn holders(&self, address: IpAddr, flow: Span) -> Holders<'_> {
        let held = self.addresses.get(&address).map_or(&[][..], |held| held);
        let flow = flow.widened(CLOCK_TOLERANCE);
        match held {
            [] => Holders::Nobody,
            [only] if only.span.meets(flow) => Holders::One(&only.who),
            [_] => Holders::Nobody,
            several => holders(several, flow),
        }
    }

    /// The Service that alone has an address and port, or stands before them,
    /// during a flow.
    pub fn service(&self, endpoint: Endpoint, flow: Span) -> Option<&Arc<Identity>> {
        let find = |endpoint: Endpoint| self.endpoints.get(&endpoint);
        let timeline = find(endpoint).or_else(|| {
            let all = |proto| Endpoint {
                proto,
                port: 0,
                ..endpoint
            };
            self.portless
                .then(|| find(all(endpoint.proto)).or_else(|| find(all(0))))?
        });
        only(timeline?, flow)
    }

    /// The Service that alone has this port on every node during a flow.
    pub fn node_port(&self, port: NodePort, flow: Span) -> Option<&Arc<Identity>> {
        only(self.node_ports.get(&port)?, flow)
    }

    /// The pod that alone bears this `namespace/name` during a flow.
    pub fn pod(&self, name: &str, flow: Span) -> Option<&Arc<Identity>> {
        only(self.pods.get(name)?, flow)
    }
}

fn only(timeline: &[Held], flow: Span) -> Option<&Arc<Identity>> {
    match distinct(timeline, flow.widened(CLOCK_TOLERANCE))[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// In the cluster's own network a pod has an address before a node, a node before
/// a Service. An address of a secondary network has nothing to do with those.
fn holders(held: &[Held], flow: Span) -> Holders<'_> {
    let mut found = distinct(held, flow);
    if !found.iter().any(|who| is_secondary(who)) {
        let best = found.iter().map(|who| rank(who.kind)).min();
        found.retain(|who| Some(rank(who.kind)) == best);
    }
    match found[..] {
        [] => Holders::Nobody,
        [only] => Holders::One(only),
        _ => Holders::Several(found),
    }
}

fn distinct(held: &[Held], flow: Span) -> Vec<&Arc<Identity>> {
    let mut found: Vec<&Arc<Identity>> = Vec::new();
    for held in held.iter().filter(|held| held.span.meets(flow)) {
        if !found.contains(&&held.who) {
            found.push(&held.who);
        }
    }
    found
}

fn is_secondary(who: &Identity) -> bool {
    who.kind == Kind::Pod && !matches!(&*who.network, "" | PRIMARY)
}

const fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Pod => 0,
        Kind::Node => 1,
        Kind::Service => 2,
        Kind::Unknown => 3,
    }
}

#[cfg(test)]
mod tests;
