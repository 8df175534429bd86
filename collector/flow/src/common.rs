//! What many records have in common: all but who talked to whom, when and how
//! much. There are few of these for millions of records, so the store keeps each
//! once.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use weir_api::fields::Column;
use wire::{Direction, Protocol};

use crate::record::{Found, Server, ServerConfidence, Verdict, Visitor, address, number, word};
use crate::value::{self, TcpFlags, Value};

/// A part of a [`FlowRecord`](crate::FlowRecord); what the fields say is documented
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common<Node = Arc<str>> {
    pub(crate) plain: Plain,
    pub(crate) exporter_node: Node,
}

/// All of it that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) sampling: Option<u32>,
    pub(crate) proto: Option<u8>,
    pub(crate) dscp: Option<u8>,
    pub(crate) ttl: Option<u8>,
    pub(crate) icmp_type: Option<u8>,
    pub(crate) icmp_code: Option<u8>,
    pub(crate) tcp_flags: Option<TcpFlags>,
    pub(crate) vlan_id: Option<u16>,
    pub(crate) tunnel: Option<u8>,
    pub(crate) direction: Option<Direction>,
    pub(crate) format: Protocol,
    pub(crate) exporter: IpAddr,
    pub(crate) obs_domain_id: Option<u32>,
    pub(crate) obs_point_id: Option<u64>,
    pub(crate) primary: bool,
    pub(crate) verdict: Verdict,
    pub(crate) end_reason: Option<u8>,
    /// Of the source, of the destination.
    pub(crate) found: [Found; 2],
    pub(crate) server: Server,
    pub(crate) server_confidence: ServerConfidence,
}

/// Of the fields in which the records of a cluster differ most, packed: what is
/// equal has the same hash, and few others do.
impl<Node> Hash for Common<Node> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let plain = &self.plain;
        let octet = |octet: Option<u8>| u64::from(octet.unwrap_or_default());
        let flags = plain.tcp_flags.map_or(0, |flags| u64::from(flags.bits));
        let found = plain.found.map(|found| found as u64);
        let headers = [octet(plain.proto), octet(plain.ttl), octet(plain.dscp), flags];
        let judged = [
            plain.server as u64,
            plain.server_confidence as u64,
            found[0],
            found[1],
        ];
        let judged = judged
            .into_iter()
            .fold(u64::from(plain.primary), |all, part| all << 4 | part);
        let direction = plain.direction.map_or(0, |direction| 1 + direction as u64);
        state.write_u64(headers.into_iter().fold(judged, |all, part| all << 10 | part));
        let domain = u64::from(plain.obs_domain_id.unwrap_or_default());
        let icmp = octet(plain.icmp_type) << 8 | octet(plain.icmp_code);
        state.write_u64(domain << 32 | icmp << 8 | direction << 4 | octet(plain.end_reason));
        state.write_u64(
            plain.obs_point_id.unwrap_or_default() << 16 | u64::from(plain.vlan_id.unwrap_or_default()),
        );
        match plain.exporter {
            IpAddr::V4(address) => state.write_u32(address.to_bits()),
            IpAddr::V6(address) => state.write_u128(address.to_bits()),
        }
    }
}

impl Common {
    /// IANA protocol number.
    pub fn proto(&self) -> Option<u8> {
        self.plain.proto
    }

    /// The same without its own text.
    pub fn borrowed(&self) -> Common<&Arc<str>> {
        Common {
            plain: self.plain,
            exporter_node: &self.exporter_node,
        }
    }
}

impl<'a> Common<&'a Arc<str>> {
    /// The same with a text of its own.
    pub fn owned(self) -> Common {
        Common {
            plain: self.plain,
            exporter_node: Arc::clone(self.exporter_node),
        }
    }

    /// Hands each field that it has to `field`, in the order of the field table.
    pub fn visit(self, field: &mut impl Visitor<'a>) {
        self.visit_protocol(field);
        self.visit_headers(field);
        self.visit_direction(field);
        self.visit_observation(field);
        self.visit_judgement(field);
    }

    pub(crate) fn visit_protocol(self, field: &mut impl Visitor<'a>) {
        number(field, const { Column::of("sampling") }, self.plain.sampling);
        if let Some(proto) = self.plain.proto {
            let name = Value::Text(value::protocol_name(proto));
            field(const { Column::of("protocol") }, name);
            field(const { Column::of("proto") }, Value::Unsigned(proto.into()));
        }
    }

    pub(crate) fn visit_headers(self, field: &mut impl Visitor<'a>) {
        number(field, const { Column::of("dscp") }, self.plain.dscp);
        number(field, const { Column::of("ttl") }, self.plain.ttl);
        number(field, const { Column::of("icmp_type") }, self.plain.icmp_type);
        number(field, const { Column::of("icmp_code") }, self.plain.icmp_code);
        if let Some(flags) = self.plain.tcp_flags {
            field(const { Column::of("tcp_flags") }, Value::Flags(flags));
        }
        number(field, const { Column::of("vlan_id") }, self.plain.vlan_id);
        if let Some(kind) = self.plain.tunnel {
            let name = Value::Text(value::tunnel_name(kind));
            field(const { Column::of("tunnel_type") }, name);
        }
    }

    pub(crate) fn visit_direction(self, field: &mut impl Visitor<'a>) {
        if let Some(direction) = self.plain.direction {
            let name = word(value::direction_name(direction));
            field(const { Column::of("direction") }, name);
        }
    }

    pub(crate) fn visit_observation(self, field: &mut impl Visitor<'a>) {
        field(const { Column::of("format") }, word(self.plain.format.as_str()));
        address(field, const { Column::of("exporter") }, Some(self.plain.exporter));
        field(const { Column::of("exporter_node") }, word(self.exporter_node));
        number(
            field,
            const { Column::of("obs_domain_id") },
            self.plain.obs_domain_id,
        );
        number(
            field,
            const { Column::of("obs_point_id") },
            self.plain.obs_point_id,
        );
        field(const { Column::of("primary") }, Value::Bool(self.plain.primary));
        field(const { Column::of("verdict") }, word(self.plain.verdict.as_str()));
    }

    pub(crate) fn visit_judgement(self, field: &mut impl Visitor<'a>) {
        if let Some(reason) = self.plain.end_reason.and_then(value::end_reason_name) {
            field(const { Column::of("end_reason") }, word(reason));
        }
        let [src, dst] = self.plain.found;
        field(const { Column::of("identified_by") }, word(src.as_str()));
        field(const { Column::of("dst_identified_by") }, word(dst.as_str()));
        field(const { Column::of("server") }, word(self.plain.server.as_str()));
        let confidence = word(self.plain.server_confidence.as_str());
        field(const { Column::of("server_confidence") }, confidence);
    }
}

#[cfg(test)]
mod tests;
