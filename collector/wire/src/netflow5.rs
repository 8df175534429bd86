//! NetFlow v5, parsed by `netflow_parser`; this file owns the checks that make a
//! precise refusal, and the step from its flows to ours.

use std::net::IpAddr;

use netflow_parser::static_versions::v5::{FlowSet, Header, V5};

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
    let body = reader.rest();
    let count = reader.clone().u16()?;
    if !(1..=30).contains(&count) {
        return Err(Reject::FlowCount { found: count });
    }
    let expected = HEADER + FLOW * usize::from(count);
    let truncated = Reject::Truncated {
        offset: reader.offset(),
        expected,
        found: body.len(),
    };
    let Ok((_, message)) = V5::parse_direct(body) else {
        return Err(truncated);
    };
    let clock = clock(&message.header);
    let start = out.len();
    // Written where they stay: a record is large.
    let empty = || Record::new(Protocol::NetFlow5, clock.export_ns);
    out.extend(std::iter::repeat_with(empty).take(message.flowsets.len()));
    for (record, flow) in out.iter_mut().skip(start).zip(&message.flowsets) {
        fill(record, &message.header, clock, flow);
    }
    Ok(Summary {
        engine: Some((message.header.engine_type, message.header.engine_id)),
        sequence: message.header.flow_sequence,
        records: message.flowsets.len(),
        data_records: message.flowsets.len(),
        trailing_bytes: body.len() - expected.min(body.len()),
        ..Summary::new(Protocol::NetFlow5, clock.export_ns)
    })
}

fn clock(header: &Header) -> Clock {
    Clock::new(header.unix_secs, header.unix_nsecs, Some(header.sys_up_time))
}

fn fill(record: &mut Record, header: &Header, clock: Clock, flow: &FlowSet) {
    record.engine_type = Some(header.engine_type);
    record.engine_id = Some(header.engine_id);
    // No flow began and ended when its exporter was started: both were left out.
    if flow.first | flow.last != 0 {
        record.start_ns = clock.at_uptime(flow.first);
        record.end_ns = clock.at_uptime(flow.last);
    }
    record.src_addr = Some(IpAddr::V4(flow.src_addr));
    record.dst_addr = Some(IpAddr::V4(flow.dst_addr));
    record.ip_protocol = Some(flow.protocol_number);
    record.ip_version = Some(4);
    record.tos = Some(flow.tos);
    record.tcp_flags = Some(u16::from(flow.tcp_flags));
    record.bytes = Some(u64::from(flow.d_octets));
    record.packets = Some(u64::from(flow.d_pkts));
    record.in_if = Some(u32::from(flow.input));
    record.out_if = Some(u32::from(flow.output));
    let sampling = u32::from(header.sampling_interval & 0x3fff);
    record.sampling = (sampling > 0).then_some(sampling);
    if flow.protocol_number == 1 {
        // The destination port of ICMP flows is type and code.
        let [kind, code] = flow.dst_port.to_be_bytes();
        (record.icmp_type, record.icmp_code) = (Some(kind), Some(code));
    } else {
        (record.src_port, record.dst_port) = (Some(flow.src_port), Some(flow.dst_port));
    }
    if has_routing(flow) {
        record.attributes = routing(flow);
    }
}

/// Whether the router told how it routes the flow. OVS does not route.
fn has_routing(flow: &FlowSet) -> bool {
    let masks = flow.src_mask | flow.dst_mask;
    !flow.next_hop.is_unspecified() || flow.src_as | flow.dst_as | u16::from(masks) != 0
}

#[inline(never)]
fn routing(flow: &FlowSet) -> Attributes {
    let mut said = Attributes::NONE;
    if !flow.next_hop.is_unspecified() {
        said.set(Attribute::NextHop, AttributeValue::Address(flow.next_hop.into()));
    }
    let numbers = [
        (Attribute::SrcAs, u64::from(flow.src_as)),
        (Attribute::DstAs, u64::from(flow.dst_as)),
        (Attribute::SrcPrefixLen, u64::from(flow.src_mask)),
        (Attribute::DstPrefixLen, u64::from(flow.dst_mask)),
    ];
    for (attribute, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
        said.set(attribute, AttributeValue::Unsigned(number));
    }
    said
}
