//! Frames made by hand, whole and cut off.

use super::*;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const IPV4: [u8; 20] = [
    0x45, 0xb8, 0, 60, 0, 1, 0x40, 0, 63, 6, 0x27, 0x1, 10, 0, 0, 1, 10, 0, 0, 2,
];
const TCP: [u8; 20] = [
    0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x51, 0x12, 0, 0, 0, 0, 0, 0,
];

/// An IPv6 header with 56 octets of payload.
fn ipv6(next: u8) -> Vec<u8> {
    let mut header = vec![0x6b, 0x81, 0x23, 0x45, 0, 56, next, 64];
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
    assert_eq!((record.ttl, length), (Some(64), Some(96)));
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
    let label_texts = AttributeValue::Text("1,2".into());
    assert_eq!(record.attributes.get(Attribute::MplsLabels), Some(&label_texts));
}

/// Label 0x62000, the last one, and what it carries.
fn labelled(payload: &[&[u8]]) -> Vec<u8> {
    frame(&[0x88, 0x47], &[&[0x62, 0, 1, 64], &payload.concat()])
}

/// The frame as the first bytes of one that is so much longer.
fn read_sampled(frame: &[u8], longer: usize) -> Record {
    let mut record = Record::default();
    super::read(Layer::Ethernet, frame, Some(frame.len() + longer), &mut record);
    record
}

fn without_checksum(mut header: [u8; 20]) -> [u8; 20] {
    header[10..12].fill(0);
    header
}

#[test]
fn what_labels_carry_is_ip_if_its_checksum_or_its_length_proves_it() {
    let ports = |header: &[u8], longer| read_sampled(&labelled(&[header, &TCP]), longer).dst_port;
    let unproven = without_checksum(IPV4);
    // The header says 60 bytes, 40 are in the sample.
    assert_eq!(ports(&IPV4, 20), Some(80));
    assert_eq!(ports(&IPV4, 26), Some(80), "there may be padding");
    assert_eq!(ports(&IPV4, 19), None, "a packet does not end behind its frame");
    assert_eq!(ports(&unproven, 20), Some(80));
    assert_eq!(ports(&unproven, 21), None);
    // An IPv6 header says 96 bytes, 60 are in the sample.
    assert_eq!(ports(&ipv6(6), 36), Some(80));
    assert_eq!(ports(&ipv6(6), 37), None);
}

#[test]
fn without_a_length_on_the_wire_ipv6_under_labels_has_assigned_addresses() {
    let (record, _) = read(&labelled(&[&ipv6(6), &TCP]));
    assert_eq!(record.dst_port, Some(80));
    let mut odd = ipv6(6);
    odd[8] = 0x45;
    let (record, _) = read(&labelled(&[&odd, &TCP]));
    assert_eq!((record.src_addr, record.dst_port), (None, None));
}

#[test]
fn explicit_nulls_say_themselves_what_they_carry() {
    let carried = |null: u8, header: &[u8]| {
        read(&frame(&[0x88, 0x47], &[&[0, 0, null << 4 | 1, 64], header, &TCP]))
            .0
            .dst_port
    };
    let unproven = without_checksum(IPV4);
    assert_eq!(carried(0, &unproven), Some(80));
    assert_eq!(carried(2, &ipv6(6)), Some(80));
    // Not what the label says, and no proof beside it.
    assert_eq!(carried(2, &unproven), None);
}

#[test]
fn a_pseudowire_without_a_control_word_invents_no_addresses() {
    for first in [0x00, 0x02, 0x45, 0x46, 0x60, 0x6f] {
        let mut inner = frame(&[8, 0], &[&IPV4, &TCP]);
        inner[0] = first;
        inner[6] = first;
        for longer in [20, 21] {
            let record = read_sampled(&labelled(&[&inner]), longer);
            let said = (
                record.src_addr,
                record.dst_addr,
                record.ip_protocol,
                record.src_port,
            );
            assert_eq!(said, (None, None, None, None), "{first:#x}");
            assert_eq!(
                (record.ether_type, record.src_mac),
                (Some(0x8847), Some([2, 0, 0, 0, 0, 1]))
            );
        }
    }
}

#[test]
fn after_a_control_word_the_frame_of_a_pseudowire_is_read() {
    let control = [0, 0, 0, 7];
    let tagged = frame(&[0x81, 0, 0, 9, 8, 0], &[&without_checksum(IPV4), &TCP]);
    let record = read_sampled(&labelled(&[&control, &tagged]), 20);
    assert_eq!(
        (record.src_addr, record.dst_port),
        (Some([10, 0, 0, 1].into()), Some(80))
    );
    // The link layer is the outer frame's.
    assert_eq!((record.vlan, record.ether_type), (None, Some(0x8847)));
    let ipv6 = frame(&[0x86, 0xdd], &[&ipv6(6), &TCP]);
    assert_eq!(read_sampled(&labelled(&[&control, &ipv6]), 36).dst_port, Some(80));
    // Bytes that prove nothing.
    let unproven = frame(&[8, 0], &[&without_checksum(IPV4), &TCP]);
    assert_eq!(read_sampled(&labelled(&[&control, &unproven]), 21).src_addr, None);
}

#[test]
fn a_session_of_pppoe_carries_ip() {
    let session = |protocol: [u8; 2], header: &[u8]| {
        let pppoe = [0x11, 0, 0, 1, 0, 42];
        read(&frame(&[0x88, 0x64], &[&pppoe, &protocol, header, &TCP])).0
    };
    let record = session([0, 0x21], &IPV4);
    assert_eq!(
        (record.src_addr, record.dst_port),
        (Some([10, 0, 0, 1].into()), Some(80))
    );
    assert_eq!(
        (record.ether_type, record.ethernet_header_len),
        (Some(0x8864), Some(14))
    );
    assert_eq!(session([0, 0x57], &ipv6(6)).dst_port, Some(80));
    // LCP, and a protocol of another version than the packet's.
    assert_eq!(session([0xc0, 0x21], &IPV4).src_addr, None);
    assert_eq!(session([0, 0x57], &IPV4).src_addr, None);
    let offer = [0x11, 0x07, 0, 0, 0, 42, 0, 0x21];
    assert_eq!(
        read(&frame(&[0x88, 0x64], &[&offer, &IPV4, &TCP])).0.src_addr,
        None
    );
}

#[test]
fn ppp_is_read_with_and_without_the_header_of_hdlc() {
    for before in [&[0xff, 0x03, 0, 0x21][..], &[0, 0x21]] {
        let mut record = Record::default();
        super::read(Layer::Ppp, &[before, &IPV4, &TCP].concat(), None, &mut record);
        assert_eq!((record.dst_port, record.ether_type), (Some(80), None));
    }
}

#[test]
fn a_snap_header_leads_to_ip() {
    let (record, _) = read(&frame(&[0, 68], &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &IPV4, &TCP]));
    assert_eq!(
        (record.ether_type, record.ethernet_header_len),
        (Some(0x0800), Some(22))
    );
    assert_eq!(record.dst_port, Some(80));
    // Cisco's discovery protocol is no EtherType.
    let (record, _) = read(&frame(&[0, 68], &[&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], &IPV4]));
    assert_eq!((record.ether_type, record.src_addr), (None, None));
}

#[test]
fn vlan_0_is_a_priority_and_no_vlan() {
    let (record, _) = read(&frame(&[0x81, 0, 0xa0, 0, 8, 0], &[&IPV4, &TCP]));
    assert_eq!((record.vlan, record.vlan_priority), (None, Some(5)));
    let (record, _) = read(&frame(&[0x81, 0, 0xa0, 0, 0x81, 0, 0, 7, 8, 0], &[&IPV4, &TCP]));
    assert_eq!((record.vlan, record.vlan_priority), (Some(7), Some(5)));
}

#[test]
fn tags_labels_and_extension_headers_without_end_end_the_reading() {
    let tags = [0x81, 0, 0, 5].repeat(1_000);
    let (record, _) = read(&frame(&tags, &[&[8, 0], &IPV4, &TCP]));
    assert_eq!(
        (record.vlan, record.ether_type, record.src_addr),
        (Some(5), None, None)
    );
    let labels = [0, 1, 0x20, 64].repeat(1_000);
    let (record, _) = read(&frame(&[0x88, 0x47], &[&labels, &[0, 0, 1, 64], &IPV4, &TCP]));
    assert_eq!((record.src_addr, record.attributes.is_empty()), (None, true));
    let mut header = ipv6(60);
    header[4..6].copy_from_slice(&[0xff, 0xff]);
    let options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(1_000);
    let (record, _) = read(&frame(
        &[0x86, 0xdd],
        &[&header, &options, &[6, 0, 1, 4, 0, 0, 0, 0], &TCP],
    ));
    assert_eq!((record.ip_protocol, record.dst_port), (Some(60), None));
}

#[test]
fn padding_behind_a_packet_is_no_transport_header() {
    let mut short = IPV4;
    short[3] = 20;
    let (record, length) = read(&frame(&[8, 0], &[&short, &[0; 26]]));
    assert_eq!(
        (record.ip_protocol, record.src_port, length),
        (Some(6), None, Some(20))
    );
    let mut cut = ipv6(17);
    cut[5] = 2;
    let (record, _) = read(&frame(&[0x86, 0xdd], &[&cut, &[0; 26]]));
    assert_eq!((record.src_port, record.dst_port), (Some(0), None));
}

#[test]
fn a_header_that_cannot_be_is_not_believed() {
    let mut short = IPV4;
    short[0] = 0x44;
    let (record, length) = read(&frame(&[8, 0], &[&short, &TCP]));
    assert_eq!((record.src_addr, record.ip_version, length), (None, None, None));
    // A total length within the header: the addresses stand, the length and what would follow do not.
    let mut lying = IPV4;
    lying[3] = 19;
    let (record, length) = read(&frame(&[8, 0], &[&lying, &TCP]));
    assert_eq!((record.src_port, length), (None, None));
    // A version that is not the EtherType's.
    let (record, _) = read(&frame(&[8, 0], &[&ipv6(6), &TCP]));
    assert_eq!(record.src_addr, None);
}

/// UDP from 54321 to this port, or another protocol, over IPv4, and what it carries.
fn outer(protocol: u8, port: u16, carried: &[&[u8]]) -> Record {
    let mut header = IPV4;
    header[2..4].copy_from_slice(&[5, 220]);
    header[9] = protocol;
    let mut udp = [0xd4, 0x31, 0, 0, 0, 0, 0, 0];
    udp[2..4].copy_from_slice(&port.to_be_bytes());
    let transport: &[u8] = if protocol == 17 { &udp } else { &[] };
    read(&frame(&[8, 0], &[&header, transport, &carried.concat()])).0
}

#[test]
fn the_tunnel_of_an_outer_header_is_named_and_its_ends_stay_the_records() {
    let inner = frame(&[8, 0], &[&IPV4, &TCP]);
    let vni = [0, 0x13, 0x89, 0];
    let cases = [
        (17, 4789, [&[8, 0, 0, 0], &vni, &inner[..]], Some(1), Some(5001)),
        (17, 8472, [&[8, 0, 0, 0], &vni, &inner], Some(1), Some(5001)),
        (17, 6081, [&[2, 0, 0x65, 0x58], &vni, &inner], Some(7), Some(5001)),
        (
            47,
            0,
            [&[0x20, 0, 0x65, 0x58], &[0, 0, 0, 77], &inner],
            Some(2),
            Some(77),
        ),
        (47, 0, [&[0, 0, 8, 0], &IPV4, &TCP], Some(2), None),
        // ERSPAN II: sequence number, then version, VLAN, session 99, index.
        (
            47,
            0,
            [
                &[0x10, 0, 0x88, 0xbe],
                &[0, 0, 0, 1, 0x10, 0, 0, 99, 0, 0, 0, 0],
                &inner,
            ],
            Some(2),
            Some(99),
        ),
        (4, 0, [&IPV4, &TCP, &[]], None, None),
        (41, 0, [&ipv6(6), &TCP, &[]], None, None),
    ];
    for (protocol, port, carried, kind, key) in cases {
        let record = outer(protocol, port, &carried);
        assert_eq!(
            (record.tunnel_type, record.tunnel_key),
            (kind, key),
            "{protocol} {port}"
        );
        let ends = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        assert_eq!((record.src_addr, record.dst_addr), ends);
        assert_eq!((record.tunnel_src, record.tunnel_dst), ends);
        assert_eq!(
            (record.ip_protocol, record.tunnel_protocol),
            (Some(protocol), Some(protocol))
        );
        assert_eq!(
            (record.dst_port, record.tunnel_dst_port),
            (Some(port).filter(|&p| p != 0), record.dst_port)
        );
        assert_eq!(record.tunnel_direction, None);
    }
}

#[test]
fn what_only_comes_to_the_port_of_a_tunnel_is_none() {
    let cases: [(u8, u16, &[u8]); 7] = [
        // No VNI; bits that are to be 0; another version; no EtherType.
        (17, 4789, &[0, 0, 0, 0, 0, 0x13, 0x89, 0]),
        (17, 8472, &[8, 0, 0, 1, 0, 0x13, 0x89, 0]),
        (17, 6081, &[0x42, 0, 0x65, 0x58, 0, 0x13, 0x89, 0]),
        (17, 6081, &[2, 0, 0, 1, 0, 0x13, 0x89, 0]),
        // PPTP, and IP of another version.
        (47, 0, &[0x20, 1, 0x88, 0x0b, 0, 0, 0, 77]),
        (4, 0, &[0x60, 0, 0, 0, 0, 0, 0, 0]),
        (17, 53, &[8, 0, 0, 0, 0, 0x13, 0x89, 0]),
    ];
    for (protocol, port, carried) in cases {
        let record = outer(protocol, port, &[carried]);
        let told = (record.tunnel_type, record.tunnel_key, record.tunnel_src);
        assert_eq!(told, (None, None, None), "{protocol} {port}");
        assert_eq!(record.src_addr, Some([10, 0, 0, 1].into()));
    }
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
