//! Headers of a sampled packet: Ethernet, VLAN tags, MPLS labels, IPv4, IPv6 and its
//! extension headers, TCP, UDP, SCTP, ICMP. A sample may end anywhere; what is
//! there is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;

/// Reads an Ethernet frame into `record`. Returns the octets of layer 3 as the
/// IP header has it.
pub(crate) fn ethernet(frame: &[u8], record: &mut Record) -> Option<u32> {
    let mut reader = Reader::new(frame);
    let mut ip_length = None;
    // Running out of octets is how samples end.
    let _ = read_ethernet(&mut reader, record, &mut ip_length);
    ip_length
}

/// Reads a packet that begins with its IPv4 or IPv6 header.
pub(crate) fn ip(packet: &[u8], record: &mut Record) -> Option<u32> {
    let mut reader = Reader::new(packet);
    let mut ip_length = None;
    let _ = read_ip(&mut reader, record, &mut ip_length);
    ip_length
}

fn read_ethernet(
    reader: &mut Reader<'_>,
    record: &mut Record,
    ip_length: &mut Option<u32>,
) -> Result<(), Reject> {
    record.dst_mac = Some(reader.array()?);
    record.src_mac = Some(reader.array()?);
    let mut ether_type = reader.u16()?;
    // IEEE 802.1Q, 802.1ad and its forerunner. The outermost tag is the one that counts.
    while matches!(ether_type, 0x8100 | 0x88a8 | 0x9100) {
        let tag = reader.u16()?;
        record.vlan.get_or_insert(tag & 0x0fff);
        record.vlan_priority.get_or_insert((tag >> 13) as u8);
        ether_type = reader.u16()?;
    }
    record.ethernet_header_len = u16::try_from(reader.offset()).ok();
    // Below 0x600 it is the length of an IEEE 802.3 frame.
    if ether_type < 0x600 {
        return Ok(());
    }
    record.ether_type = Some(ether_type);
    match ether_type {
        0x0800 | 0x86dd => read_ip(reader, record, ip_length),
        0x8847 | 0x8848 => {
            // RFC 3032: the last label has the bottom-of-stack bit.
            while reader.u32()? & 0x100 == 0 {}
            read_ip(reader, record, ip_length)
        }
        _ => Ok(()),
    }
}

fn read_ip(reader: &mut Reader<'_>, record: &mut Record, ip_length: &mut Option<u32>) -> Result<(), Reject> {
    match reader.clone().u8()? >> 4 {
        4 => read_ipv4(reader, record, ip_length),
        6 => read_ipv6(reader, record, ip_length),
        _ => Ok(()),
    }
}

/// RFC 791 §3.1.
fn read_ipv4(
    reader: &mut Reader<'_>,
    record: &mut Record,
    ip_length: &mut Option<u32>,
) -> Result<(), Reject> {
    let header_len = usize::from(reader.u8()? & 0x0f) * 4;
    record.ip_version = Some(4);
    record.tos = Some(reader.u8()?);
    *ip_length = Some(u32::from(reader.u16()?));
    let _identification = reader.u16()?;
    let fragment_offset = reader.u16()? & 0x1fff;
    record.ttl = Some(reader.u8()?);
    let protocol = reader.u8()?;
    record.ip_protocol = Some(protocol);
    let _checksum = reader.u16()?;
    record.src_addr = Some(IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)));
    record.dst_addr = Some(IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)));
    reader.take(header_len.saturating_sub(20))?;
    match fragment_offset {
        0 => read_transport(reader, protocol, record),
        _ => Ok(()),
    }
}

/// RFC 8200 §3.
fn read_ipv6(
    reader: &mut Reader<'_>,
    record: &mut Record,
    ip_length: &mut Option<u32>,
) -> Result<(), Reject> {
    let word = reader.u32()?;
    record.ip_version = Some(6);
    record.tos = Some((word >> 20) as u8);
    record.flow_label = Some(word & 0x000f_ffff);
    // A jumbogram has payload length 0 (RFC 2675) and says the true one in an option.
    *ip_length = Some(match reader.u16()? {
        0 => 0,
        payload => u32::from(payload) + 40,
    });
    let next = reader.u8()?;
    record.ip_protocol = Some(next);
    record.ttl = Some(reader.u8()?);
    record.src_addr = Some(IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)));
    record.dst_addr = Some(IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)));
    match read_extensions(reader, next, record)? {
        Some(protocol) => read_transport(reader, protocol, record),
        None => Ok(()),
    }
}

/// Steps over extension headers (RFC 8200 §4). `None` when the packet is a later
/// fragment, which has no transport header.
fn read_extensions(reader: &mut Reader<'_>, mut next: u8, record: &mut Record) -> Result<Option<u8>, Reject> {
    loop {
        let mut later_fragment = false;
        let following = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => {
                let following = reader.u8()?;
                let units = usize::from(reader.u8()?);
                reader.take(units * 8 + 6)?;
                following
            }
            44 => {
                let following = reader.u8()?;
                reader.u8()?;
                later_fragment = reader.u16()? >> 3 != 0;
                reader.u32()?;
                following
            }
            // Authentication header: its unit is 4 octets (RFC 4302 §2.2).
            51 => {
                let following = reader.u8()?;
                let units = usize::from(reader.u8()?);
                reader.take(units * 4 + 6)?;
                following
            }
            _ => return Ok(Some(next)),
        };
        record.ip_protocol = Some(following);
        if later_fragment {
            return Ok(None);
        }
        next = following;
    }
}

fn read_transport(reader: &mut Reader<'_>, protocol: u8, record: &mut Record) -> Result<(), Reject> {
    match protocol {
        // ICMP, ICMPv6.
        1 | 58 => {
            record.icmp_type = Some(reader.u8()?);
            record.icmp_code = Some(reader.u8()?);
        }
        // TCP, UDP, DCCP, SCTP, UDP-Lite: all begin with the ports.
        6 | 17 | 33 | 132 | 136 => {
            record.src_port = Some(reader.u16()?);
            record.dst_port = Some(reader.u16()?);
        }
        _ => {}
    }
    if protocol == 6 {
        let _numbers = reader.take(8)?;
        record.tcp_flags = Some(reader.u16()? & 0x01ff);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
