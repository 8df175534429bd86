//! The flow record: one row of the field table (`weir_api::fields`), filled.
//! Owns which name each value goes by and how it is written as JSON.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use weir_api::fields::Column;
use wire::{Attributes, Direction, Protocol, Text};

use crate::attributes;
use crate::columns::{OWN, SHARED};
use crate::identity::{Identity, Who};
use crate::packet_path::PacketPath;
use crate::policy::{Judged, PolicyVerdict, text};
use crate::shared::{SharedFields, SharedFieldsRef};
use crate::value::{TcpFlags, Value};

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
    pub path: PacketPath,
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
    /// What few exporters say: the sparse fields of the table.
    pub attributes: Attributes,
    /// What policies say about its connection.
    pub policy: Judged,
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
    pub identity: Who,
    /// What that rests on.
    pub found: IdentifiedBy,
}

/// What the names of a side rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdentifiedBy {
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
    /// The exporter of a node, which says who it is.
    Exporter,
    /// Several had the address when the flow ran, and none is believed.
    Ambiguous,
}

impl IdentifiedBy {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Interface => "interface",
            Self::Address => "address",
            Self::Mac => "mac",
            Self::Subnet => "subnet",
            Self::Exporter => "exporter",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Which side of a flow listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
        if self.attributes.is_empty() {
            return self.visit_dense(field);
        }
        let mut sparse: Vec<_> = attributes::fields(&self.attributes).collect();
        sparse.sort_unstable_by_key(|(column, _)| *column);
        let mut sparse = sparse.into_iter().peekable();
        self.visit_dense(&mut |column: Column, value: Value<'a>| {
            while let Some((before, value)) = sparse.next_if(|(sparse, _)| *sparse < column) {
                field(before, value);
            }
            field(column, value);
        });
        sparse.for_each(|(column, value)| field(column, value));
    }

    /// The same without what few exporters say.
    fn visit_dense<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_parts::<{ OWN | SHARED }>(field);
        Identity::visit_both(&self.src.identity, &self.dst.identity, field);
        self.visit_policy(field);
    }

    /// All but the fields of the identities, in no order.
    pub fn visit_own<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_parts::<{ OWN | SHARED }>(field);
        self.visit_policy(field);
        self.visit_attributes(field);
    }

    /// Hands on what it has in common with many others, see [`SharedFields`].
    pub fn visit_shared<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_parts::<SHARED>(field);
        self.visit_policy(field);
    }

    /// Hands on what tells it from others with the same [`Self::shared`]: all of
    /// [`Self::visit_own`] that is not in there.
    #[inline]
    pub fn visit_rest<'a>(&'a self, field: &mut impl Visitor<'a>) {
        self.visit_parts::<OWN>(field);
        if !self.attributes.is_empty() {
            self.visit_attributes(field);
        }
    }

    /// What it has in common with many others.
    #[inline]
    pub fn shared(&self) -> SharedFieldsRef<'_> {
        SharedFields::of(self)
    }

    /// What policies say, in the order of the field table.
    #[inline]
    fn visit_policy<'a>(&'a self, field: &mut impl Visitor<'a>) {
        let Some(verdict) = self.policy.verdict() else {
            return;
        };
        let PolicyVerdict {
            answer,
            reason,
            ingress,
            egress,
        } = verdict;
        let texts: [(Column, &str); 8] = [
            (const { Column::of("policy_verdict") }, answer),
            (const { Column::of("policy_reason") }, reason),
            (const { Column::of("ingress_policy") }, &ingress.policy),
            (const { Column::of("egress_policy") }, &egress.policy),
            (const { Column::of("ingress_policy_rule") }, &ingress.rule),
            (const { Column::of("egress_policy_rule") }, &egress.rule),
            (const { Column::of("ingress_policy_action") }, ingress.action),
            (const { Column::of("egress_policy_action") }, egress.action),
        ];
        for (column, value) in texts {
            if let Some(value) = text(value) {
                field(column, value);
            }
        }
    }

    fn visit_attributes<'a>(&'a self, field: &mut impl Visitor<'a>) {
        attributes::fields(&self.attributes).for_each(|(column, value)| field(column, value));
    }

    /// Bytes on the heap that are its own: what many share, such as identities, is
    /// not counted.
    pub fn heap_bytes(&self) -> usize {
        let names = [&self.src.if_name, &self.dst.if_name].map(Text::heap_bytes);
        names.iter().sum::<usize>() + self.attributes.heap_bytes()
    }
}

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
pub(crate) mod tests;
