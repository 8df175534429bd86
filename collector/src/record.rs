//! The flow record: one row of the field table (`weir_api::fields`), filled.
//! Owns which name each value goes by and how it is written as JSON; the values
//! are `normalise`'s and `enrich`'s work.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use wire::{Direction, Protocol, Text};

use crate::identity::Identity;
use crate::normalise::Sight;

mod value;

pub use value::{TcpFlags, Value};

/// One observation of one flow. `None`: the format does not have it.
#[derive(Debug, Clone)]
pub struct FlowRecord {
    /// When it reached the collector, ns since the epoch UTC.
    pub time_ns: u64,
    /// First packet, ns since the epoch UTC.
    pub start_ns: u64,
    /// Last packet, ns since the epoch UTC.
    pub end_ns: u64,
    /// Octets of layer 3, scaled by sampling.
    pub bytes: Option<u64>,
    /// Packets, scaled by sampling.
    pub packets: Option<u64>,
    /// Octets of layer 2 without the frame check sequence, scaled by sampling.
    pub l2_bytes: Option<u64>,
    /// One packet in so many was seen.
    pub sampling: Option<u32>,
    /// IANA protocol number.
    pub proto: Option<u8>,
    /// Where the packets come from.
    pub src: Side,
    /// Where they go.
    pub dst: Side,
    /// Differentiated services code point.
    pub dscp: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// TCP control bits.
    pub tcp_flags: Option<TcpFlags>,
    /// VLAN id.
    pub vlan_id: Option<u16>,
    /// Tunnel that the packets came out of or go into.
    pub tunnel: Tunnel,
    /// Which way through the interface of the observation.
    pub direction: Option<Direction>,
    /// Format that the record came in.
    pub format: Protocol,
    /// Source of the datagram.
    pub exporter: IpAddr,
    /// Node behind the exporter.
    pub exporter_node: Arc<str>,
    /// IPFIX observation domain, NetFlow v9 source id.
    pub obs_domain_id: Option<u32>,
    /// IPFIX observation point.
    pub obs_point_id: Option<u64>,
    /// What the record shows of the packets' way; not a field of its own.
    pub sight: Sight,
    /// The one observation of several that sums count.
    pub primary: bool,
    /// What became of the packets.
    pub verdict: Verdict,
    /// Packets that were dropped for certain.
    pub dropped_packets: Option<u64>,
    /// Octets of layer 3 in them.
    pub dropped_bytes: Option<u64>,
    /// IE 136 flowEndReason.
    pub end_reason: Option<u8>,
}

/// One side of a flow.
#[derive(Debug, Clone)]
pub struct Side {
    /// Address.
    pub addr: Option<IpAddr>,
    /// Transport port; 0 where the protocol has none.
    pub port: Option<u16>,
    /// Ethernet address in the frame.
    pub mac: Option<[u8; 6]>,
    /// ifIndex or OpenFlow port, as the format has it.
    pub if_index: Option<u32>,
    /// Name of the interface.
    pub if_name: Text,
    /// Who it is.
    pub identity: Arc<Identity>,
}

/// The tunnel of a flow.
#[derive(Debug, Clone, Default)]
pub struct Tunnel {
    /// PEN 6876 IE 891.
    pub kind: Option<u8>,
    /// VNI or GRE key.
    pub key: Option<u64>,
    /// Outer source address.
    pub addr: Option<IpAddr>,
    /// Outer destination address.
    pub dst_addr: Option<IpAddr>,
}

/// What became of the packets of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something proves that they arrived.
    Delivered,
    /// Something proves that they did not.
    Dropped,
    /// Nothing proves anything.
    Unknown,
}

impl Verdict {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Unknown => "unknown",
        }
    }
}

impl FlowRecord {
    /// Hands each field that the record has to `field`, in the order of the
    /// field table. Identity strings are always there, `""` when unknown.
    pub fn visit<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        self.visit_counters(field);
        self.visit_headers(field);
        self.visit_tunnel(field);
        self.src.visit_link(&SRC, field);
        self.dst.visit_link(&DST, field);
        self.visit_observation(field);
        self.src.visit_identity(&SRC, field);
        self.dst.visit_identity(&DST, field);
    }

    fn visit_counters<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        field("time", Value::Time(self.time_ns));
        field("start", Value::Time(self.start_ns));
        field("end", Value::Time(self.end_ns));
        number(field, "bytes", self.bytes);
        number(field, "packets", self.packets);
        number(field, "l2_bytes", self.l2_bytes);
        number(field, "sampling", self.sampling);
    }

    fn visit_headers<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        if let Some(proto) = self.proto {
            field("protocol", Value::Text(value::protocol_name(proto)));
            field("proto", Value::Unsigned(proto.into()));
        }
        self.src.visit_network(&SRC, field);
        self.dst.visit_network(&DST, field);
        number(field, "dscp", self.dscp);
        number(field, "ttl", self.ttl);
        number(field, "icmp_type", self.icmp_type);
        number(field, "icmp_code", self.icmp_code);
        if let Some(flags) = self.tcp_flags {
            field("tcp_flags", Value::Flags(flags));
        }
        number(field, "vlan_id", self.vlan_id);
    }

    fn visit_tunnel<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        if let Some(kind) = self.tunnel.kind {
            field("tunnel_type", Value::Text(value::tunnel_name(kind)));
        }
        number(field, "tunnel_key", self.tunnel.key);
        address(field, "tunnel_addr", self.tunnel.addr);
        address(field, "tunnel_dst_addr", self.tunnel.dst_addr);
        if let Some(direction) = self.direction {
            field("direction", word(value::direction_name(direction)));
        }
    }

    fn visit_observation<'a>(&'a self, field: &mut impl FnMut(&'static str, Value<'a>)) {
        field("format", word(self.format.as_str()));
        address(field, "exporter", Some(self.exporter));
        field("exporter_node", word(&self.exporter_node));
        number(field, "obs_domain_id", self.obs_domain_id);
        number(field, "obs_point_id", self.obs_point_id);
        field("primary", Value::Bool(self.primary));
        field("verdict", word(self.verdict.as_str()));
        number(field, "dropped_packets", self.dropped_packets);
        number(field, "dropped_bytes", self.dropped_bytes);
        if let Some(reason) = self.end_reason.and_then(value::end_reason_name) {
            field("end_reason", word(reason));
        }
    }
}

impl Side {
    fn visit_network<'a>(&'a self, names: &Names, field: &mut impl FnMut(&'static str, Value<'a>)) {
        address(field, names.addr, self.addr);
        number(field, names.port, self.port);
        if let Some(mac) = self.mac {
            field(names.mac, Value::Mac(mac));
        }
    }

    fn visit_link<'a>(&'a self, names: &Names, field: &mut impl FnMut(&'static str, Value<'a>)) {
        number(field, names.if_index, self.if_index);
        if !self.if_name.is_empty() {
            field(names.if_name, word(self.if_name.as_str()));
        }
    }

    fn visit_identity<'a>(&'a self, names: &Names, field: &mut impl FnMut(&'static str, Value<'a>)) {
        let who = &*self.identity;
        field(names.pod_name, word(who.pod_name()));
        field(names.ns, word(&who.ns));
        field(names.kind, word(who.kind.as_str()));
        field(names.name, word(&who.name));
        field(names.workload_name, word(&who.workload_name));
        field(names.workload_kind, word(&who.workload_kind));
        field(names.service_name, word(who.service_name()));
        field(names.service_ns, word(who.service_ns()));
        field(names.node_name, word(&who.node_name));
        address(field, names.node_addr, who.node_addr);
        field(names.zone, word(&who.zone));
    }
}

fn word(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn number<'a>(
    field: &mut impl FnMut(&'static str, Value<'a>),
    name: &'static str,
    number: Option<impl Into<u64>>,
) {
    if let Some(number) = number {
        field(name, Value::Unsigned(number.into()));
    }
}

fn address<'a>(field: &mut impl FnMut(&'static str, Value<'a>), name: &'static str, address: Option<IpAddr>) {
    if let Some(address) = address {
        field(name, Value::Address(address));
    }
}

/// What the fields of one side are called.
struct Names {
    addr: &'static str,
    port: &'static str,
    mac: &'static str,
    if_index: &'static str,
    if_name: &'static str,
    pod_name: &'static str,
    ns: &'static str,
    kind: &'static str,
    name: &'static str,
    workload_name: &'static str,
    workload_kind: &'static str,
    service_name: &'static str,
    service_ns: &'static str,
    node_name: &'static str,
    node_addr: &'static str,
    zone: &'static str,
}

const SRC: Names = Names {
    addr: "addr",
    port: "port",
    mac: "mac",
    if_index: "if_index",
    if_name: "if_name",
    pod_name: "pod_name",
    ns: "ns",
    kind: "kind",
    name: "name",
    workload_name: "workload_name",
    workload_kind: "workload_kind",
    service_name: "service_name",
    service_ns: "service_ns",
    node_name: "node_name",
    node_addr: "node_addr",
    zone: "zone",
};

const DST: Names = Names {
    addr: "dst_addr",
    port: "dst_port",
    mac: "dst_mac",
    if_index: "dst_if_index",
    if_name: "dst_if_name",
    pod_name: "dst_pod_name",
    ns: "dst_ns",
    kind: "dst_kind",
    name: "dst_name",
    workload_name: "dst_workload_name",
    workload_kind: "dst_workload_kind",
    service_name: "dst_service_name",
    service_ns: "dst_service_ns",
    node_name: "dst_node_name",
    node_addr: "dst_node_addr",
    zone: "dst_zone",
};

/// One JSON object; absent fields are left out.
impl Serialize for FlowRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut outcome = Ok(());
        self.visit(&mut |name, value| {
            if outcome.is_ok() {
                outcome = map.serialize_entry(name, &value);
            }
        });
        outcome?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
