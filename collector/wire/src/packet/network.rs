//! IPv4, IPv6 with its extension headers, and the first bytes of what they carry; and
//! the proof that bytes are IP where nothing says so. Nothing behind the end that an IP
//! header states is read: that is padding.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Walk;
use super::tunnel::Tunnel;
use crate::reader::Reader;
use crate::reject::Reject;

/// Extension headers that are stepped over; a packet with more says no more.
const MAX_EXTENSIONS: usize = 16;
/// Bytes of an IPv4 header without options, and of an IPv6 header.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

const ICMP: u8 = 1;
const IP_IN_IP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const ICMP6: u8 = 58;

impl Walk<'_, '_> {
    /// IPv4 or IPv6, whichever the version says.
    pub(super) fn ip(&mut self) -> Result<(), Reject> {
        match self.reader.clone().u8()? >> 4 {
            4 => self.ipv4(),
            6 => self.ipv6(),
            _ => Ok(()),
        }
    }

    /// The network layer that an EtherType names, if it is of that version.
    pub(super) fn network(&mut self, ether_type: u16) -> Result<(), Reject> {
        match (ether_type, self.reader.clone().u8()? >> 4) {
            (0x0800, 4) => self.ipv4(),
            (0x86dd, 6) => self.ipv6(),
            _ => Ok(()),
        }
    }

    /// RFC 791 §3.1.
    fn ipv4(&mut self) -> Result<(), Reject> {
        let header_len = usize::from(self.reader.u8()? & 0x0f) * 4;
        if header_len < IPV4_HEADER {
            return Ok(());
        }
        self.record.ip_version = Some(4);
        self.record.tos = Some(self.reader.u8()?);
        let total_len = self.reader.u16()?;
        // 0 where a card or the kernel has yet to cut it into packets.
        let is_length = total_len == 0 || usize::from(total_len) >= header_len;
        self.headers.ip_length = is_length.then_some(u32::from(total_len));
        let _identification = self.reader.u16()?;
        let fragment_offset = self.reader.u16()? & 0x1fff;
        self.record.ttl = Some(self.reader.u8()?);
        let protocol = self.reader.u8()?;
        self.record.ip_protocol = Some(protocol);
        let _checksum = self.reader.u16()?;
        self.record.src_addr = Some(IpAddr::V4(Ipv4Addr::from(self.reader.array::<4>()?)));
        self.record.dst_addr = Some(IpAddr::V4(Ipv4Addr::from(self.reader.array::<4>()?)));
        self.reader.take(header_len - IPV4_HEADER)?;
        match (fragment_offset, is_length) {
            (0, true) => {
                self.end_at(usize::from(total_len).checked_sub(header_len))?;
                self.transport(protocol)
            }
            _ => Ok(()),
        }
    }

    /// RFC 8200 §3.
    fn ipv6(&mut self) -> Result<(), Reject> {
        let word = self.reader.u32()?;
        self.record.ip_version = Some(6);
        self.record.tos = Some((word >> 20) as u8);
        self.record.flow_label = Some(word & 0x000f_ffff);
        // A jumbogram has payload length 0 (RFC 2675) and says the true one in an option.
        let payload = self.reader.u16()?;
        self.headers.ip_length = Some(match payload {
            0 => 0,
            payload => u32::from(payload) + 40,
        });
        let next = self.reader.u8()?;
        self.record.ip_protocol = Some(next);
        self.record.ttl = Some(self.reader.u8()?);
        self.record.src_addr = Some(IpAddr::V6(Ipv6Addr::from(self.reader.array::<16>()?)));
        self.record.dst_addr = Some(IpAddr::V6(Ipv6Addr::from(self.reader.array::<16>()?)));
        self.end_at(Some(usize::from(payload)).filter(|&payload| payload != 0))?;
        match self.extensions(next)? {
            Some(protocol) => self.transport(protocol),
            None => Ok(()),
        }
    }

    /// Leaves no more to be read than the packet has.
    fn end_at(&mut self, payload: Option<usize>) -> Result<(), Reject> {
        if let Some(payload) = payload {
            let there = self.reader.left();
            self.reader = self.reader.part(payload.min(there))?;
        }
        Ok(())
    }

    /// Steps over extension headers (RFC 8200 §4). `None` when the packet is a later
    /// fragment, which has no transport header, or has too many of them.
    fn extensions(&mut self, mut next: u8) -> Result<Option<u8>, Reject> {
        for _ in 0..MAX_EXTENSIONS {
            let mut later_fragment = false;
            let reader = &mut self.reader;
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
                // Authentication header: its unit is 4 bytes (RFC 4302 §2.2).
                51 => {
                    let following = reader.u8()?;
                    let units = usize::from(reader.u8()?);
                    reader.take(units * 4 + 6)?;
                    following
                }
                _ => return Ok(Some(next)),
            };
            self.record.ip_protocol = Some(following);
            if later_fragment {
                return Ok(None);
            }
            next = following;
        }
        Ok(None)
    }

    fn transport(&mut self, protocol: u8) -> Result<(), Reject> {
        let (reader, record) = (&mut self.reader, &mut *self.record);
        match protocol {
            ICMP | ICMP6 => {
                record.icmp_type = Some(reader.u8()?);
                record.icmp_code = Some(reader.u8()?);
            }
            TCP => {
                record.src_port = Some(reader.u16()?);
                record.dst_port = Some(reader.u16()?);
                let _numbers = reader.take(8)?;
                record.tcp_flags = Some(reader.u16()? & 0x01ff);
            }
            UDP => {
                record.src_port = Some(reader.u16()?);
                record.dst_port = Some(reader.u16()?);
                let _length_and_checksum = reader.u32()?;
                self.headers.tunnel = Tunnel::over_udp(reader, record)?;
            }
            // DCCP, SCTP and UDP-Lite begin with the ports, too.
            33 | 132 | 136 => {
                record.src_port = Some(reader.u16()?);
                record.dst_port = Some(reader.u16()?);
            }
            GRE => self.headers.tunnel = Tunnel::over_gre(reader)?,
            IP_IN_IP => self.headers.tunnel = Tunnel::over_ip(reader, 4)?,
            IPV6_IN_IP => self.headers.tunnel = Tunnel::over_ip(reader, 6)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether what follows is IP beyond doubt, though it need not be: by its version,
    /// its lengths against what there is, and for IPv4 its checksum.
    pub(super) fn proves_ip(&self) -> bool {
        let (bytes, wire_length) = (self.reader.rest(), self.wire_left());
        match bytes.first().map(|first| first >> 4) {
            Some(4) => is_ipv4(bytes, wire_length).unwrap_or(false),
            Some(6) => is_ipv6(bytes, wire_length).unwrap_or(false),
            _ => false,
        }
    }
}

/// The total length must be possible; that it is exactly what there is, or that the
/// checksum is right, is the proof. `None`: too little is there.
fn is_ipv4(bytes: &[u8], wire_length: Option<usize>) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    let header_len = usize::from(reader.u8().ok()? & 0x0f) * 4;
    reader.u8().ok()?;
    let total_len = usize::from(reader.u16().ok()?);
    let is_possible = header_len >= IPV4_HEADER
        && total_len >= header_len
        && wire_length.is_none_or(|length| total_len <= length);
    let header = bytes.get(..header_len);
    let is_proven = wire_length == Some(total_len) || header.is_some_and(is_checksum_right);
    Some(is_possible && is_proven)
}

/// RFC 1071: the ones' complement sum over header and checksum is all ones.
fn is_checksum_right(header: &[u8]) -> bool {
    let words = header
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    let mut sum: u32 = words.map(|pair| u32::from(u16::from_be_bytes(pair))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// There is no checksum: the length must be exactly what there is. Where that is not
/// known, at least what is there, between addresses of the space that is assigned.
fn is_ipv6(bytes: &[u8], wire_length: Option<usize>) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    reader.u32().ok()?;
    let length = usize::from(reader.u16().ok()?) + IPV6_HEADER;
    let Some(wire_length) = wire_length else {
        reader.u16().ok()?;
        let (src, dst) = (reader.array::<16>().ok()?, reader.array::<16>().ok()?);
        let are_assigned = is_assigned(src, false) && is_assigned(dst, true);
        return Some(length >= bytes.len() && are_assigned);
    };
    Some(length == wire_length)
}

/// Global and unique local unicast, link-local; for a destination multicast, too
/// (IANA's registry of the IPv6 address space).
fn is_assigned(address: [u8; 16], multicast: bool) -> bool {
    let address = Ipv6Addr::from(address);
    let is_global = address.octets()[0] >> 5 == 1;
    is_global
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || (multicast && address.is_multicast())
}
