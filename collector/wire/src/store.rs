//! Values put into the fields of a [`Record`]. A value that cannot be one for
//! its field is left out: the rest of the record still says something.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::element::{Address, Name, Number, Octet, Side, Spare, Wide};
use crate::record::{Direction, Record};
use crate::text::Text;

/// A big-endian integer of 1 to 8 octets.
#[inline]
pub(crate) fn integer(bytes: &[u8]) -> Option<u64> {
    // The common widths are single loads.
    match *bytes {
        [a] => Some(u64::from(a)),
        [a, b] => Some(u64::from(u16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        [] | [_, _, _, _, _, _, _, _, _, ..] => None,
        _ => Some(
            bytes
                .iter()
                .fold(0, |value, &octet| value << 8 | u64::from(octet)),
        ),
    }
}

/// Puts a 64-bit value in its place.
pub(crate) fn wide(record: &mut Record, target: Wide, value: u64) {
    let place = match target {
        Wide::Octets | Wide::OctetsTotal => &mut record.bytes,
        Wide::Packets | Wide::PacketsTotal => &mut record.packets,
        Wide::L2Octets => &mut record.l2_bytes,
        Wide::DroppedOctets => &mut record.dropped_bytes,
        Wide::DroppedPackets => &mut record.dropped_packets,
        Wide::MinIpLen => &mut record.min_ip_len,
        Wide::MaxIpLen => &mut record.max_ip_len,
        Wide::ObservationPoint => &mut record.observation_point,
        Wide::TunnelKey => &mut record.tunnel_key,
        Wide::Selector => &mut record.selector,
    };
    *place = Some(value);
    record.totals |= matches!(target, Wide::OctetsTotal | Wide::PacketsTotal);
}

/// Puts a 16 or 32-bit value in its place; one that does not fit is left out.
pub(crate) fn number(record: &mut Record, target: Number, value: u64) {
    let short = u16::try_from(value).ok();
    let long = u32::try_from(value).ok();
    match target {
        Number::SrcPort => keep(&mut record.src_port, short),
        Number::DstPort => keep(&mut record.dst_port, short),
        Number::TcpFlags => record.tcp_flags = short,
        Number::Vlan => keep_vlan(&mut record.vlan, short),
        Number::DstVlan => keep_vlan(&mut record.dst_vlan, short),
        Number::EtherType => record.ether_type = short,
        Number::EthernetHeaderLen => record.ethernet_header_len = short,
        Number::TunnelSrcPort => record.tunnel_src_port = short,
        Number::TunnelDstPort => record.tunnel_dst_port = short,
        Number::InIf => keep(&mut record.in_if, long),
        Number::OutIf => keep(&mut record.out_if, long),
        Number::FlowLabel => record.flow_label = long,
        Number::IcmpTypeCode => {
            let [kind, code] = short.unwrap_or_default().to_be_bytes();
            record.icmp_type = Some(kind);
            record.icmp_code = Some(code);
        }
    }
}

/// Zero says less than what is there already from another element.
#[inline]
fn keep<N: Copy + Default + PartialEq>(place: &mut Option<N>, value: Option<N>) {
    if place.is_none() || value.is_some_and(|value| value != N::default()) {
        *place = value;
    }
}

/// VLAN 0 is none: a tag of a priority alone (IEEE 802.1Q), or no tag.
#[inline]
fn keep_vlan(place: &mut Option<u16>, value: Option<u16>) {
    if let Some(vlan) = value.filter(|vlan| *vlan != 0) {
        *place = Some(vlan);
    }
}

/// Puts a value into the place of another element, where that says nothing.
pub(crate) fn spare(record: &mut Record, target: Spare, bytes: &[u8]) {
    let value = integer(bytes);
    let short = value.and_then(|value| u16::try_from(value).ok());
    let long = value.and_then(|value| u32::try_from(value).ok());
    match target {
        Spare::Mac(Side::First) if record.src_mac.is_none() => mac(record, Side::First, bytes),
        Spare::Mac(Side::Second) if record.dst_mac.is_none() => mac(record, Side::Second, bytes),
        Spare::Mac(_) => {}
        Spare::Interface(Side::First) => fill(&mut record.in_if, long),
        Spare::Interface(Side::Second) => fill(&mut record.out_if, long),
        Spare::Port(Side::First) => fill(&mut record.src_port, short),
        Spare::Port(Side::Second) => fill(&mut record.dst_port, short),
        Spare::Protocol => {
            let protocol = value.and_then(|value| u8::try_from(value).ok());
            fill(&mut record.ip_protocol, protocol);
        }
    }
}

fn fill<N: Copy + Default + PartialEq>(place: &mut Option<N>, value: Option<N>) {
    if place.is_none_or(|known| known == N::default()) {
        *place = value.or(*place);
    }
}

/// Puts an 8-bit value in its place; one that does not fit is left out.
pub(crate) fn octet(record: &mut Record, target: Octet, value: u64) {
    let value = u8::try_from(value).ok();
    let place = match target {
        Octet::Protocol => return keep(&mut record.ip_protocol, value),
        Octet::IpVersion => &mut record.ip_version,
        Octet::Tos => &mut record.tos,
        Octet::Dscp => &mut record.dscp,
        Octet::Ttl => &mut record.ttl,
        Octet::IcmpType => &mut record.icmp_type,
        Octet::IcmpCode => &mut record.icmp_code,
        Octet::VlanPriority => &mut record.vlan_priority,
        Octet::EndReason => &mut record.end_reason,
        Octet::EngineType => &mut record.engine_type,
        Octet::EngineId => &mut record.engine_id,
        Octet::TunnelType => &mut record.tunnel_type,
        Octet::TunnelProtocol => &mut record.tunnel_protocol,
        Octet::Direction => {
            record.direction = match value {
                Some(0) => Some(Direction::Ingress),
                Some(1) => Some(Direction::Egress),
                _ => None,
            };
            return;
        }
    };
    *place = value;
}

/// An address of 4 or 16 octets.
#[inline]
pub(crate) fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    } else {
        None
    }
}

/// Puts an address in its place. A template may have both an IPv4 and an IPv6
/// element and fill the unused one with zeros: the one that says something wins.
pub(crate) fn address(record: &mut Record, target: Address, bytes: &[u8]) {
    let Some(address) = ip_address(bytes) else {
        return;
    };
    let place = match target {
        Address::Src => &mut record.src_addr,
        Address::Dst => &mut record.dst_addr,
        Address::TunnelSrc => &mut record.tunnel_src,
        Address::TunnelDst => &mut record.tunnel_dst,
    };
    if place.is_none_or(|earlier| earlier.is_unspecified()) || !address.is_unspecified() {
        *place = Some(address);
    }
}

/// Puts a MAC address in its place; one of zeros is none.
pub(crate) fn mac(record: &mut Record, side: Side, bytes: &[u8]) {
    let mac = <[u8; 6]>::try_from(bytes).ok().filter(|mac| *mac != [0; 6]);
    let place = match side {
        Side::First => &mut record.src_mac,
        Side::Second => &mut record.dst_mac,
    };
    *place = mac.or(*place);
}

/// Puts a string in its place.
pub(crate) fn text(record: &mut Record, target: Name, bytes: &[u8]) {
    let place = match target {
        Name::InIf => &mut record.in_if_name,
        Name::InIfDescription => &mut record.in_if_description,
        Name::OutIf => &mut record.out_if_name,
        Name::OutIfDescription => &mut record.out_if_description,
        Name::VirtualObsId => &mut record.virtual_obs_id,
    };
    *place = Text::from_wire(bytes);
}

/// Puts the time of the first or last packet in its place.
pub(crate) fn time(record: &mut Record, side: Side, ns: Option<u64>) {
    match side {
        Side::First => record.start_ns = ns,
        Side::Second => record.end_ns = ns,
    }
}
