//! NetFlow v5, parsed by `netflow_parser`; this file owns the checks that make a
//! precise refusal, and the step from its flows to ours.

use std::net::IpAddr;

use netflow_parser::static_versions::v5::{FlowSet, Header, V5};

use crate::clock::Clock;
use crate::decoder::Summary;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;

/// Octets of the header after the version.
const HEADER: usize = 22;
/// Octets of one flow.
const FLOW: usize = 48;

/// Decodes one datagram. Octets after the last flow are ignored.
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
        ..Summary::new(Protocol::NetFlow5, clock.export_ns)
    })
}

fn clock(header: &Header) -> Clock {
    Clock::new(header.unix_secs, header.unix_nsecs, Some(header.sys_up_time))
}

fn record(header: &Header, clock: Clock, flow: &FlowSet) -> Record {
    let sampling = u32::from(header.sampling_interval & 0x3fff);
    let mut record = Record {
        engine_type: Some(header.engine_type),
        engine_id: Some(header.engine_id),
        start_ns: clock.at_uptime(flow.first),
        end_ns: clock.at_uptime(flow.last),
        src_addr: Some(IpAddr::V4(flow.src_addr)),
        dst_addr: Some(IpAddr::V4(flow.dst_addr)),
        src_port: Some(flow.src_port),
        dst_port: Some(flow.dst_port),
        ip_protocol: Some(flow.protocol_number),
        ip_version: Some(4),
        tos: Some(flow.tos),
        tcp_flags: Some(u16::from(flow.tcp_flags)),
        octets: Some(u64::from(flow.d_octets)),
        packets: Some(u64::from(flow.d_pkts)),
        in_if: Some(u32::from(flow.input)),
        out_if: Some(u32::from(flow.output)),
        sampling: (sampling > 0).then_some(sampling),
        ..Record::new(Protocol::NetFlow5, clock.export_ns)
    };
    if flow.protocol_number == 1 {
        set_icmp(&mut record, flow.dst_port);
    }
    record
}

/// The destination port of ICMP flows is type and code.
fn set_icmp(record: &mut Record, port: u16) {
    let [kind, code] = port.to_be_bytes();
    record.icmp_type = Some(kind);
    record.icmp_code = Some(code);
    record.src_port = None;
    record.dst_port = None;
}
