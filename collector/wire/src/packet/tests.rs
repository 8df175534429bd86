//! Frames made by hand, whole and cut off.

use super::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const IPV4: [u8; 20] = [
    0x45, 0xb8, 0, 60, 0, 1, 0x40, 0, 63, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
];
const TCP: [u8; 20] = [
    0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x51, 0x12, 0, 0, 0, 0, 0, 0,
];

/// An IPv6 header with 40 octets of payload.
fn ipv6(next: u8) -> Vec<u8> {
    let mut header = vec![0x6b, 0x81, 0x23, 0x45, 0, 40, next, 64];
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    header
}

fn frame(ether_type: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    [&MACS, ether_type, &layers.concat()].concat()
}

fn read(frame: &[u8]) -> (Record, Option<u32>) {
    let mut record = Record::default();
    let length = ethernet(frame, &mut record);
    (record, length)
}

#[test]
fn a_tcp_segment_over_ipv4_is_read_whole() {
    let (record, length) = read(&frame(&[8, 0], &[&IPV4, &TCP]));
    let expected = Record {
        dst_mac: Some([2, 0, 0, 0, 0, 2]),
        src_mac: Some([2, 0, 0, 0, 0, 1]),
        ether_type: Some(0x0800),
        ethernet_header_len: Some(14),
        ip_version: Some(4),
        tos: Some(0xb8),
        ttl: Some(63),
        ip_protocol: Some(6),
        src_addr: Some([10, 0, 0, 1].into()),
        dst_addr: Some([10, 0, 0, 2].into()),
        src_port: Some(0x1234),
        dst_port: Some(80),
        tcp_flags: Some(0x112),
        ..Record::default()
    };
    assert_eq!((record, length), (expected, Some(60)));
}

#[test]
fn a_frame_cut_off_anywhere_keeps_what_came_before() {
    let whole = frame(&[8, 0], &[&IPV4, &TCP]);
    let (complete, _) = read(&whole);
    for end in 0..whole.len() {
        let (record, length) = read(&whole[..end]);
        assert_eq!(record.dst_mac.is_some(), end >= 6, "{end}");
        assert_eq!(
            record.ether_type,
            complete.ether_type.filter(|_| end >= 14),
            "{end}"
        );
        assert_eq!(length, Some(60).filter(|_| end >= 18), "{end}");
        assert_eq!(record.src_addr, complete.src_addr.filter(|_| end >= 30), "{end}");
        assert_eq!(record.dst_port, complete.dst_port.filter(|_| end >= 38), "{end}");
        assert_eq!(
            record.tcp_flags,
            complete.tcp_flags.filter(|_| end >= 48),
            "{end}"
        );
    }
}

#[test]
fn of_two_vlan_tags_the_outer_one_counts() {
    let (record, _) = read(&frame(
        &[0x88, 0xa8, 0x60, 0x64, 0x81, 0, 0, 5, 8, 0],
        &[&IPV4, &TCP],
    ));
    assert_eq!((record.vlan, record.vlan_priority), (Some(100), Some(3)));
    assert_eq!(
        (record.ether_type, record.ethernet_header_len),
        (Some(0x0800), Some(22))
    );
    assert_eq!(record.dst_port, Some(80));
}

#[test]
fn ip_options_are_stepped_over() {
    let mut header = IPV4.to_vec();
    header[0] = 0x47;
    header.extend([1; 8]);
    let (record, _) = read(&frame(&[8, 0], &[&header, &TCP]));
    assert_eq!((record.src_port, record.dst_port), (Some(0x1234), Some(80)));
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut header = IPV4;
    header[7] = 1;
    let (record, _) = read(&frame(&[8, 0], &[&header, &TCP]));
    assert_eq!(
        (record.ip_protocol, record.src_port, record.tcp_flags),
        (Some(6), None, None)
    );

    let fragment = [6, 0, 0, 0x08, 0, 0, 0, 1];
    let (record, _) = read(&frame(&[0x86, 0xdd], &[&ipv6(44), &fragment, &TCP]));
    assert_eq!((record.ip_protocol, record.src_port), (Some(6), None));
}

#[test]
fn the_first_fragment_has_its_ports() {
    let mut header = IPV4;
    header[6] = 0x20;
    let (record, _) = read(&frame(&[8, 0], &[&header, &TCP]));
    assert_eq!(record.dst_port, Some(80));

    let fragment = [6, 0, 0, 1, 0, 0, 0, 1];
    let (record, _) = read(&frame(&[0x86, 0xdd], &[&ipv6(44), &fragment, &TCP]));
    assert_eq!(record.dst_port, Some(80));
}

#[test]
fn an_ipv6_header_and_its_extensions_lead_to_the_transport() {
    let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination = [51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let authentication = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];
    let udp = [0, 53, 0x30, 0x39, 0, 8, 0, 0];
    let layers: [&[u8]; 5] = [&ipv6(0), &hop_by_hop, &destination, &authentication, &udp];
    let (record, length) = read(&frame(&[0x86, 0xdd], &layers));
    assert_eq!(
        (record.ip_version, record.tos, record.flow_label),
        (Some(6), Some(0xb8), Some(0x12345))
    );
    assert_eq!((record.ttl, length), (Some(64), Some(80)));
    assert_eq!(
        (record.ip_protocol, record.src_port, record.dst_port),
        (Some(17), Some(53), Some(12345))
    );
    assert_eq!(record.dst_addr, Some("fd00::2".parse().expect("an address")));
}

#[test]
fn icmp_has_type_and_code_and_no_ports() {
    let mut header = IPV4;
    header[9] = 1;
    let (record, _) = read(&frame(&[8, 0], &[&header, &[3, 1, 0, 0]]));
    assert_eq!(
        (record.icmp_type, record.icmp_code, record.src_port),
        (Some(3), Some(1), None)
    );
    let (record, _) = read(&frame(&[0x86, 0xdd], &[&ipv6(58), &[135, 0]]));
    assert_eq!((record.icmp_type, record.icmp_code), (Some(135), Some(0)));
}

#[test]
fn mpls_labels_are_stepped_over() {
    let labels = [0, 0, 0x10, 64, 0, 0, 0x21, 64];
    let (record, _) = read(&frame(&[0x88, 0x47], &[&labels, &IPV4, &TCP]));
    assert_eq!((record.ether_type, record.dst_port), (Some(0x8847), Some(80)));
}

#[test]
fn what_is_no_ip_gives_its_addresses_alone() {
    let (record, length) = read(&frame(&[8, 6], &[&[0; 28]]));
    assert_eq!(
        (record.ether_type, record.ip_version, length),
        (Some(0x0806), None, None)
    );
    // An IEEE 802.3 frame has a length there.
    let (record, _) = read(&frame(&[0, 38], &[&[0x42, 0x42, 3]]));
    assert_eq!((record.ether_type, record.ethernet_header_len), (None, Some(14)));
}

#[test]
fn a_packet_without_ethernet_begins_with_ip() {
    let mut record = Record::default();
    assert_eq!(ip(&[&IPV4[..], &TCP].concat(), &mut record), Some(60));
    assert_eq!((record.src_mac, record.dst_port), (None, Some(80)));
}
