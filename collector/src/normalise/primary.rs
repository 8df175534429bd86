//! The one observation of a packet that sums count. A packet is seen by several
//! formats, where it comes in and where it goes out, on two nodes, on two bridges, and
//! under several addresses: a Service's before the switch has chosen a backend, a
//! router's after the packet left its pod. The rule needs no memory, only what each
//! node exports; `topologies` is its table of cases.
//!
//! *Where does this packet count?*
//!
//! | sent by | where exits are shown | elsewhere |
//! |---|---|---|
//! | a pod on an exporting node | where it enters that node | the same |
//! | a node, to another node | where it leaves its node | where it enters its node |
//! | anybody else, to a pod or node that exports | where it leaves that node | where it first is seen; where it comes out of a tunnel if it comes from outside and that is not exported |
//! | anybody else, to anybody else | where it enters `br-int`, or, if it came from outside or by the node's own port, where it leaves | where it first is seen |
//!
//! Exits are shown where all that is exported anywhere has IPFIX with egress records
//! and nothing more exact. Then what comes from outside counts where it goes to a pod,
//! under the pod's name: on its way in it may go to a Service, a node port, the address
//! that a pod's packets leave with, known or not. Otherwise nothing shows what became of
//! it, and it counts under the address that it came for.
//!
//! What a pod sends under another address later (masqueraded, or as the answer of a
//! Service) has counted: it comes out of the patch port of an outer bridge, or is from
//! a node to a node, or leaves with a Service's address. Not so the last where it came
//! by a patch port or the node's own port: then no pod sent it. What leaves to a pod by
//! the port that it came in by is that pod's to itself.
//!
//! *Which record is that?* The one of the most exact format that the bridge exports and
//! that sees the packet there: the lowest sampling, then IPFIX, NetFlow, sFlow. NetFlow
//! sees nothing but IPv4. NetFlow and sFlow have no record of where a packet leaves, and
//! no format has one of what enters through a patch port: the egress record, which names
//! no input then, stands for it if the other bridge has none.
//!
//! Packets without an address that is somebody's (ARP, and IPv6 from a link-local or
//! no address) have a known sender only where they come in, by the interface. They
//! count there, and not again where they leave another node. A pod that is one of
//! several (its address is ambiguous) is on a node that is not known: its packets count
//! where they are first seen.
//!
//! What the rule cannot do: packets from outside that the destination's node drops
//! have no IPFIX egress record, so with IPFIX no primary one; a flooded packet
//! leaves through several ports and counts at each; an exporter that is not known
//! counts in each of its formats; what has no address of somebody's and comes from a
//! node that does not export counts nowhere; where nodes export different formats or
//! bridges, what is translated on its way between two of them may count twice; so may
//! what a pod sends to a node's router that puts another source to it before a pod gets
//! it, and what an unknown workload sends.

use std::net::IpAddr;

use weir_api::interface::PRIMARY;
use weir_api::profile::DEFAULT_BRIDGE;
use wire::{Direction, Protocol};

use super::role::Metering;
use weir_flow::{Entered, FlowRecord, IdentifiedBy, Left};
use weir_flow::{Identity, Kind};
use weir_identity::exporters::{Coverage, Exporter, Exporters, Formats, NodeExports};

const UDP: u8 = 17;
/// Encapsulating Security Payload (RFC 4303): a tunnel whose content is not to be seen.
const ESP: u8 = 50;
/// UDP ports of Geneve and VXLAN (RFC 8926, RFC 7348).
const TUNNELS: [u16; 2] = [6081, 4789];
/// Beginnings of the names of a node's own ports: OVN-Kubernetes'
/// (`types.K8sMgmtIntfNamePrefix`), Antrea's (`hostGateway`), Kube-OVN's.
const NODE_PORTS: [&str; 3] = ["ovn-k8s-mp", "antrea-gw", "ovn0"];

/// Whether a record that has its names is the one to count.
pub fn is_primary(record: &FlowRecord, at: &VantagePoint<'_>) -> bool {
    let observation = Observation::new(record, *at);
    if observation.is_outer_packet() || observation.has_counted() {
        return false;
    }
    match observation.place() {
        None => false,
        Some(CountingPoint::Entry) => observation.is_entry(),
        Some(CountingPoint::Arrival) => observation.is_arrival(),
        Some(CountingPoint::Exit) => observation.is_exit(),
    }
}

/// Whether a node of the cluster counts what an exporter that is none of them sees here.
pub(super) fn counts_on_a_node(record: &FlowRecord, at: &VantagePoint<'_>) -> bool {
    let place = Observation::new(record, at.of_nobody()).place();
    !matches!(place, Some(CountingPoint::Entry | CountingPoint::Arrival))
}

/// Where the records of a datagram were made.
#[derive(Debug, Clone, Copy)]
pub struct VantagePoint<'a> {
    exporter: Option<&'a Exporter>,
    exporters: &'a Exporters,
    /// What the exporter's node exports; `None`: it is not known, or exports nothing.
    node: Option<&'a NodeExports>,
    /// Not on the integration bridge.
    is_outer: bool,
    /// How it meters, if it is not Open vSwitch.
    pub(super) metering: Metering,
}

impl<'a> VantagePoint<'a> {
    /// At this exporter, if it is known, among all that are.
    pub fn new(exporter: Option<&'a Exporter>, exporters: &'a Exporters, metering: Metering) -> Self {
        let node = exporter.and_then(|e| exporters.node(&e.node));
        Self {
            exporter,
            exporters,
            node,
            is_outer: node.is_some() && exporter.is_some_and(|e| &*e.bridge != DEFAULT_BRIDGE),
            metering,
        }
    }

    /// Who sent them, if known.
    pub fn exporter(&self) -> Option<&'a Exporter> {
        self.exporter
    }

    /// Whether the switch of the exporter's node counts the same packets.
    pub(super) fn is_on_exporting_node(&self) -> bool {
        self.node.is_some_and(|node| node.bridges > 0)
    }

    /// The same, of somebody who is not known.
    fn of_nobody(&self) -> Self {
        Self::new(None, self.exporters, self.metering)
    }
}

/// Which observation on the exporter's node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CountingPoint {
    /// Where the packet enters the node, not out of a tunnel.
    Entry,
    /// Where it enters the node, out of a tunnel too.
    Arrival,
    /// Where it leaves the node.
    Exit,
}

/// A record, and where it was made.
struct Observation<'a> {
    record: &'a FlowRecord,
    at: VantagePoint<'a>,
    ipv4: bool,
    coverage: Coverage,
}

impl<'a> Observation<'a> {
    fn new(record: &'a FlowRecord, at: VantagePoint<'a>) -> Self {
        let ipv4 = record.src.addr.is_some_and(|address| address.is_ipv4());
        Self {
            record,
            at,
            ipv4,
            coverage: at.exporters.coverage(ipv4),
        }
    }

    fn place(&self) -> Option<CountingPoint> {
        let (src, dst) = (&self.record.src.identity, &self.record.dst.identity);
        if self.is_nobodys() {
            return Some(CountingPoint::Entry);
        }
        if self.is_answer_of_pod() && self.coverage.entries {
            return None;
        }
        if src.kind == Kind::Pod && src.node_name.is_empty() {
            return self.is_where_pods_enter().then_some(CountingPoint::Entry);
        }
        if src.kind == Kind::Pod && self.sees_pods_of(src) {
            return (self.is_here(src) && self.is_where_pods_enter()).then_some(CountingPoint::Entry);
        }
        if self.coverage.exits {
            self.place_by_exits(src, dst)
        } else {
            self.place_by_entries(src, dst)
        }
    }

    fn place_by_exits(&self, src: &Identity, dst: &Identity) -> Option<CountingPoint> {
        if self.is_between_nodes(src, dst) {
            return self.is_here(src).then_some(CountingPoint::Exit);
        }
        if self.receives(dst) {
            return self.is_here(dst).then_some(CountingPoint::Exit);
        }
        let by_patch = self.is_egress() && self.record.path.entered == Entered::Patch;
        if self.at.is_outer || by_patch || self.came_by_node_port() {
            return Some(CountingPoint::Exit);
        }
        (dst.kind != Kind::Service || src.kind == Kind::Pod).then(|| self.first_seen(src))
    }

    fn place_by_entries(&self, src: &Identity, dst: &Identity) -> Option<CountingPoint> {
        let own = self
            .exports_at(src)
            .filter(|formats| formats.see_entries(self.ipv4));
        if src.kind == Kind::Node && own.is_some() {
            // By whichever bridge: it may send to pods under any of its addresses.
            return self.is_here(src).then_some(CountingPoint::Entry);
        }
        let came_unseen = !self.coverage.outer_entries || self.at.node.is_none();
        if came_unseen && self.receives(dst) {
            return self.is_here(dst).then_some(CountingPoint::Arrival);
        }
        Some(self.first_seen(src))
    }

    /// A pod on a node that does not see it enter is first seen out of a tunnel.
    fn first_seen(&self, src: &Identity) -> CountingPoint {
        if src.kind == Kind::Pod {
            CountingPoint::Arrival
        } else {
            CountingPoint::Entry
        }
    }

    fn is_here(&self, who: &Identity) -> bool {
        who.node_name == self.record.exporter_node
    }

    fn node_of(&self, who: &Identity) -> Option<&'a NodeExports> {
        if self.is_here(who) {
            self.at.node
        } else {
            self.at.exporters.node(&who.node_name)
        }
    }

    fn sees_pods_of(&self, pod: &Identity) -> bool {
        let node = self.node_of(pod);
        node.is_some_and(|node| is_idle(node) || node.at_pods(self.ipv4).see_entries(self.ipv4))
    }

    /// What is exported on the bridge where a pod or node is.
    fn exports_at(&self, who: &Identity) -> Option<&'a Formats> {
        let node = self.node_of(who)?;
        match who.kind {
            Kind::Pod => Some(node.at_pods(self.ipv4)),
            Kind::Node if is_in_pods_network(who) => Some(&node.inner),
            Kind::Node => Some(&node.outer),
            Kind::Service | Kind::Unknown => None,
        }
    }

    /// Whether a packet to it is seen on its node.
    fn receives(&self, dst: &Identity) -> bool {
        let idle = matches!(dst.kind, Kind::Pod | Kind::Node) && self.node_of(dst).is_some_and(is_idle);
        idle || self.exports_at(dst).is_some_and(|formats| formats.see(self.ipv4))
    }

    /// Whether a node sent it to another: what reaches that one under a node's address
    /// may be a pod's.
    fn is_between_nodes(&self, src: &Identity, dst: &Identity) -> bool {
        let nodes = (src.kind, dst.kind) == (Kind::Node, Kind::Node) && src.node_name != dst.node_name;
        nodes && !is_in_pods_network(src) && self.receives(src)
    }

    /// Whether pods enter at this bridge. One that is known by its port does anywhere.
    fn is_where_pods_enter(&self) -> bool {
        let enters =
            !self.is_egress() && (!self.at.is_outer || self.record.src.found == IdentifiedBy::Interface);
        enters || self.at.node.is_none_or(|node| !node.inner.see(self.ipv4))
    }

    fn is_egress(&self) -> bool {
        self.record.direction == Some(Direction::Egress)
    }

    fn is_entry(&self) -> bool {
        self.record.path.entered != Entered::Tunnel && self.is_arrival()
    }

    /// Whether the record is the first of the packet on this node.
    fn is_arrival(&self) -> bool {
        if !self.is_egress() {
            return self.is_best();
        }
        let unseen = |formats: Option<&Formats>| formats.is_some_and(|f| !f.see_entries(self.ipv4));
        if self.record.path.entered == Entered::Patch {
            return unseen(self.other_bridge());
        }
        let idle = self.at.node.is_some_and(is_idle);
        let unseen = unseen(self.at.exporter.map(|e| &e.formats)) && !idle;
        self.at.node.is_some() && unseen && self.record.path.left != Left::Tunnel
    }

    /// Whether the record is the last of the packet on this node. Where tunnel ports are
    /// known, what came by one counts there: it may leave with a Service's address.
    fn is_exit(&self) -> bool {
        if self.record.format != Protocol::Ipfix {
            return false;
        }
        let exporter = self.at.exporter;
        let by_tunnel = self.record.path.entered == Entered::Tunnel
            && exporter.is_some_and(|e| !e.tunnel_names.is_empty() && e.formats.see_entries(self.ipv4));
        if by_tunnel {
            !self.is_egress()
        } else {
            self.is_egress()
        }
    }

    /// What is exported at the other end of the patch port.
    fn other_bridge(&self) -> Option<&'a Formats> {
        self.at.node.map(|node| {
            if self.at.is_outer {
                &node.inner
            } else {
                &node.outer
            }
        })
    }

    /// Whether no other format of the bridge sees what enters more exactly.
    fn is_best(&self) -> bool {
        let Some(formats) = self
            .at
            .exporter
            .filter(|_| self.at.node.is_some())
            .map(|e| &e.formats)
        else {
            return true;
        };
        let (format, ipfix) = (self.record.format, formats.ipfix.is_some_and(|i| i.ingress));
        let own = formats.sampling(format, self.ipv4, ipfix);
        let own = own.or(self.record.sampling).unwrap_or(1);
        !formats.see_more_exactly((own, format), self.ipv4, ipfix)
    }

    /// Whether the packets carry others, which the integration bridge counts.
    fn is_outer_packet(&self) -> bool {
        let (record, inner) = (self.record, self.at.node.map(|node| node.inner));
        let [src, dst] = [&record.src, &record.dst].map(|side| side.identity.kind);
        let known = |port| {
            self.at
                .exporter
                .is_some_and(|e| e.tunnel_udp_ports.contains(&port))
        };
        let to_tunnel = |port: u16| TUNNELS.contains(&port) || known(port);
        let tunnel = match record.proto {
            Some(UDP) => record.dst.port.is_some_and(to_tunnel),
            proto => proto == Some(ESP),
        };
        tunnel
            && src != Kind::Pod
            && dst != Kind::Pod
            && self.at.is_outer
            && inner != Some(Formats::default())
    }

    /// Whether the record is of a packet that counted, under whatever address, when it
    /// entered the integration bridge, here or at another node.
    fn has_counted(&self) -> bool {
        let record = self.record;
        if !self.is_egress() {
            return false;
        }
        let entered_inside = self.at.is_outer && record.path.entered == Entered::Patch;
        if entered_inside && self.at.node.is_some_and(|node| node.inner.see_entries(self.ipv4)) {
            return true;
        }
        let dst = &record.dst.identity;
        self.goes_back() && dst.kind == Kind::Pod && self.sees_pods_of(dst)
    }

    /// Whether it leaves by the port that it came in by.
    fn goes_back(&self) -> bool {
        let (src, dst) = (&self.record.src, &self.record.dst);
        let named = !src.if_name.is_empty() && src.if_name == dst.if_name;
        named || (src.if_index.is_some() && src.if_index == dst.if_index)
    }

    /// Whether the source's address tells nobody apart: there is none, or one that is
    /// known on its link alone (RFC 4291 §2.5.2, §2.5.6).
    fn is_nobodys(&self) -> bool {
        let anonymous = match self.record.src.addr {
            None => true,
            Some(IpAddr::V4(address)) => address.is_unspecified(),
            Some(IpAddr::V6(address)) => address.is_unspecified() || address.is_unicast_link_local(),
        };
        let seen = self
            .at
            .node
            .is_some_and(|node| is_idle(node) || node.formats.see_entries(self.ipv4));
        anonymous && seen && self.record.src.identity.kind != Kind::Pod
    }

    /// A Service answers under its own address, or by its port on a node.
    fn is_answer_of_pod(&self) -> bool {
        let src = &self.record.src.identity;
        let by_node = src.kind == Kind::Node && !src.service_name.is_empty() && !self.at.is_outer;
        (src.kind == Kind::Service || by_node)
            && self.is_egress()
            && self.record.path.entered != Entered::Patch
            && !self.came_by_node_port()
    }

    fn came_by_node_port(&self) -> bool {
        let port = self.record.src.if_name.as_str();
        NODE_PORTS.iter().any(|name| port.starts_with(name))
    }
}

/// Whether an address of a node is the one of its own port on the integration bridge.
fn is_in_pods_network(node: &Identity) -> bool {
    &*node.network == PRIMARY
}

/// Nodes without formats are there only while nobody exports anything.
fn is_idle(node: &NodeExports) -> bool {
    node.bridges == 0
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod topologies;
