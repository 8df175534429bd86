//! The datagrams of `data/ovs-3.1.0-netflow5-ipfix-sflow5.pcap`: what Open vSwitch
//! 3.1.0 (userspace datapath, one bridge, two ports) sent to three collectors on
//! the loopback interface. Classic pcap, little-endian, link type Ethernet.

use std::net::{Ipv4Addr, SocketAddr};

/// One UDP datagram of the capture.
#[derive(Debug, Clone)]
#[allow(dead_code)]
pub struct Datagram {
    pub source: SocketAddr,
    pub port: u16,
    pub received_ms: u64,
    pub payload: Vec<u8>,
}

const NETFLOW: u16 = 2056;
const IPFIX: u16 = 4739;
const SFLOW: u16 = 6343;

/// The whole capture in order.
#[allow(dead_code)]
pub fn datagrams() -> Vec<Datagram> {
    read(include_bytes!("../data/ovs-3.1.0-netflow5-ipfix-sflow5.pcap"))
}

/// The capture of every kind of packet, which `data/capture-ovs` makes.
#[allow(dead_code)]
pub fn packet_kinds() -> Vec<Datagram> {
    read(include_bytes!("../data/ovs-3.1.0-packet-kinds.pcap"))
}

fn read(file: &[u8]) -> Vec<Datagram> {
    assert_eq!(
        file[..4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        "pcap in microseconds, little-endian"
    );
    assert_eq!(le32(file, 20), 1, "link type Ethernet");
    let mut rest = &file[24..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = le32(rest, 8) as usize;
        let received_ms = u64::from(le32(rest, 0)) * 1000 + u64::from(le32(rest, 4)) / 1000;
        found.push(datagram(received_ms, &rest[16..16 + length]));
        rest = &rest[16 + length..];
    }
    found
}

/// The datagrams to one port.
#[allow(dead_code)]
pub fn to_port(port: u16) -> Vec<Datagram> {
    datagrams()
        .into_iter()
        .filter(|datagram| datagram.port == port)
        .collect()
}

#[allow(dead_code)]
pub fn netflow() -> Vec<Datagram> {
    to_port(NETFLOW)
}

#[allow(dead_code)]
pub fn ipfix() -> Vec<Datagram> {
    to_port(IPFIX)
}

#[allow(dead_code)]
pub fn sflow() -> Vec<Datagram> {
    to_port(SFLOW)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Ethernet, IPv4 without options, UDP.
fn datagram(received_ms: u64, frame: &[u8]) -> Datagram {
    assert_eq!((be16(frame, 12), frame[14], frame[23]), (0x0800, 0x45, 17));
    let source = Ipv4Addr::new(frame[26], frame[27], frame[28], frame[29]);
    let end = 34 + usize::from(be16(frame, 38));
    Datagram {
        source: SocketAddr::from((source, be16(frame, 34))),
        port: be16(frame, 36),
        received_ms,
        payload: frame[42..end].to_vec(),
    }
}
