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
    out.extend(
        message
            .flowsets
            .iter()
            .map(|flow| record(&message.header, clock, flow)),
    );
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

/// In one expression, so that it is written where it stays.
fn record(header: &Header, clock: Clock, flow: &FlowSet) -> Record {
    let sampling = u32::from(header.sampling_interval & 0x3fff);
    // The destination port of ICMP flows is type and code.
    let is_icmp = flow.protocol_number == 1;
    let [kind, code] = flow.dst_port.to_be_bytes();
    // No flow began and ended when its exporter was started: both were left out.
    let is_timed = flow.first | flow.last != 0;
    Record {
        engine_type: Some(header.engine_type),
        engine_id: Some(header.engine_id),
        start_ns: clock.at_uptime(flow.first).filter(|_| is_timed),
        end_ns: clock.at_uptime(flow.last).filter(|_| is_timed),
        src_addr: Some(IpAddr::V4(flow.src_addr)),
        dst_addr: Some(IpAddr::V4(flow.dst_addr)),
        src_port: (!is_icmp).then_some(flow.src_port),
        dst_port: (!is_icmp).then_some(flow.dst_port),
        icmp_type: is_icmp.then_some(kind),
        icmp_code: is_icmp.then_some(code),
        ip_protocol: Some(flow.protocol_number),
        ip_version: Some(4),
        tos: Some(flow.tos),
        tcp_flags: Some(u16::from(flow.tcp_flags)),
        octets: Some(u64::from(flow.d_octets)),
        packets: Some(u64::from(flow.d_pkts)),
        in_if: Some(u32::from(flow.input)),
        out_if: Some(u32::from(flow.output)),
        sampling: (sampling > 0).then_some(sampling),
        attributes: if has_routing(flow) {
            routing(flow)
        } else {
            Attributes::NONE
        },
        ..Record::new(Protocol::NetFlow5, clock.export_ns)
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
