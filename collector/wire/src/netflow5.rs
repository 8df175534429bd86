//! NetFlow v5 (Cisco, "NetFlow Export Datagram Format", version 5): a header of 24 octets
//! and 1 to 30 flows of 48, every field at its place.

use std::net::{IpAddr, Ipv4Addr};

use crate::attribute::{Attribute, AttributeValue, Attributes};
use crate::clock::Clock;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;
use crate::summary::Summary;

/// Octets of the header after the version.
const HEADER: usize = 22;
/// Octets of one flow.
const FLOW: usize = 48;

/// Decodes one datagram. Octets after the last flow are counted.
pub(crate) fn decode(datagram: &[u8], out: &mut Vec<Record>) -> Result<Summary, Reject> {
    let mut reader = Reader::new(datagram);
    reader.u16()?;
    let count = reader.clone().u16()?;
    if !(1..=30).contains(&count) {
        return Err(Reject::FlowCount { found: count });
    }
    let count = usize::from(count);
    let mut message = reader.part(HEADER + FLOW * count)?;
    let header = Header::read(&mut message)?;
    let start = out.len();
    // Written where they stay: a record is large.
    let empty = || Record::new(Protocol::NetFlow5, header.clock.export_ns);
    out.extend(std::iter::repeat_with(empty).take(count));
    let (flows, _) = message.rest().as_chunks();
    for (record, octets) in out.iter_mut().skip(start).zip(flows) {
        fill(record, &header, &Flow::read(octets));
    }
    Ok(Summary {
        engine: Some((header.engine_type, header.engine_id)),
        sequence: header.sequence,
        records: count,
        data_records: count,
        trailing_bytes: reader.left(),
        ..Summary::new(Protocol::NetFlow5, header.clock.export_ns)
    })
}

/// What the header says of all flows.
struct Header {
    clock: Clock,
    sequence: u32,
    engine_type: u8,
    engine_id: u8,
    /// One packet of so many was looked at; 0 is not told.
    sampling: u32,
}

impl Header {
    fn read(message: &mut Reader) -> Result<Self, Reject> {
        let _count = message.u16()?;
        let uptime = message.u32()?;
        let (seconds, nanoseconds) = (message.u32()?, message.u32()?);
        Ok(Self {
            clock: Clock::new(seconds, nanoseconds, Some(uptime)),
            sequence: message.u32()?,
            engine_type: message.u8()?,
            engine_id: message.u8()?,
            // The upper two bits are how packets were chosen.
            sampling: u32::from(message.u16()? & 0x3fff),
        })
    }
}

/// The 16 bits of a flow at a place that is inside it.
#[inline]
const fn u16_at(octets: &[u8; FLOW], place: usize) -> u16 {
    u16::from_be_bytes([octets[place], octets[place + 1]])
}

/// The 32 bits of a flow at a place that is inside it.
#[inline]
const fn u32_at(octets: &[u8; FLOW], place: usize) -> u32 {
    (u16_at(octets, place) as u32) << 16 | u16_at(octets, place + 2) as u32
}

/// A flow's fields, in their order.
struct Flow {
    src_addr: Ipv4Addr,
    dst_addr: Ipv4Addr,
    next_hop: Ipv4Addr,
    in_if: u16,
    out_if: u16,
    packets: u32,
    bytes: u32,
    /// Milliseconds since the exporter was started, as `last`.
    first: u32,
    last: u32,
    src_port: u16,
    dst_port: u16,
    tcp_flags: u8,
    protocol: u8,
    tos: u8,
    src_as: u16,
    dst_as: u16,
    src_mask: u8,
    dst_mask: u8,
}

impl Flow {
    #[inline]
    fn read(octets: &[u8; FLOW]) -> Self {
        let address = |place| Ipv4Addr::from(u32_at(octets, place));
        Self {
            src_addr: address(0),
            dst_addr: address(4),
            next_hop: address(8),
            in_if: u16_at(octets, 12),
            out_if: u16_at(octets, 14),
            packets: u32_at(octets, 16),
            bytes: u32_at(octets, 20),
            first: u32_at(octets, 24),
            last: u32_at(octets, 28),
            src_port: u16_at(octets, 32),
            dst_port: u16_at(octets, 34),
            tcp_flags: octets[37],
            protocol: octets[38],
            tos: octets[39],
            src_as: u16_at(octets, 40),
            dst_as: u16_at(octets, 42),
            src_mask: octets[44],
            dst_mask: octets[45],
        }
    }

    /// Whether the router told how it routes the flow. OVS does not route.
    const fn has_routing(&self) -> bool {
        let numbers = self.src_as | self.dst_as | (self.src_mask | self.dst_mask) as u16;
        !self.next_hop.is_unspecified() || numbers != 0
    }

    #[inline(never)]
    fn routing(&self) -> Attributes {
        let mut said = Attributes::NONE;
        if !self.next_hop.is_unspecified() {
            said.set(Attribute::NextHop, AttributeValue::Address(self.next_hop.into()));
        }
        let numbers = [
            (Attribute::SrcAs, u64::from(self.src_as)),
            (Attribute::DstAs, u64::from(self.dst_as)),
            (Attribute::SrcPrefixLen, u64::from(self.src_mask)),
            (Attribute::DstPrefixLen, u64::from(self.dst_mask)),
        ];
        for (attribute, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            said.set(attribute, AttributeValue::Unsigned(number));
        }
        said
    }
}

fn fill(record: &mut Record, header: &Header, flow: &Flow) {
    record.engine_type = Some(header.engine_type);
    record.engine_id = Some(header.engine_id);
    // No flow began and ended when its exporter was started: both were left out.
    if flow.first | flow.last != 0 {
        record.start_ns = header.clock.at_uptime(flow.first);
        record.end_ns = header.clock.at_uptime(flow.last);
    }
    record.src_addr = Some(IpAddr::V4(flow.src_addr));
    record.dst_addr = Some(IpAddr::V4(flow.dst_addr));
    record.ip_protocol = Some(flow.protocol);
    record.ip_version = Some(4);
    record.tos = Some(flow.tos);
    record.tcp_flags = Some(u16::from(flow.tcp_flags));
    record.bytes = Some(u64::from(flow.bytes));
    record.packets = Some(u64::from(flow.packets));
    record.in_if = Some(u32::from(flow.in_if));
    record.out_if = Some(u32::from(flow.out_if));
    record.sampling = (header.sampling > 0).then_some(header.sampling);
    if flow.protocol == 1 {
        // The destination port of ICMP flows is type and code.
        let [kind, code] = flow.dst_port.to_be_bytes();
        (record.icmp_type, record.icmp_code) = (Some(kind), Some(code));
    } else {
        (record.src_port, record.dst_port) = (Some(flow.src_port), Some(flow.dst_port));
    }
    if flow.has_routing() {
        record.attributes = flow.routing();
    }
}
