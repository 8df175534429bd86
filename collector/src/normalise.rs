//! Raw records to flow records: what Open vSwitch means by its numbers is put
//! right here, once, and nowhere else.
//!
//! OVS's quirks are undone for records that are OVS's, which [`ovs`] decides. Other
//! exporters' values stay as they are, scaled by the sampling that they state.
//!
//! | quirk (OVS 2.9 to 3.7) | what is done |
//! |---|---|
//! | NetFlow counts the Ethernet header | 14 octets a packet are taken off |
//! | NetFlow counts the header of a userspace tunnel that packets go into | taken off, where the tunnel ports are known |
//! | NetFlow interface numbers hold the engine id (`add_id_to_interface`) | taken out |
//! | NetFlow interface numbers 65533 (drop), 65534 (several), 65535 (flood) | no interface |
//! | IPFIX counts are scaled by sampling already | not scaled; `sampling` comes from the configuration |
//! | IPFIX `droppedPacketDelta` counts packets that arrived, too (below) | left out |
//! | IPFIX totals (`*TotalCount`) are the exporter's, not the flow's | not used |
//! | sFlow sizes are those of one frame, with its check sequence | layer 3 octets, times the rate |
//!
//! `droppedPacketDelta` is the count of packets for which OVS found no output
//! action: all that went through `ct()`, and, in what the userspace datapath of
//! 3.1.0 sent, all but the first packet of every flow, in egress records as well.
//!
//! [`normalise`] needs the record and its exporter; [`judge`] says of a record that
//! has its names whether it is the one to count ([`primary`]) and what became of
//! its packets ([`verdict`]).

use std::borrow::BorrowMut;
use std::net::IpAddr;
use std::sync::Arc;

use wire::{Direction, PacketSample, Protocol, Record};

use weir_flow::Who;
use weir_flow::{
    FlowRecord, IdentifiedBy, Judged, PacketPath, Server, ServerConfidence, Side, TcpFlags, Tunnel, Verdict,
};
use weir_identity::exporters::Exporter;

pub mod ovs;
mod packet_path;
mod primary;
mod role;
mod verdict;

pub use ovs::{has_ovs_shape, is_ovs};
pub use primary::VantagePoint;
pub use role::Metering;

/// Octets of the Ethernet header that OVS counts in NetFlow.
const ETHERNET_HEADER: u64 = 14;
/// Octets of the frame check sequence that sFlow counts.
const FRAME_CHECK: u64 = 4;
/// The lowest of the NetFlow interface numbers that are none
/// (`NF_OUT_DROP`, `NF_OUT_MULTI`, `NF_OUT_FLOOD` in `ofproto/netflow.h`).
const FIRST_SPECIAL_PORT: u32 = 65533;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP6: u8 = 58;

/// What is known about a record beside the record.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it reached the collector, ns since the epoch UTC.
    pub received_ns: u64,
    /// Source address of the datagram.
    pub source: IpAddr,
    /// Who sent it, if known.
    pub exporter: Option<&'a Exporter>,
}

/// Turns one raw record into a flow record without names. A record is large: of one that
/// is lent, what takes heap is taken out.
pub fn normalise(mut record: impl BorrowMut<Record>, context: Context<'_>) -> FlowRecord {
    flow_record(record.borrow_mut(), context)
}

fn flow_record(record: &mut Record, context: Context<'_>) -> FlowRecord {
    let ovs = is_ovs(record, context.exporter);
    // Of a packet within another, OVS tells where it comes out of its tunnel.
    if !ovs
        && record
            .sample
            .as_ref()
            .is_some_and(|sample| sample.inner.is_some())
    {
        *record = std::mem::take(record).into_inner();
    }
    let path = if ovs {
        packet_path::of_ovs(record, context.exporter)
    } else {
        PacketPath::NONE
    };
    let scale = match &record.sample {
        None if ovs => 1,
        None => u64::from(record.sampling.unwrap_or(1).max(1)),
        Some(sample) => u64::from(sample.rate.max(1)),
    };
    let counts = Counts::of(record, ovs, scale, context.exporter);
    let (icmp_type, icmp_code) = icmp(record);
    let start_ns = record.start_ns.unwrap_or(record.export_ns);
    let dropped = |count: Option<u64>| count.filter(|_| !ovs).map(|n| n.saturating_mul(scale));
    FlowRecord {
        time_ns: record
            .waited_since_ms
            .map_or(context.received_ns, |ms| ms.saturating_mul(1_000_000)),
        start_ns,
        end_ns: record.end_ns.unwrap_or(record.export_ns).max(start_ns),
        bytes: counts.bytes,
        packets: counts.packets,
        l2_bytes: counts.l2_bytes,
        sampling: sampling(record, ovs, context.exporter),
        proto: record.ip_protocol,
        dscp: record.dscp.or(record.tos.map(|tos| tos >> 2)),
        ttl: record.ttl,
        icmp_type,
        icmp_code,
        tcp_flags: tcp_flags(record),
        vlan_id: record.vlan,
        tunnel: tunnel(record),
        direction: direction(record, ovs),
        format: record.protocol,
        exporter: context.source,
        exporter_node: context.exporter.map(|e| Arc::clone(&e.node)).unwrap_or_default(),
        obs_domain_id: record.observation_domain,
        obs_point_id: record.observation_point,
        path,
        primary: false,
        verdict: if ovs {
            Verdict::Unknown
        } else {
            verdict::stated(&record.attributes)
        },
        dropped_packets: dropped(record.dropped_packets),
        dropped_bytes: dropped(record.dropped_bytes),
        end_reason: record.end_reason,
        server: Server::Unknown,
        server_confidence: ServerConfidence::None,
        policy: Judged::said(&record.attributes),
        attributes: std::mem::take(&mut record.attributes),
        dst: destination(record, ovs, context.exporter),
        src: source(record, ovs, context.exporter),
    }
}

/// Says of a record that has its names whether sums count it, and what became of
/// its packets.
pub fn judge(record: &mut FlowRecord, at: &VantagePoint<'_>) {
    record.primary = role::is_primary(record, at);
    if !role::is_foreign(record) {
        record.verdict = verdict::verdict(record, at.exporter());
    }
}

struct Counts {
    bytes: Option<u64>,
    packets: Option<u64>,
    l2_bytes: Option<u64>,
}

impl Counts {
    /// `scale`: one packet that was counted stands for so many.
    fn of(record: &Record, ovs: bool, scale: u64, exporter: Option<&Exporter>) -> Self {
        match &record.sample {
            Some(sample) => Self::of_sample(record, sample, scale),
            None if ovs && record.protocol == Protocol::NetFlow5 => Self::of_ovs_netflow(record, exporter),
            None => Self::as_stated(record, ovs, scale),
        }
    }

    fn of_ovs_netflow(record: &Record, exporter: Option<&Exporter>) -> Self {
        let tunnels = tunnel_headers(record, exporter).unwrap_or(0);
        let l2_bytes = record.bytes.map(|octets| octets.saturating_sub(tunnels));
        let headers = record
            .packets
            .map(|packets| packets.saturating_mul(ETHERNET_HEADER));
        Self {
            bytes: l2_bytes
                .zip(headers)
                .map(|(octets, headers)| octets.saturating_sub(headers)),
            packets: record.packets,
            l2_bytes,
        }
    }

    /// One frame stands for `rate` frames. A frame's own length is that of the
    /// medium; the network layer states its own, without padding.
    fn of_sample(record: &Record, sample: &PacketSample, rate: u64) -> Self {
        let on_wire = u64::from(sample.frame_length);
        let ethernet = u64::from(record.ethernet_header_len.unwrap_or(0));
        let trailer = u64::from(sample.stripped).max(FRAME_CHECK);
        let by_frame = on_wire.checked_sub(trailer + ethernet).filter(|_| on_wire != 0);
        let stated = sample.ip_length.filter(|length| *length != 0).map(u64::from);
        Self {
            bytes: stated.or(by_frame).map(|octets| octets * rate),
            packets: Some(rate),
            l2_bytes: on_wire.checked_sub(FRAME_CHECK).map(|octets| octets * rate),
        }
    }

    /// Totals of OVS are those of the whole exporter. Others tell of a flow once, so
    /// that its totals are what the record counts.
    fn as_stated(record: &Record, ovs: bool, scale: u64) -> Self {
        let scaled = |count: Option<u64>| count.map(|n| n.saturating_mul(scale));
        let (octets, packets) = if ovs && record.totals {
            (None, None)
        } else {
            (record.bytes, record.packets)
        };
        Self {
            bytes: scaled(octets),
            packets: scaled(packets),
            l2_bytes: scaled(record.l2_bytes),
        }
    }
}

/// Octets of tunnel headers that NetFlow of the userspace datapath counts: one a
/// packet, but not for the packet that began the flow, which is translated and
/// counted before the header is known. It is in the first record of a flow. All
/// records of a flow have its start, and the first one ends within the timeout,
/// give or take the second between two looks at it (`netflow_run`).
fn tunnel_headers(record: &Record, exporter: Option<&Exporter>) -> Option<u64> {
    let exporter = exporter?;
    let output = packet_path::netflow_port(record.out_if?, Some(exporter));
    let header = exporter.tunnel_overhead(output)?;
    let timeout = exporter.formats.net_flow.unwrap_or_default().active_timeout;
    let age = record.end_ns?.saturating_sub(record.start_ns?);
    let is_first = age < (u64::from(timeout) + 1) * 1_000_000_000;
    let packets = record.packets?.saturating_sub(u64::from(is_first));
    Some(packets.saturating_mul(header))
}

fn sampling(record: &Record, ovs: bool, exporter: Option<&Exporter>) -> Option<u32> {
    let configured = exporter
        .filter(|e| ovs && e.is_ovs())
        .and_then(|e| match record.protocol {
            Protocol::NetFlow5 => Some(1),
            Protocol::Ipfix => e.formats.ipfix.map(|i| i.sampling),
            Protocol::NetFlow9 | Protocol::Sflow5 => None,
        });
    record
        .sample
        .as_ref()
        .map(|s| s.rate)
        .or(configured)
        .or(record.sampling)
}

/// OVS samples for sFlow, and counts for NetFlow, where packets come in.
fn direction(record: &Record, ovs: bool) -> Option<Direction> {
    let entry = ovs && matches!(record.protocol, Protocol::NetFlow5 | Protocol::Sflow5);
    record.direction.or(entry.then_some(Direction::Ingress))
}

/// NetFlow has no field for ICMP: type and code stand in the destination port.
fn icmp(record: &Record) -> (Option<u8>, Option<u8>) {
    let netflow = matches!(record.protocol, Protocol::NetFlow5 | Protocol::NetFlow9);
    match (is_icmp(record), record.icmp_type, record.dst_port) {
        (true, None, Some(port)) if netflow => {
            let [kind, code] = port.to_be_bytes();
            (Some(kind), Some(code))
        }
        _ => (record.icmp_type, record.icmp_code),
    }
}

fn is_icmp(record: &Record) -> bool {
    matches!(record.ip_protocol, Some(ICMP | ICMP6))
}

fn tcp_flags(record: &Record) -> Option<TcpFlags> {
    let bits = record.tcp_flags.filter(|_| record.ip_protocol == Some(TCP))?;
    Some(TcpFlags {
        bits,
        of_one_packet: record.sample.is_some(),
    })
}

fn tunnel(record: &Record) -> Tunnel {
    Tunnel {
        kind: record.tunnel_type,
        key: record.tunnel_key,
        addr: record.tunnel_src,
        dst_addr: record.tunnel_dst,
    }
}

fn source(record: &mut Record, ovs: bool, exporter: Option<&Exporter>) -> Side {
    let input = record.sample.as_ref().map(|s| s.input.if_index());
    Side {
        addr: record.src_addr,
        port: port(record, record.src_port),
        mac: record.src_mac,
        if_index: input.unwrap_or_else(|| interface(record, record.in_if, ovs, exporter)),
        if_name: std::mem::take(&mut record.in_if_name),
        identity: Who::NOBODY,
        found: IdentifiedBy::Nothing,
    }
}

fn destination(record: &mut Record, ovs: bool, exporter: Option<&Exporter>) -> Side {
    let output = record.sample.as_ref().map(|s| s.output.if_index());
    Side {
        addr: record.dst_addr,
        port: port(record, record.dst_port),
        mac: record.dst_mac,
        if_index: output.unwrap_or_else(|| interface(record, record.out_if, ovs, exporter)),
        if_name: std::mem::take(&mut record.out_if_name),
        identity: Who::NOBODY,
        found: IdentifiedBy::Nothing,
    }
}

/// 0 where the protocol has none, nothing where there is no protocol.
fn port(record: &Record, port: Option<u16>) -> Option<u16> {
    if is_icmp(record) {
        Some(0)
    } else {
        port.or(record.ip_protocol.map(|_| 0))
    }
}

fn interface(record: &Record, number: Option<u32>, ovs: bool, exporter: Option<&Exporter>) -> Option<u32> {
    if !ovs || record.protocol != Protocol::NetFlow5 {
        return number.filter(|n| *n != 0);
    }
    let port = number.map(|n| packet_path::netflow_port(n, exporter));
    port.filter(|n| *n != 0 && *n < FIRST_SPECIAL_PORT)
}

#[cfg(test)]
mod tests;
