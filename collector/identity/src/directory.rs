//! What the workers look names up in: who had an address when, which Service has
//! an address and port. Reading only; who writes it is `index` or `switch`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use weir_api::interface::PRIMARY;
use weir_flow::{Identity, Kind};

use super::mac::Mac;
use super::services::{Endpoint, NodePort, Services};
use super::shards::Shards;
use super::time::{Held, Span, Timeline, steady};

/// How far the clocks of exporters, nodes and the collector may be apart before a
/// flow is credited to who had the address shortly before or after. Kubernetes
/// tells the times of pods in whole seconds.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// Who has which address, interface and Ethernet address.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By address.
    pub addresses: Shards<IpAddr, Timeline>,
    /// The Services by their addresses and ports.
    pub services: Services,
    /// Pods by `namespace/name`.
    pub pods: Shards<Arc<str>, Timeline>,
    /// By Ethernet address, in the whole cluster.
    pub macs: Shards<Mac, Timeline>,
    /// By what a node's switch knows.
    pub nodes: HashMap<Arc<str>, Ports, RandomState>,
}

/// Who stands behind the ports of one node's switch.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// By interface name.
    pub interfaces: HashMap<Box<str>, Arc<Identity>, RandomState>,
    /// By Ethernet address.
    pub macs: HashMap<Mac, Arc<Identity>, RandomState>,
}

/// Who had something during a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Owners<'a> {
    /// Nobody that is known.
    Nobody,
    /// One alone.
    One(&'a Arc<Identity>),
    /// Several, at the same time or one after the other.
    Several(Vec<&'a Arc<Identity>>),
}

impl Directory {
    /// Who had what during a flow.
    pub fn during(&self, flow: Span) -> Lookup<'_> {
        Lookup {
            directory: self,
            flow,
            steady: Some(Span::ALWAYS),
        }
    }

    /// Who had an address during a flow.
    pub fn owners(&self, address: IpAddr, flow: Span) -> Owners<'_> {
        self.during(flow).owners(address)
    }

    /// The Service that alone has an address and port, or stands before them, during a
    /// flow.
    pub fn service(&self, endpoint: Endpoint, flow: Span) -> Option<&Arc<Identity>> {
        self.during(flow).service(endpoint)
    }

    /// The Service that alone has this port on every node during a flow.
    pub fn node_port(&self, port: NodePort, flow: Span) -> Option<&Arc<Identity>> {
        self.during(flow).node_port(port)
    }

    /// Who alone has an Ethernet address during a flow.
    pub fn mac(&self, mac: Mac, flow: Span) -> Option<&Arc<Identity>> {
        self.during(flow).mac(mac)
    }

    /// The pod that alone bears this `namespace/name` during a flow.
    pub fn pod(&self, name: &str, flow: Span) -> Option<&Arc<Identity>> {
        self.during(flow).pod(name)
    }
}

/// Looks up what is to be known of one flow, and keeps for which others it is true, too.
#[derive(Debug)]
pub struct Lookup<'a> {
    directory: &'a Directory,
    flow: Span,
    steady: Option<Span>,
}

impl<'a> Lookup<'a> {
    /// The span of which each flow would have been given the same answers as this one
    /// until now. `None`: no other flow.
    pub fn steady(&self) -> Option<Span> {
        self.steady
    }

    /// The Services, without a time.
    pub fn services(&self) -> &'a Services {
        &self.directory.services
    }

    /// Who had an address.
    pub fn owners(&mut self, address: IpAddr) -> Owners<'a> {
        match self.directory.addresses.get(&address) {
            Some(timeline) => self.owners_of(timeline),
            None => Owners::Nobody,
        }
    }

    /// The Service that alone has an address and port, or stands before them.
    pub fn service(&mut self, endpoint: Endpoint) -> Option<&'a Arc<Identity>> {
        self.only(self.directory.services.of_endpoint(endpoint)?)
    }

    /// The Service that alone has this port on every node.
    pub fn node_port(&mut self, port: NodePort) -> Option<&'a Arc<Identity>> {
        self.only(self.directory.services.of_node_port(port)?)
    }

    /// Who alone has an Ethernet address.
    pub fn mac(&mut self, mac: Mac) -> Option<&'a Arc<Identity>> {
        self.only(self.directory.macs.get(&mac)?)
    }

    /// The pod that alone bears this `namespace/name`.
    pub fn pod(&mut self, name: &str) -> Option<&'a Arc<Identity>> {
        self.only(self.directory.pods.get(name)?)
    }

    fn owners_of(&mut self, held: &'a [Held]) -> Owners<'a> {
        let flow = self.ask(held);
        match held {
            [only] if only.span.meets(flow) => Owners::One(&only.who),
            [] | [_] => Owners::Nobody,
            several => owners(several, flow),
        }
    }

    fn only(&mut self, held: &'a [Held]) -> Option<&'a Arc<Identity>> {
        let flow = self.ask(held);
        match held {
            [only] => only.span.meets(flow).then_some(&only.who),
            several => match distinct(several, flow)[..] {
                [only] => Some(only),
                _ => None,
            },
        }
    }

    /// The flow as holdings are to be compared with it.
    fn ask(&mut self, held: &[Held]) -> Span {
        let here = steady(held.iter().map(|held| held.span), self.flow, CLOCK_TOLERANCE);
        self.steady = self.steady.zip(here).map(|(before, here)| before.common(here));
        self.flow.widened(CLOCK_TOLERANCE)
    }
}

/// In the cluster's own network a pod has an address before a node, a node before
/// a Service. An address of a secondary network has nothing to do with those.
fn owners(held: &[Held], flow: Span) -> Owners<'_> {
    let mut found = distinct(held, flow);
    if !found.iter().any(|who| is_secondary(who)) {
        let best = found.iter().map(|who| rank(who.kind)).min();
        found.retain(|who| Some(rank(who.kind)) == best);
    }
    match found[..] {
        [] => Owners::Nobody,
        [only] => Owners::One(only),
        _ => Owners::Several(found),
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
