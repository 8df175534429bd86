//! sFlow v5 as Open vSwitch sends it: compact flow samples with the VLAN and the
//! first octets of a packet, as many as fit in 1,400 octets.

use wire::encode::Body;

use crate::card::{Card, Header};
use crate::flow::{Flow, ICMP, TCP};

/// Samples in one datagram.
pub(crate) const SAMPLES: u32 = 6;

/// Sampling rate that the samples claim.
const RATE: u32 = 64;

/// Octets of each packet that are sent.
const HEADER_OCTETS: usize = 128;

/// A datagram with a sample of each of these flows. `exporter` makes the agent's
/// address.
pub(crate) fn datagram(exporter: u32, flows: &[Flow]) -> Card {
    let [_, high, middle, low] = exporter.to_be_bytes();
    let mut body = Body::default();
    body.u32(5)
        .u32(1)
        .bytes(&[10, high, middle, low])
        .u32(0)
        .u32(0)
        .u32(3_600_000);
    let samples = u32::try_from(flows.len()).unwrap_or(u32::MAX);
    body.u32(samples);
    for (number, flow) in flows.iter().enumerate() {
        let sample = sample(number as u32, flow);
        opaque(&mut body, 1, &sample);
    }
    Card::new(body.into_bytes(), Header::SFLOW5, samples, 1)
}

fn sample(number: u32, flow: &Flow) -> Vec<u8> {
    let mut body = Body::default();
    body.u32(number).u32(2 << 24 | 1000).u32(RATE).u32(number * RATE);
    body.u32(0).u32(flow.input.into()).u32(flow.output.into()).u32(2);
    let mut switch = Body::default();
    switch.u32(0).u32(0).u32(0).u32(0);
    opaque(&mut body, 1001, &switch.into_bytes());
    let mut header = Body::default();
    let mut frame = frame(flow);
    let wire_length = u32::from(flow.packet_length) + 14 + 4;
    frame.truncate(wire_length as usize - 4);
    header.u32(1).u32(wire_length).u32(4).u32(frame.len() as u32);
    frame.resize(frame.len().next_multiple_of(4), 0);
    header.bytes(&frame);
    opaque(&mut body, 1, &header.into_bytes());
    body.into_bytes()
}

/// Format, length and content.
fn opaque(body: &mut Body, format: u32, content: &[u8]) {
    body.u32(format).u32(content.len() as u32).bytes(content);
}

/// The first octets of a packet: Ethernet, IPv4, and a transport header.
fn frame(flow: &Flow) -> Vec<u8> {
    let mut body = Body::default();
    body.bytes(&[0x0a, 0x58])
        .bytes(&flow.dst.octets())
        .bytes(&[0x0a, 0x58])
        .bytes(&flow.src.octets())
        .u16(0x0800);
    body.u8(0x45).u8(0).u16(flow.packet_length).u32(0x4000);
    body.u8(64).u8(flow.protocol).u16(0);
    body.bytes(&flow.src.octets()).bytes(&flow.dst.octets());
    match flow.protocol {
        ICMP => body.u16(flow.dst_port).u16(0).u32(1),
        TCP => body
            .u16(flow.src_port)
            .u16(flow.dst_port)
            .u64(0)
            .u8(0x50)
            .u8(0x18)
            .u16(0xffff)
            .u32(0),
        _ => body
            .u16(flow.src_port)
            .u16(flow.dst_port)
            .u16(flow.packet_length - 20)
            .u16(0),
    };
    let mut frame = body.into_bytes();
    frame.resize(HEADER_OCTETS, 0xaa);
    frame
}
