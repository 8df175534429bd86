//! The flow record: one row of the field table (`weir_api::fields`), filled.
//! Owns which name each value goes by and how it is written as JSON.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use weir_api::fields::Column;
use wire::{Direction, Protocol, Text};

use crate::identity::Identity;
use crate::sight::Sight;
use crate::value::{self, TcpFlags, Value};

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
    /// Which side listens.
    pub server: Server,
    /// What that rests on.
    pub server_confidence: ServerConfidence,
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
    /// What that rests on.
    pub found: Found,
}

/// What the names of a side rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Found {
    /// Nothing: there are none.
    #[default]
    Nothing,
    /// The interface that the record names.
    Interface,
    /// The address, held by one alone when the flow ran.
    Address,
    /// The Ethernet address.
    Mac,
    /// The network that the address is in.
    Subnet,
    /// Several had the address when the flow ran, and none is believed.
    Ambiguous,
}

impl Found {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Interface => "interface",
            Self::Address => "address",
            Self::Mac => "mac",
            Self::Subnet => "subnet",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Which side of a flow listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Server {
    /// Nobody knows.
    #[default]
    Unknown,
    /// The source: the record is of an answer.
    Src,
    /// The destination.
    Dst,
}

impl Server {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Src => "src",
            Self::Dst => "dst",
        }
    }
}

/// What it rests on which side listens, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerConfidence {
    /// A packet of the handshake.
    Syn,
    /// A Service has this address and port, or this endpoint.
    Service,
    /// Something was seen to listen there.
    Listener,
    /// The port numbers.
    Port,
    /// Nothing.
    #[default]
    None,
}

impl ServerConfidence {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Service => "service",
            Self::Listener => "listener",
            Self::Port => "port",
            Self::None => "none",
        }
    }
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

/// What a record hands its values to: the column, then the value.
pub trait Visitor<'a>: FnMut(Column, Value<'a>) {}

impl<'a, F: FnMut(Column, Value<'a>)> Visitor<'a> for F {}

impl FlowRecord {
    /// Hands each field that the record has to `field`, in the order of the
    /// field table. Identity strings are always there, `""` when unknown.
    pub fn visit<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_own(field);
        Identity::visit_both(&self.src.identity, &self.dst.identity, field);
    }

    /// The same without the fields of the identities.
    pub fn visit_own<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_counters(field);
        self.visit_headers(field);
        self.visit_tunnel(field);
        for (side, columns) in self.sides() {
            number(field, columns.if_index, side.if_index);
        }
        for (side, columns) in self.sides() {
            if !side.if_name.is_empty() {
                field(columns.if_name, word(side.if_name.as_str()));
            }
        }
        self.visit_observation(field);
        self.visit_judgement(field);
    }

    fn visit_counters<'a>(&'a self, field: &mut impl Visitor<'a>) {
        field(const { Column::of("time") }, Value::Time(self.time_ns));
        field(const { Column::of("start") }, Value::Time(self.start_ns));
        field(const { Column::of("end") }, Value::Time(self.end_ns));
        number(field, const { Column::of("bytes") }, self.bytes);
        number(field, const { Column::of("packets") }, self.packets);
        number(field, const { Column::of("l2_bytes") }, self.l2_bytes);
        number(field, const { Column::of("sampling") }, self.sampling);
    }

    fn visit_headers<'a>(&'a self, field: &mut impl Visitor<'a>) {
        if let Some(proto) = self.proto {
            let name = Value::Text(value::protocol_name(proto));
            field(const { Column::of("protocol") }, name);
            field(const { Column::of("proto") }, Value::Unsigned(proto.into()));
        }
        self.visit_ends(field);
        number(field, const { Column::of("dscp") }, self.dscp);
        number(field, const { Column::of("ttl") }, self.ttl);
        number(field, const { Column::of("icmp_type") }, self.icmp_type);
        number(field, const { Column::of("icmp_code") }, self.icmp_code);
        if let Some(flags) = self.tcp_flags {
            field(const { Column::of("tcp_flags") }, Value::Flags(flags));
        }
        number(field, const { Column::of("vlan_id") }, self.vlan_id);
    }

    fn sides(&self) -> [(&Side, &'static Columns); 2] {
        [(&self.src, &SRC), (&self.dst, &DST)]
    }

    fn visit_ends<'a>(&'a self, field: &mut impl Visitor<'a>) {
        for (side, columns) in self.sides() {
            address(field, columns.addr, side.addr);
        }
        for (side, columns) in self.sides() {
            number(field, columns.port, side.port);
        }
        for (side, columns) in self.sides() {
            if let Some(mac) = side.mac {
                field(columns.mac, Value::Mac(mac));
            }
        }
    }

    fn visit_tunnel<'a>(&'a self, field: &mut impl Visitor<'a>) {
        if let Some(kind) = self.tunnel.kind {
            let name = Value::Text(value::tunnel_name(kind));
            field(const { Column::of("tunnel_type") }, name);
        }
        number(field, const { Column::of("tunnel_key") }, self.tunnel.key);
        address(field, const { Column::of("tunnel_addr") }, self.tunnel.addr);
        address(
            field,
            const { Column::of("tunnel_dst_addr") },
            self.tunnel.dst_addr,
        );
        if let Some(direction) = self.direction {
            let name = word(value::direction_name(direction));
            field(const { Column::of("direction") }, name);
        }
    }

    fn visit_observation<'a>(&'a self, field: &mut impl Visitor<'a>) {
        field(const { Column::of("format") }, word(self.format.as_str()));
        address(field, const { Column::of("exporter") }, Some(self.exporter));
        field(const { Column::of("exporter_node") }, word(&self.exporter_node));
        number(field, const { Column::of("obs_domain_id") }, self.obs_domain_id);
        number(field, const { Column::of("obs_point_id") }, self.obs_point_id);
    }

    fn visit_judgement<'a>(&'a self, field: &mut impl Visitor<'a>) {
        field(const { Column::of("primary") }, Value::Bool(self.primary));
        field(const { Column::of("verdict") }, word(self.verdict.as_str()));
        number(
            field,
            const { Column::of("dropped_packets") },
            self.dropped_packets,
        );
        number(field, const { Column::of("dropped_bytes") }, self.dropped_bytes);
        if let Some(reason) = self.end_reason.and_then(value::end_reason_name) {
            field(const { Column::of("end_reason") }, word(reason));
        }
        field(SRC.identified_by, word(self.src.found.as_str()));
        field(DST.identified_by, word(self.dst.found.as_str()));
        field(const { Column::of("server") }, word(self.server.as_str()));
        let confidence = word(self.server_confidence.as_str());
        field(const { Column::of("server_confidence") }, confidence);
    }
}

pub(crate) fn word(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn number<'a>(field: &mut impl Visitor<'a>, column: Column, number: Option<impl Into<u64>>) {
    if let Some(number) = number {
        field(column, Value::Unsigned(number.into()));
    }
}

fn address<'a>(field: &mut impl Visitor<'a>, column: Column, address: Option<IpAddr>) {
    if let Some(address) = address {
        field(column, Value::Address(address));
    }
}

/// The columns of one side.
struct Columns {
    addr: Column,
    port: Column,
    mac: Column,
    if_index: Column,
    if_name: Column,
    identified_by: Column,
}

const SRC: Columns = Columns {
    addr: Column::of("addr"),
    port: Column::of("port"),
    mac: Column::of("mac"),
    if_index: Column::of("if_index"),
    if_name: Column::of("if_name"),
    identified_by: Column::of("identified_by"),
};

const DST: Columns = Columns {
    addr: Column::of("dst_addr"),
    port: Column::of("dst_port"),
    mac: Column::of("dst_mac"),
    if_index: Column::of("dst_if_index"),
    if_name: Column::of("dst_if_name"),
    identified_by: Column::of("dst_identified_by"),
};

/// One JSON object; absent fields are left out.
impl Serialize for FlowRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut outcome = Ok(());
        self.visit(&mut |column: Column, value| {
            if outcome.is_ok() {
                outcome = map.serialize_entry(column.name(), &value);
            }
        });
        outcome?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
