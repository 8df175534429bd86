//! The one observation of a packet that sums count. A packet is seen by several
//! formats, where it comes in and where it goes out, on two nodes, on two bridges;
//! the rule needs no memory, only what each node is configured to export.
//!
//! 1. *Where.* A packet of a pod on an exporting node counts where it enters that
//!    node. Any other packet counts where it leaves the node of its destination,
//!    if that exports. What is left counts where it is first seen: not where it
//!    comes out of a tunnel.
//! 2. *In which format.* The most exact one that sees the packet there: the lowest
//!    sampling, then IPFIX, NetFlow, sFlow. NetFlow sees no IPv6 and nothing but
//!    IP; NetFlow and sFlow have no record of where a packet leaves, so that the
//!    one of where it came in stands for it, and see nothing that comes through a
//!    patch port. A record of IPFIX says itself when that was so.
//!
//! A node's own address counts as a destination but not as a pod: packets of the
//! node enter at `br-ex` or through the node's own port on `br-int`, and on which
//! bridge they are seen depends on which is exported.
//!
//! Packets without an address that is somebody's (ARP, and IPv6 from a link-local or
//! no address) have a known sender only where they come in, by the interface. They
//! count there, and not again where they leave another node.
//!
//! What leaves with a Service's address as its source is an answer, on which the
//! bridge put that address back: it counted where the pod behind the Service sent
//! it. Not so when it came by a patch port or the node's own port: then no pod did.
//!
//! A pod that is one of several (its address is ambiguous) is on a node that is not
//! known: its packets count where they are first seen.
//!
//! What the rule cannot do: packets from outside that the destination's node drops
//! have no IPFIX egress record, so with IPFIX no primary one; a flooded packet
//! leaves through several ports and counts at each; an exporter that is not known
//! counts in each of its formats; what has no address of somebody's and comes from a
//! node that does not export counts nowhere; an answer to a call of a node port
//! counts as the pod's and as the node's.

use std::net::IpAddr;

use weir_api::profile::DEFAULT_BRIDGE;
use wire::{Direction, Protocol};

use weir_flow::{Entered, FlowRecord};
use weir_flow::{Identity, Kind};
use weir_identity::exporters::{Exporter, Exporters, NodeExports};

const UDP: u8 = 17;
/// UDP ports of Geneve and VXLAN (RFC 8926, RFC 7348).
const TUNNELS: [u16; 2] = [6081, 4789];
/// Beginnings of the names of a node's own ports: OVN-Kubernetes'
/// (`types.K8sMgmtIntfNamePrefix`), Antrea's (`hostGateway`), Kube-OVN's.
const NODE_PORTS: [&str; 3] = ["ovn-k8s-mp", "antrea-gw", "ovn0"];

/// Which observation on the exporter's node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where the packet enters the node.
    Entry,
    /// Where it leaves the node.
    Exit,
}

/// Whether a record that has its names is the one to count.
pub fn is_primary(record: &FlowRecord, exporter: Option<&Exporter>, exporters: &Exporters) -> bool {
    let node = exporter.and_then(|e| exporters.node(&e.node));
    if is_outer(record, node) {
        return false;
    }
    match place(record, node, exporters) {
        None => false,
        Some(Place::Entry) => is_entry(record, exporter, node),
        Some(Place::Exit) => is_exit(record, node),
    }
}

/// Whether an exporter that is no node of the cluster sees here what a node counts.
pub(super) fn counts_on_a_node(record: &FlowRecord, exporters: &Exporters) -> bool {
    place(record, None, exporters) != Some(Place::Entry)
}

/// `node`: the exporter's. The other side's is looked up.
fn place(record: &FlowRecord, node: Option<&NodeExports>, exporters: &Exporters) -> Option<Place> {
    let ipv4 = is_ipv4(record);
    if is_nobodys(record) && node.is_some_and(|node| sees_entry(node, ipv4)) {
        return (record.sight.entered != Entered::Tunnel).then_some(Place::Entry);
    }
    if is_answer_of_pod(record) && exporters.see_all_entries() {
        return None;
    }
    let here = |who: &Identity| who.node_name == record.exporter_node;
    let exports = |who: &Identity| {
        if here(who) {
            node
        } else {
            exporters.node(&who.node_name)
        }
    };
    let (src, dst) = (&record.src.identity, &record.dst.identity);
    if src.kind == Kind::Pod && exports(src).is_some_and(|node| sees_entry(node, ipv4)) {
        return here(src).then_some(Place::Entry);
    }
    let somewhere = src.kind == Kind::Pod && src.node_name.is_empty() && !here(src);
    let hosted = !somewhere && matches!(dst.kind, Kind::Pod | Kind::Node);
    if hosted && exports(dst).is_some_and(|node| sees_exit(node, ipv4)) {
        return here(dst).then_some(Place::Exit);
    }
    (record.sight.entered != Entered::Tunnel).then_some(Place::Entry)
}

/// Nodes without formats are there only while nobody exports anything.
fn sees_entry(node: &NodeExports, ipv4: bool) -> bool {
    let formats = &node.formats;
    node.bridges == 0 || formats.ipfix.is_some_and(|i| i.ingress) || sees_without_ipfix(node, ipv4)
}

fn sees_exit(node: &NodeExports, ipv4: bool) -> bool {
    node.bridges == 0 || node.formats.ipfix.is_some() || sees_without_ipfix(node, ipv4)
}

fn sees_without_ipfix(node: &NodeExports, ipv4: bool) -> bool {
    node.formats.s_flow.is_some() || (ipv4 && node.formats.net_flow.is_some())
}

fn is_entry(record: &FlowRecord, exporter: Option<&Exporter>, node: Option<&NodeExports>) -> bool {
    if record.direction != Some(Direction::Egress) {
        let ipfix = node.and_then(|n| n.formats.ipfix).is_some_and(|i| i.ingress);
        return is_best(record, node, ipfix);
    }
    // What came through a patch port is seen nowhere else when the bridge on the
    // other side exports nothing. A pod's packets enter at the integration bridge.
    let pod_again =
        record.src.identity.kind == Kind::Pod && exporter.is_some_and(|e| &*e.bridge == DEFAULT_BRIDGE);
    let alone = node.is_none_or(|n| n.bridges <= 1);
    record.sight.entered == Entered::Patch && alone && !pod_again
}

fn is_exit(record: &FlowRecord, node: Option<&NodeExports>) -> bool {
    let ipfix = node.and_then(|n| n.formats.ipfix);
    let has_egress = ipfix.is_some_and(|i| i.egress);
    match (record.format, record.direction) {
        (Protocol::Ipfix, Some(Direction::Egress)) => {
            let alone = node.is_none_or(|n| n.bridges <= 1);
            (record.sight.entered == Entered::Patch && alone) || is_best(record, node, true)
        }
        (Protocol::Ipfix, _) => !has_egress && is_best(record, node, true),
        _ => is_best(record, node, ipfix.is_some()),
    }
}

/// Whether no other format of the node sees this packet more exactly. `ipfix`:
/// IPFIX sees it at all.
fn is_best(record: &FlowRecord, node: Option<&NodeExports>, ipfix: bool) -> bool {
    let Some(node) = node else { return true };
    let formats = &node.formats;
    let others = [
        formats
            .ipfix
            .filter(|_| ipfix)
            .map(|i| (i.sampling, Protocol::Ipfix)),
        formats
            .net_flow
            .filter(|_| is_ipv4(record))
            .map(|_| (1, Protocol::NetFlow5)),
        formats.s_flow.map(|sampling| (sampling, Protocol::Sflow5)),
    ];
    let configured = others
        .into_iter()
        .flatten()
        .find(|(_, format)| *format == record.format);
    let (sampling, format) = configured.unwrap_or((record.sampling.unwrap_or(1), record.format));
    let own = (sampling, rank(format));
    others
        .into_iter()
        .flatten()
        .all(|(sampling, format)| own <= (sampling, rank(format)))
}

const fn rank(format: Protocol) -> u8 {
    match format {
        Protocol::Ipfix => 0,
        Protocol::NetFlow5 | Protocol::NetFlow9 => 1,
        Protocol::Sflow5 => 2,
    }
}

/// Whether the packets carry others, which a second bridge of the node counts.
fn is_outer(record: &FlowRecord, node: Option<&NodeExports>) -> bool {
    let pod = [&record.src, &record.dst]
        .iter()
        .any(|side| side.identity.kind == Kind::Pod);
    let tunnel = record.proto == Some(UDP) && record.dst.port.is_some_and(|port| TUNNELS.contains(&port));
    tunnel && !pod && node.is_some_and(|n| n.bridges > 1)
}

/// Whether the source's address tells nobody apart: there is none, or one that is
/// known on its link alone (RFC 4291 §2.5.2, §2.5.6).
fn is_nobodys(record: &FlowRecord) -> bool {
    match record.src.addr {
        None => true,
        Some(IpAddr::V4(address)) => address.is_unspecified(),
        Some(IpAddr::V6(address)) => address.is_unspecified() || address.is_unicast_link_local(),
    }
}

fn is_answer_of_pod(record: &FlowRecord) -> bool {
    record.src.identity.kind == Kind::Service
        && record.direction == Some(Direction::Egress)
        && matches!(record.sight.entered, Entered::Port | Entered::Unknown)
        && !NODE_PORTS
            .iter()
            .any(|name| record.src.if_name.as_str().starts_with(name))
}

fn is_ipv4(record: &FlowRecord) -> bool {
    record.src.addr.is_some_and(|address| address.is_ipv4())
}

#[cfg(test)]
mod tests;
