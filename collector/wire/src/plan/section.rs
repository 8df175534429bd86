//! Packets sampled by IPFIX (RFC 5476, RFC 7133) and NetFlow v9: a record with the first
//! octets of one packet. They are read as those of sFlow are, and say what the record
//! itself does not.

use crate::element::Section;
use crate::packet;
use crate::record::Record;
use crate::store;

/// Octets of an Ethernet header without tags.
const ETHERNET_HEADER: u64 = 14;
/// IE 408: Ethernet.
const ETHERNET: u64 = 1;

/// What a record says of the packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sections<'a> {
    ip: Option<&'a [u8]>,
    frame: Option<&'a [u8]>,
    frame_size: Option<u64>,
    frame_type: Option<u64>,
    offset: Option<u64>,
    exported: Option<u64>,
    ip_length: Option<u64>,
}

impl<'a> Sections<'a> {
    pub(super) fn put(&mut self, section: Section, bytes: &'a [u8]) {
        let place = match section {
            Section::Ip => {
                self.ip = Some(bytes);
                return;
            }
            Section::Frame => {
                self.frame = Some(bytes);
                return;
            }
            Section::FrameSize => &mut self.frame_size,
            Section::FrameType => &mut self.frame_type,
            Section::Offset => &mut self.offset,
            Section::Exported => &mut self.exported,
            Section::IpLength => &mut self.ip_length,
        };
        *place = store::integer(bytes);
    }

    /// Fills the gaps of the record. Without any counter it is about one packet.
    pub(super) fn settle(&self, record: &mut Record) {
        if self.ip.is_none_or(<[u8]>::is_empty) && self.frame.is_none_or(<[u8]>::is_empty) {
            return;
        }
        let mut packet = Record::new(record.protocol, record.export_ns);
        let ip_length = self.read(&mut packet);
        if record.bytes.is_none() && record.packets.is_none() {
            let stated = self.ip_length.or(ip_length.map(u64::from));
            let header = packet.ethernet_header_len.map_or(ETHERNET_HEADER, u64::from);
            let by_frame = self.frame_size.and_then(|size| size.checked_sub(header));
            record.packets = Some(1);
            record.bytes = stated.filter(|length| *length > 0).or(by_frame);
        }
        fill(record, packet);
    }

    /// Reads the packet; returns the octets of its IP layer.
    fn read(&self, packet: &mut Record) -> Option<u32> {
        if self.offset.unwrap_or(0) != 0 {
            return None;
        }
        let is_ethernet = self.frame_type.unwrap_or(ETHERNET) == ETHERNET;
        let frame = self.frame.filter(|frame| is_ethernet && !frame.is_empty());
        match (frame, self.ip) {
            (Some(frame), _) => packet::ethernet(self.exported_of(frame), packet),
            (None, Some(section)) => packet::ip(self.exported_of(section), packet),
            (None, None) => None,
        }
    }

    /// A section of fixed width is filled up after the octets of the packet.
    fn exported_of(&self, section: &'a [u8]) -> &'a [u8] {
        let exported = self.exported.filter(|exported| *exported > 0);
        let exported = exported.and_then(|exported| usize::try_from(exported).ok());
        exported
            .and_then(|exported| section.get(..exported))
            .unwrap_or(section)
    }
}

/// Takes from the packet what the record does not say. The length of its Ethernet header
/// stays away: it is by this that records of OVS are known.
fn fill(record: &mut Record, packet: Record) {
    if record.src_addr.is_none() && record.dst_addr.is_none() {
        (record.src_addr, record.dst_addr) = (packet.src_addr, packet.dst_addr);
        record.ip_version = record.ip_version.or(packet.ip_version);
    }
    if record.src_port.is_none() && record.dst_port.is_none() {
        (record.src_port, record.dst_port) = (packet.src_port, packet.dst_port);
    }
    record.ip_protocol = record.ip_protocol.or(packet.ip_protocol);
    record.tos = record.tos.or(packet.tos);
    record.ttl = record.ttl.or(packet.ttl);
    record.flow_label = record.flow_label.or(packet.flow_label);
    record.icmp_type = record.icmp_type.or(packet.icmp_type);
    record.icmp_code = record.icmp_code.or(packet.icmp_code);
    record.tcp_flags = record.tcp_flags.or(packet.tcp_flags);
    record.src_mac = record.src_mac.or(packet.src_mac);
    record.dst_mac = record.dst_mac.or(packet.dst_mac);
    record.vlan = record.vlan.or(packet.vlan);
    record.vlan_priority = record.vlan_priority.or(packet.vlan_priority);
    record.ether_type = record.ether_type.or(packet.ether_type);
    if record.tunnel_type.is_none() && record.tunnel_key.is_none() && record.tunnel_src.is_none() {
        record.tunnel_direction = packet.tunnel_direction;
        record.tunnel_type = packet.tunnel_type;
        record.tunnel_key = packet.tunnel_key;
        record.tunnel_src = packet.tunnel_src;
        record.tunnel_dst = packet.tunnel_dst;
        record.tunnel_protocol = packet.tunnel_protocol;
        record.tunnel_src_port = packet.tunnel_src_port;
        record.tunnel_dst_port = packet.tunnel_dst_port;
    }
    for (attribute, value) in packet.attributes.iter() {
        if record.attributes.get(attribute).is_none() {
            record.attributes.set(attribute, value.clone());
        }
    }
}
