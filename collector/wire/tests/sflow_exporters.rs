//! What switches and routers beside OVS send by sFlow: pseudowires, PPPoE, samples that
//! begin with IP, tunnels, sub-agents, extensions.

mod input;

use std::net::{IpAddr, SocketAddr};

use input::{body, hex, part};
use wire::{Attribute, AttributeValue, Decoder, Direction, Record, Summary};

/// Made by hand after a public report: a pseudowire of Ethernet without a control word,
/// whose frame is from 46:00:00:00:00:01 to 45:00:00:00:00:02.
const PSEUDOWIRE: &str = "0000000500000001c00002010000000000000001000003e80000000100000001000000b80000000100000003\
    00000064000003e8000000000000000300000004000000010000000100000090000000010000043400000004\
    0000008000000000000200000000000188476200014045000000000246000000000108004500041000010000\
    400600000a0101010a02020204d201bb00000001000000025018006400000000787878787878787878787878\
    7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878";

/// A session of PPPoE, 10.1.1.1:1234 to 10.2.2.2:443; its length field is wrong.
const PPPOE: &str = "0000000500000001c00002010000000000000001000003e80000000100000001000000b80000000100000003\
    00000064000003e8000000000000000300000004000000010000000100000090000000010000042a00000004\
    00000080000000000002000000000001886411000001005000214500041000010000400600000a0101010a02\
    020204d201bb0000000100000002501800640000000078787878787878787878787878787878787878787878\
    7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878";

/// A segment from sub-agent 0 of 192.0.2.1; the checksum of its IP header is left out.
const SEGMENT: &str = "0000000500000001c00002010000000000000064000003e80000000100000001000000780000000100000003\
    00000064000003e8000000000000000300000004000000010000000100000050000000010000042200000004\
    0000004000000000000200000000000108004500041000010000400600000a0101010a02020204d201bb0000\
    000100000002501800640000000078787878787878787878";

/// Where the sub-agent and the sequence number are in it.
const SUB_AGENT: std::ops::Range<usize> = 12..16;
const SEQUENCE: std::ops::Range<usize> = 16..20;

/// Ethernet, IPv4 of 1,500 bytes from 10.0.0.1 to 10.0.0.2, UDP 54321 to 4789, VXLAN 5001.
const VXLAN: [u8; 50] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, //
    0x45, 0, 5, 220, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
    0xd4, 0x31, 0x12, 0xb5, 5, 200, 0, 0, 8, 0, 0, 0, 0, 0x13, 0x89, 0,
];

/// The first bytes of a packet, the protocol they begin with, its length and what was
/// taken off.
fn header(protocol: u32, frame_length: u32, stripped: u32, bytes: &[u8]) -> Vec<u8> {
    let content = body(|body| {
        body.u32(protocol)
            .u32(frame_length)
            .u32(stripped)
            .u32(bytes.len() as u32)
            .bytes(bytes)
            .bytes(&vec![0; (4 - bytes.len() % 4) % 4]);
    });
    part(1, &content)
}

fn decode(datagram: &[u8]) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    let summary = Decoder::default().decode(session, 5, datagram, &mut records);
    (summary.expect("well-formed"), records)
}

/// The record of a sample with these parts.
fn record(parts: &[Vec<u8>]) -> Record {
    let sample = body(|body| {
        body.u32(77).u32(3).u32(64).u32(6400).u32(0).u32(3).u32(4);
        body.u32(parts.len() as u32).bytes(&parts.concat());
    });
    let datagram = body(|body| {
        body.u32(5)
            .u32(1)
            .bytes(&[192, 0, 2, 1])
            .u32(0)
            .u32(33)
            .u32(1000)
            .u32(1);
        body.bytes(&part(1, &sample));
    });
    decode(&datagram).1.remove(0)
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[test]
fn a_pseudowire_without_a_control_word_is_no_ip() {
    let (_, records) = decode(&hex(PSEUDOWIRE));
    let record = &records[0];
    let said = (
        record.src_addr,
        record.dst_addr,
        record.ip_protocol,
        record.src_port,
    );
    assert_eq!(said, (None, None, None, None));
    assert_eq!((record.ether_type, record.ip_version), (Some(0x8847), None));
    let sample = record.sample.as_ref().expect("sFlow records have one");
    assert_eq!((sample.frame_length, sample.ip_length), (0x434, None));
}

#[test]
fn with_a_control_word_its_frame_is_read() {
    let mut datagram = hex(PSEUDOWIRE);
    // Before the MAC addresses in it, in place of the last bytes that were sampled.
    let frame = datagram
        .windows(6)
        .position(|mac| mac == [0x45, 0, 0, 0, 0, 2])
        .expect("the MAC address");
    datagram.splice(frame..frame, [0, 0, 0, 1]);
    datagram.truncate(datagram.len() - 4);
    // The frame is that much longer.
    let length = datagram
        .windows(4)
        .position(|word| word == [0, 0, 4, 0x34])
        .expect("the frame's length");
    datagram[length + 3] += 4;
    let (_, records) = decode(&datagram);
    let record = &records[0];
    assert_eq!(
        (record.src_addr, record.dst_addr),
        (address("10.1.1.1"), address("10.2.2.2"))
    );
    assert_eq!(
        (record.ip_protocol, record.src_port, record.dst_port),
        (Some(6), Some(1234), Some(443))
    );
    assert_eq!(
        record.src_mac,
        Some([0, 0, 0, 0, 0, 1]),
        "the frame's that was sampled"
    );
    let labels = AttributeValue::Text("401408".into());
    assert_eq!(record.attributes.get(Attribute::MplsLabels), Some(&labels));
    let sample = record.sample.as_ref().expect("sFlow records have one");
    assert_eq!(sample.ip_length, Some(1040));
}

#[test]
fn a_session_of_pppoe_is_read() {
    let (_, records) = decode(&hex(PPPOE));
    let record = &records[0];
    assert_eq!(
        (record.src_addr, record.dst_addr),
        (address("10.1.1.1"), address("10.2.2.2"))
    );
    assert_eq!(
        (record.ip_protocol, record.src_port, record.dst_port),
        (Some(6), Some(1234), Some(443))
    );
    assert_eq!(
        record.sample.as_ref().and_then(|sample| sample.ip_length),
        Some(1040)
    );
}

#[test]
fn each_sub_agent_is_told_apart_with_its_sequence_number() {
    for (sub_agent, sequence) in [(0u32, 100u32), (1, 5000), (0, 101), (1, 5001)] {
        let mut datagram = hex(SEGMENT);
        datagram[SUB_AGENT].copy_from_slice(&sub_agent.to_be_bytes());
        datagram[SEQUENCE].copy_from_slice(&sequence.to_be_bytes());
        let (summary, records) = decode(&datagram);
        let said = (summary.agent, summary.sub_agent, summary.sequence);
        assert_eq!(said, (address("192.0.2.1"), sub_agent, sequence));
        assert_eq!((summary.engine, records[0].dst_port), (None, Some(443)));
    }
}

#[test]
fn a_sample_that_begins_with_ip_says_nothing_of_its_frame() {
    let ip = &VXLAN[14..];
    for (protocol, frame_length, stripped) in [(11, 1_500, 0), (11, 1_518, 18)] {
        let record = record(&[header(protocol, frame_length, stripped, ip)]);
        assert_eq!((record.src_addr, record.src_mac), (address("10.0.0.1"), None));
        assert_eq!((record.ether_type, record.ethernet_header_len), (None, None));
        let sample = record.sample.expect("sFlow records have one");
        assert_eq!((sample.frame_length, sample.ip_length), (0, Some(1_500)));
    }
    // Cut off before it says its length: what was sampled is all of layer 3.
    let cut = record(&[header(11, 1_518, 18, &ip[..2])]);
    let sample = cut.sample.expect("sFlow records have one");
    assert_eq!((sample.frame_length, sample.ip_length), (0, Some(1_500)));
    let nonsense = record(&[header(12, 17, 18, &[])]);
    let sample = nonsense.sample.expect("sFlow records have one");
    assert_eq!((sample.frame_length, sample.ip_length), (0, None));
}

#[test]
fn a_sample_may_begin_with_ppp_or_with_a_label() {
    let ip = &VXLAN[14..];
    for (protocol, before, octets) in [
        (7, &[0, 0x21][..], 1_502),
        (14, &[0xff, 3, 0, 0x21], 1_504),
        (13, &[0x62, 0, 1, 64], 1_504),
    ] {
        let record = record(&[header(protocol, octets + 4, 4, &[before, ip].concat())]);
        assert_eq!(record.dst_addr, address("10.0.0.2"), "{protocol}");
        let sample = record.sample.expect("sFlow records have one");
        assert_eq!((sample.frame_length, sample.ip_length), (0, Some(1_500)));
    }
}

#[test]
fn a_packet_of_a_tunnel_names_it_and_keeps_its_own_addresses() {
    let record = record(&[header(1, 1_518, 4, &VXLAN)]);
    assert_eq!(
        (record.src_addr, record.dst_port),
        (address("10.0.0.1"), Some(4789))
    );
    assert_eq!((record.tunnel_type, record.tunnel_key), (Some(1), Some(5001)));
    assert_eq!(
        (record.tunnel_src, record.tunnel_dst),
        (record.src_addr, record.dst_addr)
    );
    assert_eq!(record.tunnel_direction, None);
}

/// The lengths that the record of the inner packet has.
fn inner(outer: Record) -> (Record, u32, Option<u32>) {
    let record = outer.into_inner();
    let sample = record.sample.clone().expect("sFlow records have one");
    assert_eq!((sample.rate, sample.inner.is_none()), (64, true));
    (record, sample.frame_length, sample.ip_length)
}

#[test]
fn the_packet_in_a_tunnel_is_there_whole_with_its_own_lengths() {
    let segment = hex(SEGMENT);
    let frame = segment.len() - 64;
    let sampled = [&VXLAN[..], &segment[frame..]].concat();
    let vlan = part(
        1001,
        &body(|body| {
            body.u32(100).u32(5).u32(200).u32(0);
        }),
    );
    // Ethernet, IP, UDP and VXLAN are 50 bytes, the frame inside is of 1,054.
    let outer = record(&[vlan, header(1, 1_108, 4, &sampled)]);
    assert_eq!(
        (outer.src_addr, outer.vlan, outer.dst_vlan),
        (address("10.0.0.1"), Some(100), Some(200))
    );
    let (record, frame_length, ip_length) = inner(outer);
    assert_eq!(
        (record.src_addr, record.dst_addr),
        (address("10.1.1.1"), address("10.2.2.2"))
    );
    assert_eq!(
        (record.ip_protocol, record.src_port, record.dst_port),
        (Some(6), Some(1234), Some(443))
    );
    assert_eq!(
        (record.src_mac, record.vlan, record.dst_vlan),
        (Some([0, 0, 0, 0, 0, 1]), None, None)
    );
    assert_eq!((frame_length, ip_length), (1_054 + 4, Some(1_040)));
    assert_eq!((record.tunnel_type, record.tunnel_key), (Some(1), Some(5001)));
    assert_eq!(
        (record.tunnel_src, record.tunnel_dst),
        (address("10.0.0.1"), address("10.0.0.2"))
    );
    assert_eq!((record.in_if, record.sampling), (Some(3), Some(64)));
}

#[test]
fn an_inner_packet_without_a_frame_has_no_length_of_one() {
    let segment = hex(SEGMENT);
    let ip = &segment[segment.len() - 50..];
    let outer = |protocol: u8, between: &[u8]| {
        let mut outer = VXLAN[..34].to_vec();
        outer[23] = protocol;
        record(&[header(1, 1_518, 4, &[&outer, between, ip].concat())])
    };
    for (protocol, between) in [
        (4, &[][..]),
        (47, &[0, 0, 8, 0]),
        (47, &[0x20, 0, 8, 0, 0, 0, 0, 9]),
    ] {
        let (record, frame_length, ip_length) = inner(outer(protocol, between));
        assert_eq!(
            (record.src_addr, record.dst_port),
            (address("10.1.1.1"), Some(443))
        );
        assert_eq!((record.src_mac, record.ether_type), (None, None));
        assert_eq!((frame_length, ip_length), (0, Some(1_040)));
        assert_eq!(
            (record.tunnel_src, record.tunnel_protocol),
            (address("10.0.0.1"), Some(protocol))
        );
    }
}

#[test]
fn a_frame_behind_options_of_geneve_or_a_header_of_erspan_is_found() {
    let segment = hex(SEGMENT);
    let frame = &segment[segment.len() - 64..];
    let outer = |protocol: u8, between: &[u8]| {
        let mut outer = VXLAN[..34].to_vec();
        outer[23] = protocol;
        record(&[header(1, 1_518, 4, &[&outer, between, frame].concat())])
    };
    let mut geneve = [0; 24];
    geneve[2..4].copy_from_slice(&6081u16.to_be_bytes());
    geneve[8..16].copy_from_slice(&[2, 0, 0x65, 0x58, 0, 0x13, 0x89, 0]);
    let erspan2 = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 99, 0, 0, 0, 0];
    let mut erspan3 = [0; 28];
    erspan3[..12].copy_from_slice(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 98]);
    erspan3[19] = 1;
    let cases = [
        (17, &geneve[..], Some(5001)),
        (47, &[0, 0, 0x65, 0x58], None),
        (47, &[0, 0, 0x88, 0xbe], None),
        (47, &erspan2, Some(99)),
        (47, &erspan3, Some(98)),
    ];
    for (protocol, between, key) in cases {
        let (record, frame_length, _) = inner(outer(protocol, between));
        assert_eq!(
            (record.src_addr, record.tunnel_key),
            (address("10.1.1.1"), key),
            "{between:?}"
        );
        assert_eq!(frame_length as usize, 1_518 - 34 - between.len());
    }
}

#[test]
fn where_nothing_is_inside_the_record_stays() {
    for parts in [[header(1, 1_518, 4, &VXLAN)], [header(1, 1_054, 4, &VXLAN[..42])]] {
        let outer = record(&parts);
        assert_eq!(outer.clone().into_inner(), outer);
    }
}

#[test]
fn what_the_exporter_says_of_a_tunnel_counts_more_than_what_a_packet_carries() {
    let vni = part(1030, &7u32.to_be_bytes());
    let vxlan = header(1, 1_518, 4, &VXLAN);
    for parts in [[vni.clone(), vxlan.clone()], [vxlan, vni]] {
        let record = record(&parts);
        let said = (
            record.tunnel_direction,
            record.tunnel_key,
            record.tunnel_type,
            record.tunnel_src,
        );
        assert_eq!(said, (Some(Direction::Ingress), Some(7), None, None));
    }
}

#[test]
fn extensions_tell_of_routes_translation_and_users() {
    let router = body(|body| {
        body.u32(1).bytes(&[192, 0, 2, 254]).u32(24).u32(16);
    });
    let gateway = body(|body| {
        body.u32(1)
            .bytes(&[198, 51, 100, 1])
            .u32(64_500)
            .u32(64_501)
            .u32(64_502);
        // A set, then a sequence.
        body.u32(2)
            .u32(1)
            .u32(1)
            .u32(64_510)
            .u32(2)
            .u32(2)
            .u32(64_511)
            .u32(64_512);
        body.u32(0).u32(100);
    });
    let user = body(|body| {
        body.u32(106).u32(0).u32(106).u32(5).bytes(b"alice\0\0\0");
    });
    let nat = body(|body| {
        body.u32(1).bytes(&[203, 0, 113, 1]).u32(1).bytes(&[0; 4]);
    });
    let ports = body(|body| {
        body.u32(40_000).u32(70_000);
    });
    let parts = [
        part(1002, &router),
        part(1003, &gateway),
        part(1004, &user),
        part(1007, &nat),
        part(1020, &ports),
    ];
    let record = record(&parts);
    let all: Vec<_> = record
        .attributes
        .iter()
        .map(|(attribute, value)| (attribute, value.clone()))
        .collect();
    let addr = |text| AttributeValue::Address(address(text).expect("an address"));
    let expected = [
        (Attribute::NatSrcAddr, addr("203.0.113.1")),
        (Attribute::NatSrcPort, AttributeValue::Unsigned(40_000)),
        (Attribute::NextHop, addr("192.0.2.254")),
        (Attribute::BgpNextHop, addr("198.51.100.1")),
        (Attribute::SrcAs, AttributeValue::Unsigned(64_501)),
        (Attribute::DstAs, AttributeValue::Unsigned(64_512)),
        (Attribute::SrcPrefixLen, AttributeValue::Unsigned(24)),
        (Attribute::DstPrefixLen, AttributeValue::Unsigned(16)),
        (Attribute::UserName, AttributeValue::Text("alice".into())),
    ];
    assert_eq!(all, expected);
}

#[test]
fn an_extension_cut_short_spoils_nothing() {
    let cut = body(|body| {
        body.u32(1).bytes(&[192, 0, 2, 254]).u32(24);
    });
    // A path that claims more than there is.
    let endless = body(|body| {
        body.u32(1)
            .bytes(&[198, 51, 100, 1])
            .u32(1)
            .u32(0)
            .u32(3)
            .u32(u32::MAX)
            .u32(2)
            .u32(u32::MAX);
    });
    let record = record(&[
        part(1002, &cut),
        part(1003, &endless),
        header(1, 1_518, 4, &VXLAN),
    ]);
    let said: Vec<_> = record.attributes.iter().map(|(attribute, _)| attribute).collect();
    assert_eq!(
        said,
        [Attribute::NextHop, Attribute::BgpNextHop, Attribute::SrcPrefixLen]
    );
    assert_eq!(record.dst_port, Some(4789));
}

#[test]
fn names_in_counters_and_extensions_are_cut_off() {
    let name = body(|body| {
        body.u32(4_000).bytes(&[b'n'; 4_000]);
    });
    let sample = body(|body| {
        body.u32(77).u32(3).u32(1).bytes(&part(1005, &name));
    });
    let datagram = body(|body| {
        body.u32(5)
            .u32(1)
            .bytes(&[192, 0, 2, 1])
            .u32(0)
            .u32(33)
            .u32(1000)
            .u32(1);
        body.bytes(&part(2, &sample));
    });
    let (summary, _) = decode(&datagram);
    assert_eq!(summary.counters[0].port_name, &*"n".repeat(255));
    let user = body(|body| {
        body.u32(106).bytes(&name);
    });
    let record = record(&[part(1004, &user)]);
    let cut = AttributeValue::Text("n".repeat(255).as_str().into());
    assert_eq!(record.attributes.get(Attribute::UserName), Some(&cut));
}
