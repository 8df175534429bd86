//! sFlow v5, parsed by `sflow-parser`; this file owns the step from a flow sample
//! to a record. Counter samples are counted, not read.

use std::net::IpAddr;

use sflow_parser::models::record_flows::{HeaderProtocol, SampledHeader, SampledIpv4, SampledIpv6};
use sflow_parser::models::{
    Address, FlowData, FlowRecord, FlowSample, FlowSampleExpanded, Interface, InterfaceExpanded,
    SFlowDatagram, SampleData,
};

use crate::clock;
use crate::decoder::Summary;
use crate::packet;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::record::{Direction, PacketSample, Record, SampledInterface};
use crate::reject::Reject;

/// VLAN 0 is no VLAN, all ones is unknown, and there are only 4094 of them.
const VLANS: std::ops::Range<u32> = 1..4095;

/// Decodes one datagram; its samples are dated `now_ms`. Octets after the last
/// sample are ignored.
pub(crate) fn decode(datagram: &[u8], now_ms: u64, out: &mut Vec<Record>) -> Result<Summary, Reject> {
    check_header(datagram)?;
    let message = sflow_parser::parse_datagram(datagram).map_err(|error| Reject::Sflow {
        what: error.to_string(),
    })?;
    let export_ns = clock::from_milliseconds(now_ms).unwrap_or(u64::MAX);
    let mut summary = Summary {
        sequence: message.sequence_number,
        ..Summary::new(Protocol::Sflow5, export_ns)
    };
    let context = Context::of(&message, export_ns);
    for sample in &message.samples {
        match &sample.sample_data {
            SampleData::FlowSample(sample) => out.push(context.record(compact(sample), &sample.flow_records)),
            SampleData::FlowSampleExpanded(sample) => {
                out.push(context.record(expanded(sample), &sample.flow_records));
            }
            SampleData::CountersSample(_) | SampleData::CountersSampleExpanded(_) => {
                summary.counter_samples += 1;
                continue;
            }
            _ => {
                summary.other_samples += 1;
                continue;
            }
        }
        summary.records += 1;
    }
    Ok(summary)
}

/// The datagram header has 28 octets with an IPv4 agent, 40 with an IPv6 one; the
/// parser would not say where a shorter one ends.
fn check_header(datagram: &[u8]) -> Result<(), Reject> {
    let mut reader = Reader::new(datagram);
    reader.u32()?;
    let address = match reader.u32()? {
        1 => 4,
        2 => 16,
        _ => 0,
    };
    reader.take(address + 16).map(|_| ())
}

/// What all samples of a datagram share.
struct Context {
    agent: Option<IpAddr>,
    sub_agent: u32,
    export_ns: u64,
}

impl Context {
    fn of(message: &SFlowDatagram, export_ns: u64) -> Self {
        let agent = match message.agent_address {
            Address::IPv4(address) => Some(IpAddr::V4(address)),
            Address::IPv6(address) => Some(IpAddr::V6(address)),
            Address::Unknown => None,
        };
        Self {
            agent,
            sub_agent: message.sub_agent_id,
            export_ns,
        }
    }

    fn record(&self, mut sample: PacketSample, parts: &[FlowRecord]) -> Record {
        let mut record = Record {
            agent: self.agent,
            sub_agent: Some(self.sub_agent),
            sampling: (sample.rate > 0).then_some(sample.rate),
            in_if: sample.input.if_index(),
            out_if: sample.output.if_index(),
            start_ns: Some(self.export_ns),
            end_ns: Some(self.export_ns),
            ..Record::new(Protocol::Sflow5, self.export_ns)
        };
        for part in parts {
            read_part(&part.flow_data, &mut record, &mut sample);
        }
        for part in parts {
            fill_gaps(&part.flow_data, &mut record, &mut sample);
        }
        record.sample = Some(sample);
        record
    }
}

fn compact(sample: &FlowSample) -> PacketSample {
    PacketSample {
        sequence: sample.sequence_number,
        source_type: u32::from(sample.source_id.source_type()),
        source_index: sample.source_id.index(),
        rate: sample.sampling_rate,
        pool: sample.sample_pool,
        drops: sample.drops,
        input: from_compact(sample.input),
        output: from_compact(sample.output),
        ..PacketSample::default()
    }
}

fn expanded(sample: &FlowSampleExpanded) -> PacketSample {
    PacketSample {
        sequence: sample.sequence_number,
        source_type: sample.source_id.source_id_type,
        source_index: sample.source_id.source_id_index,
        rate: sample.sampling_rate,
        pool: sample.sample_pool,
        drops: sample.drops,
        input: from_expanded(sample.input),
        output: from_expanded(sample.output),
        ..PacketSample::default()
    }
}

fn from_compact(interface: Interface) -> SampledInterface {
    SampledInterface {
        format: u32::from(interface.format()),
        value: interface.value(),
    }
}

fn from_expanded(interface: InterfaceExpanded) -> SampledInterface {
    SampledInterface {
        format: interface.format,
        value: interface.value,
    }
}

/// Takes what a part of a flow sample says for itself.
fn read_part(part: &FlowData, record: &mut Record, sample: &mut PacketSample) {
    match part {
        FlowData::SampledHeader(header) => read_header(header, record, sample),
        FlowData::ExtendedIpv4TunnelEgress(tunnel) => tunnel4(record, Direction::Egress, &tunnel.header),
        FlowData::ExtendedIpv4TunnelIngress(tunnel) => tunnel4(record, Direction::Ingress, &tunnel.header),
        FlowData::ExtendedIpv6TunnelEgress(tunnel) => tunnel6(record, Direction::Egress, &tunnel.header),
        FlowData::ExtendedIpv6TunnelIngress(tunnel) => tunnel6(record, Direction::Ingress, &tunnel.header),
        FlowData::ExtendedVniEgress(vni) => tunnel_key(record, Direction::Egress, vni.vni),
        FlowData::ExtendedVniIngress(vni) => tunnel_key(record, Direction::Ingress, vni.vni),
        _ => {}
    }
}

fn read_header(header: &SampledHeader, record: &mut Record, sample: &mut PacketSample) {
    sample.frame_length = header.frame_length;
    sample.stripped = header.stripped;
    sample.ip_length = match header.protocol {
        HeaderProtocol::EthernetIso88023 => packet::ethernet(&header.header, record),
        HeaderProtocol::Ipv4 | HeaderProtocol::Ipv6 => packet::ip(&header.header, record),
        _ => None,
    };
}

/// A packet may come out of one tunnel and go into another: the one that it goes
/// into says where it is sent.
fn enters(record: &mut Record, direction: Direction) -> bool {
    if record.tunnel_direction == Some(Direction::Egress) && direction == Direction::Ingress {
        return false;
    }
    if record.tunnel_direction != Some(direction) {
        record.tunnel_key = None;
        record.tunnel_direction = Some(direction);
    }
    true
}

fn tunnel_key(record: &mut Record, direction: Direction, vni: u32) {
    if enters(record, direction) {
        record.tunnel_key = Some(u64::from(vni));
    }
}

fn tunnel4(record: &mut Record, direction: Direction, outer: &SampledIpv4) {
    if enters(record, direction) {
        record.tunnel_src = Some(IpAddr::V4(outer.src_ip));
        record.tunnel_dst = Some(IpAddr::V4(outer.dst_ip));
        tunnel_transport(record, outer.protocol, outer.src_port, outer.dst_port);
    }
}

fn tunnel6(record: &mut Record, direction: Direction, outer: &SampledIpv6) {
    if enters(record, direction) {
        record.tunnel_src = Some(IpAddr::V6(outer.src_ip));
        record.tunnel_dst = Some(IpAddr::V6(outer.dst_ip));
        tunnel_transport(record, outer.protocol, outer.src_port, outer.dst_port);
    }
}

fn tunnel_transport(record: &mut Record, protocol: u32, src_port: u32, dst_port: u32) {
    record.tunnel_protocol = u8::try_from(protocol).ok();
    record.tunnel_src_port = u16::try_from(src_port).ok();
    record.tunnel_dst_port = u16::try_from(dst_port).ok();
}

/// Takes what only counts where the packet's own header did not say it.
fn fill_gaps(part: &FlowData, record: &mut Record, sample: &mut PacketSample) {
    match part {
        FlowData::ExtendedSwitch(switch) => {
            if record.vlan.is_none() && VLANS.contains(&switch.src_vlan) {
                record.vlan = u16::try_from(switch.src_vlan).ok();
                record.vlan_priority = u8::try_from(switch.src_priority)
                    .ok()
                    .filter(|&priority| priority < 8);
            }
            record.dst_vlan = u16::try_from(switch.dst_vlan)
                .ok()
                .filter(|&vlan| VLANS.contains(&vlan.into()));
        }
        FlowData::SampledEthernet(frame) if record.src_mac.is_none() => {
            record.src_mac = Some(frame.src_mac.0);
            record.dst_mac = Some(frame.dst_mac.0);
            record.ether_type = u16::try_from(frame.eth_type).ok();
        }
        FlowData::SampledIpv4(header) if record.src_addr.is_none() => {
            record.ip_version = Some(4);
            record.src_addr = Some(IpAddr::V4(header.src_ip));
            record.dst_addr = Some(IpAddr::V4(header.dst_ip));
            record.tos = u8::try_from(header.tos).ok();
            sample.ip_length = Some(header.length);
            transport(
                record,
                header.protocol,
                header.src_port,
                header.dst_port,
                header.tcp_flags,
            );
        }
        FlowData::SampledIpv6(header) if record.src_addr.is_none() => {
            record.ip_version = Some(6);
            record.src_addr = Some(IpAddr::V6(header.src_ip));
            record.dst_addr = Some(IpAddr::V6(header.dst_ip));
            record.tos = u8::try_from(header.priority).ok();
            sample.ip_length = Some(header.length);
            transport(
                record,
                header.protocol,
                header.src_port,
                header.dst_port,
                header.tcp_flags,
            );
        }
        _ => {}
    }
}

fn transport(record: &mut Record, protocol: u32, src_port: u32, dst_port: u32, tcp_flags: u32) {
    record.ip_protocol = u8::try_from(protocol).ok();
    record.src_port = u16::try_from(src_port).ok();
    record.dst_port = u16::try_from(dst_port).ok();
    record.tcp_flags = (protocol == 6).then(|| u16::try_from(tcp_flags).ok()).flatten();
}
