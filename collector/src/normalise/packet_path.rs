//! What a record of Open vSwitch shows of its packets' way through the bridge:
//! where they came in and where they went. Read off the raw record; what follows
//! from it is `primary`'s and `verdict`'s.
//!
//! | format | came in | went |
//! |---|---|---|
//! | NetFlow | a port, or a tunnel where tunnel ports are known | the output port; 65533: nowhere on the first pass |
//! | sFlow | a port, or a tunnel when it describes one | output interfaces; 0x40000100: nowhere on the first pass |
//! | IPFIX, ingress | a port, or a tunnel when it describes one | does not say: its drop counter counts delivered packets, too |
//! | IPFIX, egress | a port, or a tunnel where its name is known; through a patch port when it names no input interface | a port, or a tunnel when it describes one |

use weir_flow::{Entered, Left, PacketPath};
use wire::{Direction, PacketSample, Protocol, Record, SampledInterface};

use weir_identity::exporters::Exporter;

/// `NF_OUT_DROP` (`ofproto/netflow.h`).
const NO_OUTPUT: u32 = 65533;
/// `NF_OUT_FLOOD`: also where there was no port to flood to.
const FLOOD: u32 = 65535;
/// Bits of the port number where the engine id is in it (`gen_netflow_rec`).
const SHORT_PORT: u32 = 0x1ff;
/// The special numbers cut to these bits begin here.
const FIRST_SHORT_SPECIAL: u32 = 0x1fd;

/// Reads a record of OVS.
pub fn of_ovs(record: &Record, exporter: Option<&Exporter>) -> PacketPath {
    match (record.protocol, &record.sample) {
        (Protocol::NetFlow5, _) => of_netflow(record, exporter),
        (Protocol::Sflow5, Some(sample)) => of_sample(record, sample),
        (Protocol::Ipfix, _) => of_ipfix(record, exporter),
        _ => PacketPath::NONE,
    }
}

/// The OpenFlow port number in a NetFlow record, with the special ones whole.
pub fn netflow_port(number: u32, exporter: Option<&Exporter>) -> u32 {
    let short = exporter
        .and_then(|e| e.formats.net_flow)
        .is_some_and(|n| n.id_in_interfaces);
    match number & SHORT_PORT {
        _ if !short => number,
        special @ FIRST_SHORT_SPECIAL.. => special | 0xfe00,
        port => port,
    }
}

fn of_netflow(record: &Record, exporter: Option<&Exporter>) -> PacketPath {
    let port = |number: Option<u32>| number.map(|n| netflow_port(n, exporter));
    let is_tunnel = |n| exporter.and_then(|e| e.tunnel_overhead(n)).is_some();
    // A daemon of before does not tell inputs by themselves.
    let from_tunnel = |n| is_tunnel(n) || exporter.is_some_and(|e| e.is_tunnel_input(n));
    let entered = match port(record.in_if) {
        Some(n) if from_tunnel(n) => Entered::Tunnel,
        _ => Entered::Port,
    };
    let left = match port(record.out_if) {
        None | Some(0 | FLOOD) => Left::Unknown,
        Some(NO_OUTPUT) => Left::Nowhere,
        Some(n) if is_tunnel(n) => Left::Tunnel,
        Some(_) => Left::Port,
    };
    PacketPath { entered, left }
}

fn of_sample(record: &Record, sample: &PacketSample) -> PacketPath {
    let tunnel = |direction| record.tunnel_direction == Some(direction);
    let left = match (sample.output.format, sample.output.value) {
        (SampledInterface::DISCARDED, _) => Left::Nowhere,
        (SampledInterface::SINGLE | SampledInterface::MULTIPLE, 0) => Left::Unknown,
        _ if tunnel(Direction::Egress) => Left::Tunnel,
        (SampledInterface::SINGLE | SampledInterface::MULTIPLE, _) => Left::Port,
        _ => Left::Unknown,
    };
    let entered = if tunnel(Direction::Ingress) {
        Entered::Tunnel
    } else {
        Entered::Port
    };
    PacketPath { entered, left }
}

/// An egress record describes the tunnel that packets go into, an ingress record
/// the one that they came out of (`dpif_ipfix_bridge_sample`). Where tunnel ports are
/// known by name, an egress record shows by its input that packets came out of one.
fn of_ipfix(record: &Record, exporter: Option<&Exporter>) -> PacketPath {
    let tunnel = record.tunnel_type.is_some();
    let input = record.in_if_name.as_str();
    let named = exporter.is_some_and(|e| e.tunnel_names.iter().any(|name| **name == *input));
    if record.direction != Some(Direction::Egress) {
        return PacketPath {
            entered: if tunnel || named {
                Entered::Tunnel
            } else {
                Entered::Port
            },
            left: Left::Unknown,
        };
    }
    let entered = match () {
        () if named => Entered::Tunnel,
        () if !input.is_empty() || record.in_if.is_some_and(|n| n != 0) => Entered::Port,
        () => Entered::Patch,
    };
    PacketPath {
        entered,
        left: if tunnel { Left::Tunnel } else { Left::Port },
    }
}

#[cfg(test)]
mod tests;
