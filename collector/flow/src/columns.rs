//! The dense fields of a record, by column. A new one is a row of the field table, a
//! field of [`FlowRecord`] and a row of the list here; if it is shared, one of
//! [`crate::SharedFields`], too.

use std::borrow::Cow;
use std::net::IpAddr;

use weir_api::fields::Column;
use wire::Text;

use crate::record::{FlowRecord, Visitor};
use crate::value::{self, Value};

/// Fields that tell a record from others.
pub(crate) const OWN: u8 = 1;
/// Fields that many records have in common.
pub(crate) const SHARED: u8 = 2;

/// Hands on the fields of the wanted parts that have a value.
macro_rules! columns {
    ($parts:ident, $field:ident; $($part:ident $column:literal => $value:expr,)+) => {
        $(
            if $parts & $part != 0 && let Some(value) = $value {
                $field(const { Column::of($column) }, value);
            }
        )+
    };
}

impl FlowRecord {
    /// Hands on the fields of these parts ([`OWN`], [`SHARED`]), in the order of the
    /// field table.
    #[inline]
    pub(crate) fn visit_parts<'a, const PARTS: u8>(&'a self, field: &mut impl Visitor<'a>) {
        let (src, dst, tunnel) = (&self.src, &self.dst, &self.tunnel);
        columns! { PARTS, field;
            OWN "time" => Some(Value::Time(self.time_ns)),
            OWN "start" => Some(Value::Time(self.start_ns)),
            OWN "end" => Some(Value::Time(self.end_ns)),
            OWN "bytes" => number(self.bytes),
            OWN "packets" => number(self.packets),
            OWN "l2_bytes" => number(self.l2_bytes),
            SHARED "sampling" => number(self.sampling),
            SHARED "protocol" => self.proto.map(|proto| Value::Text(value::protocol_name(proto))),
            SHARED "proto" => number(self.proto),
            OWN "addr" => address(src.addr),
            OWN "dst_addr" => address(dst.addr),
            OWN "port" => number(src.port),
            OWN "dst_port" => number(dst.port),
            OWN "mac" => src.mac.map(Value::Mac),
            OWN "dst_mac" => dst.mac.map(Value::Mac),
            SHARED "dscp" => number(self.dscp),
            SHARED "ttl" => number(self.ttl),
            SHARED "icmp_type" => number(self.icmp_type),
            SHARED "icmp_code" => number(self.icmp_code),
            SHARED "tcp_flags" => self.tcp_flags.map(Value::Flags),
            SHARED "vlan_id" => number(self.vlan_id),
            SHARED "tunnel_type" => tunnel.kind.map(|kind| Value::Text(value::tunnel_name(kind))),
            OWN "tunnel_key" => number(tunnel.key),
            OWN "tunnel_addr" => address(tunnel.addr),
            OWN "tunnel_dst_addr" => address(tunnel.dst_addr),
            SHARED "direction" => self.direction.map(value::direction_name).map(word),
            OWN "if_index" => number(src.if_index),
            OWN "dst_if_index" => number(dst.if_index),
            OWN "if_name" => known(&src.if_name),
            OWN "dst_if_name" => known(&dst.if_name),
            SHARED "format" => Some(word(self.format.as_str())),
            SHARED "exporter" => address(Some(self.exporter)),
            SHARED "exporter_node" => Some(word(&self.exporter_node)),
            SHARED "obs_domain_id" => number(self.obs_domain_id),
            SHARED "obs_point_id" => number(self.obs_point_id),
            SHARED "primary" => Some(Value::Bool(self.primary)),
            SHARED "verdict" => Some(word(self.verdict.as_str())),
            OWN "dropped_packets" => number(self.dropped_packets),
            OWN "dropped_bytes" => number(self.dropped_bytes),
            SHARED "end_reason" => self.end_reason.and_then(value::end_reason_name).map(word),
            SHARED "identified_by" => Some(word(src.found.as_str())),
            SHARED "dst_identified_by" => Some(word(dst.found.as_str())),
            SHARED "server" => Some(word(self.server.as_str())),
            SHARED "server_confidence" => Some(word(self.server_confidence.as_str())),
        }
    }
}

pub(crate) fn word(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

/// The text, if there is any.
fn known(text: &Text) -> Option<Value<'_>> {
    (!text.is_empty()).then(|| word(text.as_str()))
}

fn number(number: Option<impl Into<u64>>) -> Option<Value<'static>> {
    number.map(|number| Value::Unsigned(number.into()))
}

fn address(address: Option<IpAddr>) -> Option<Value<'static>> {
    address.map(Value::Address)
}
