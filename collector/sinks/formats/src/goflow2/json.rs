//! The JSON that goflow2 writes when nothing else is configured: each field of the message,
//! zeros as well, in the order of its struct.

use std::fmt::{self, Write};
use std::net::IpAddr;

use super::message::{FlowMessage, FlowType};
use protocols::protocol_name;

mod protocols;

/// Appends one object, without a line's end.
pub fn write_json(message: &FlowMessage, out: &mut String) {
    write!(out, "{}", Object(message)).expect("a String takes whatever is written to it");
}

struct Object<'a>(&'a FlowMessage);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        let (src, dst) = (Address(&m.src_addr), Address(&m.dst_addr));
        write!(
            f,
            r#"{{"type":"{}","time_received_ns":{}"#,
            kind(m),
            m.time_received_ns
        )?;
        write!(
            f,
            r#","sequence_num":{},"sampling_rate":{}"#,
            m.sequence_num, m.sampling_rate
        )?;
        write!(f, r#","sampler_address":"{}""#, Address(&m.sampler_address))?;
        write!(f, r#","time_flow_start_ns":{}"#, m.time_flow_start_ns)?;
        write!(f, r#","time_flow_end_ns":{}"#, m.time_flow_end_ns)?;
        write!(f, r#","bytes":{},"packets":{}"#, m.bytes, m.packets)?;
        write!(f, r#","src_addr":"{src}","dst_addr":"{dst}""#)?;
        write!(
            f,
            r#","etype":"{}","proto":"{}""#,
            etype(m.etype),
            protocol_name(m.proto)
        )?;
        write!(f, r#","src_port":{},"dst_port":{}"#, m.src_port, m.dst_port)?;
        write!(f, r#","in_if":{},"out_if":{}"#, m.in_if, m.out_if)?;
        write!(
            f,
            r#","src_mac":"{}","dst_mac":"{}""#,
            Mac(m.src_mac),
            Mac(m.dst_mac)
        )?;
        write!(f, r#","src_vlan":0,"dst_vlan":0,"vlan_id":{}"#, m.vlan_id)?;
        write!(
            f,
            r#","ip_tos":{},"forwarding_status":{}"#,
            m.ip_tos, m.forwarding_status
        )?;
        write!(
            f,
            r#","ip_ttl":{},"ip_flags":0,"tcp_flags":{}"#,
            m.ip_ttl, m.tcp_flags
        )?;
        write!(f, r#","icmp_type":{},"icmp_code":{}"#, m.icmp_type, m.icmp_code)?;
        write!(f, r#","ipv6_flow_label":0,"fragment_id":0,"fragment_offset":0"#)?;
        write!(f, r#","src_as":{},"dst_as":{}"#, m.src_as, m.dst_as)?;
        write!(f, r#","next_hop":"{}","next_hop_as":0"#, Address(&m.next_hop))?;
        write!(f, r#","src_net":"{}""#, Network(&m.src_addr, m.src_net))?;
        write!(f, r#","dst_net":"{}""#, Network(&m.dst_addr, m.dst_net))?;
        write!(
            f,
            r#","bgp_next_hop":"{}","bgp_communities":[],"as_path":[]"#,
            Address(&m.bgp_next_hop)
        )?;
        write!(
            f,
            r#","mpls_ttl":[],"mpls_label":{:?},"mpls_ip":[]"#,
            Numbers(&m.mpls_label)
        )?;
        write!(f, r#","observation_domain_id":{}"#, m.observation_domain_id)?;
        write!(f, r#","observation_point_id":{}"#, m.observation_point_id)?;
        write!(f, r#","layer_stack":[],"layer_size":[]"#)?;
        write!(
            f,
            r#","ipv6_routing_header_addresses":[],"ipv6_routing_header_seg_left":0}}"#
        )
    }
}

fn kind(message: &FlowMessage) -> &'static str {
    match message.r#type() {
        FlowType::Flowunknown => "FLOWUNKNOWN",
        FlowType::Sflow5 => "SFLOW_5",
        FlowType::NetflowV5 => "NETFLOW_V5",
        FlowType::NetflowV9 => "NETFLOW_V9",
        FlowType::Ipfix => "IPFIX",
    }
}

fn etype(number: u32) -> &'static str {
    match number {
        0x0800 => "IPv4",
        0x86dd => "IPv6",
        _ => "",
    }
}

/// 4 or 16 octets as text; nothing otherwise.
struct Address<'a>(&'a [u8]);

impl Address<'_> {
    fn address(&self) -> Option<IpAddr> {
        let of_16 = || <[u8; 16]>::try_from(self.0).map(IpAddr::from).ok();
        <[u8; 4]>::try_from(self.0).map(IpAddr::from).ok().or_else(of_16)
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().map_or(Ok(()), |address| write!(f, "{address}"))
    }
}

/// The network of so many bits that an address is in.
struct Network<'a>(&'a [u8], u32);

impl fmt::Display for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = match (Address(self.0).address(), self.1) {
            (Some(IpAddr::V4(address)), bits @ 0..=32) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                IpAddr::from((u32::from(address) & mask).to_be_bytes())
            }
            (Some(IpAddr::V6(address)), bits @ 0..=128) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                IpAddr::from((u128::from(address) & mask).to_be_bytes())
            }
            // What Go's netip says of such a network.
            _ => return f.write_str("invalid Prefix"),
        };
        write!(f, "{masked}/{}", self.1)
    }
}

struct Mac(u64);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in [40, 32, 24, 16, 8] {
            write!(f, "{:02x}:", self.0 >> shift & 0xff)?;
        }
        write!(f, "{:02x}", self.0 & 0xff)
    }
}

/// A list without spaces.
struct Numbers<'a>(&'a [u32]);

impl fmt::Debug for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (place, number) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{number}")?;
        }
        f.write_char(']')
    }
}
