//! NetFlow v5, its sequence number as Cisco counts: flows before the datagram.

use wire::encode::{Flow5, NetFlow5};

use crate::card::{Card, Header};
use crate::flow::{Flow, TCP};

/// Flows in one datagram.
pub(crate) const RECORDS: u32 = 24;

/// Exporter's uptime, ms.
const UPTIME_MS: u32 = 3_600_000;

/// A datagram with these flows; the exporter's number is in the engine's.
pub(crate) fn datagram(exporter: u32, flows: &[Flow]) -> Card {
    let [.., engine_type, engine_id] = exporter.to_be_bytes();
    let message = NetFlow5 {
        uptime_ms: UPTIME_MS,
        engine_type,
        engine_id,
        flows: flows.iter().map(flow).collect(),
        ..NetFlow5::default()
    };
    let records = u32::try_from(flows.len()).unwrap_or(u32::MAX);
    Card::new(message.encode(), Header::NETFLOW5, records, records)
}

fn flow(flow: &Flow) -> Flow5 {
    Flow5 {
        src: flow.src.octets(),
        dst: flow.dst.octets(),
        input: flow.input,
        output: flow.output,
        packets: flow.packets,
        bytes: flow.octets(),
        first_ms: UPTIME_MS - 1500,
        last_ms: UPTIME_MS - 1000,
        src_port: flow.src_port,
        dst_port: flow.dst_port,
        tcp_flags: if flow.protocol == TCP { 0x1b } else { 0 },
        protocol: flow.protocol,
        tos: 0,
    }
}
