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
    let (words, _) = message.rest().as_chunks();
    let (flows, _): (&[Words], _) = words.as_chunks();
    for (record, flow) in out.iter_mut().skip(start).zip(flows) {
        fill(record, &header, &Flow::read(flow));
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

/// A flow in groups of four octets.
type Words = [[u8; 4]; FLOW / 4];

/// Two numbers in one group.
const fn halves([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
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
    fn read(words: &Words) -> Self {
        let [
            src_addr,
            dst_addr,
            next_hop,
            interfaces,
            packets,
            bytes,
            first,
            last,
            ports,
            [_, tcp_flags, protocol, tos],
            systems,
            [src_mask, dst_mask, _, _],
        ] = *words;
        let (in_if, out_if) = halves(interfaces);
        let (src_port, dst_port) = halves(ports);
        let (src_as, dst_as) = halves(systems);
        Self {
            src_addr: src_addr.into(),
            dst_addr: dst_addr.into(),
            next_hop: next_hop.into(),
            in_if,
            out_if,
            packets: u32::from_be_bytes(packets),
            bytes: u32::from_be_bytes(bytes),
            first: u32::from_be_bytes(first),
            last: u32::from_be_bytes(last),
            src_port,
            dst_port,
            tcp_flags,
            protocol,
            tos,
            src_as,
            dst_as,
            src_mask,
            dst_mask,
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
