//! What several elements of a template say together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wire::encode::{Body, Ipfix, NetFlow9};
use wire::{Attribute, AttributeValue, Decoder, Direction, Field, Record, Summary};

const EXPORT_S: u32 = 1_700_000_000;
const EXPORT_MS: u64 = 1_700_000_000_000;
const REVERSE: u32 = 29_305;
const ANTREA: u32 = 56_506;

type Value<'v> = (Field, &'v [u8]);
/// Of IANA, with the width of its value.
type Element<'v> = (u16, &'v [u8]);

fn bytes<const N: usize>(write: [u64; N], width: usize) -> Vec<u8> {
    let value = |number: u64| number.to_be_bytes()[8 - width..].to_vec();
    write.into_iter().flat_map(value).collect()
}

fn decode(datagram: &[u8]) -> (Summary, Vec<Record>) {
    let session = SocketAddr::from(([192, 0, 2, 1], 4739));
    let mut records = Vec::new();
    let summary = Decoder::default().decode(session, 0, datagram, &mut records);
    (summary.expect("well-formed"), records)
}

/// One record of these values, by IPFIX.
fn ipfix(values: &[Value<'_>]) -> (Summary, Vec<Record>) {
    let fields: Vec<Field> = values.iter().map(|(field, _)| *field).collect();
    decode(
        &Ipfix::new(EXPORT_S, 0, 1)
            .template(256, &fields)
            .set(256, &content(values))
            .encode(),
    )
}

fn netflow9(values: &[Value<'_>]) -> Vec<Record> {
    let fields: Vec<Field> = values.iter().map(|(field, _)| *field).collect();
    let message = NetFlow9::new(2, 90_000_000, EXPORT_S, 0, 1).template(256, &fields);
    decode(&message.set(256, &content(values)).encode()).1
}

fn content(values: &[Value<'_>]) -> Vec<u8> {
    let mut body = Body::default();
    for (field, value) in values {
        if field.is_variable() {
            body.variable(value);
        } else {
            body.bytes(value);
        }
    }
    body.into_bytes()
}

/// One record, by IPFIX, of elements of IANA with the width of their values.
fn record(values: &[(u16, &[u8])]) -> Record {
    records(values).remove(0)
}

fn records(values: &[(u16, &[u8])]) -> Vec<Record> {
    ipfix(&fields(values)).1
}

fn fields<'v>(values: &[(u16, &'v [u8])]) -> Vec<Value<'v>> {
    let field = |(id, value): &(u16, &'v [u8])| (Field::iana(*id, value.len() as u16), *value);
    values.iter().map(field).collect()
}

const V4_A: [u8; 4] = [10, 1, 1, 1];
const V4_B: [u8; 4] = [10, 2, 2, 2];
const V6_A: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6_B: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const TCP: [u8; 1] = [6];
const UDP: [u8; 1] = [17];

fn v4(octets: [u8; 4]) -> Option<IpAddr> {
    Some(Ipv4Addr::from(octets).into())
}

fn v6(octets: [u8; 16]) -> Option<IpAddr> {
    Some(Ipv6Addr::from(octets).into())
}

fn counts(record: &Record) -> (Option<u64>, Option<u64>) {
    (record.bytes, record.packets)
}

// Counters.

#[test]
fn totals_and_other_counters_stand_where_there_is_no_delta() {
    let n = |value: u64| value.to_be_bytes();
    let cases: [(&[Element<'_>], _); 9] = [
        (&[(85, &n(900)), (86, &n(9))], (Some(900), Some(9))),
        (&[(1, &n(10)), (86, &n(9))], (Some(10), Some(9))),
        (
            &[(86, &n(9)), (1, &n(10)), (2, &n(1)), (85, &n(900))],
            (Some(10), Some(1)),
        ),
        (&[(23, &n(20)), (24, &n(2))], (Some(20), Some(2))),
        (
            &[(23, &n(20)), (1, &n(10)), (24, &n(2)), (2, &n(1))],
            (Some(10), Some(1)),
        ),
        (&[(171, &n(30)), (172, &n(3))], (Some(30), Some(3))),
        (&[(231, &n(40)), (298, &n(4))], (Some(40), Some(4))),
        (&[(7, &[0, 80])], (None, None)),
        // A delta of nothing is a delta.
        (&[(1, &n(0)), (85, &n(900))], (Some(0), None)),
    ];
    for (values, expected) in cases {
        assert_eq!(counts(&record(values)), expected, "{values:?}");
    }
}

#[test]
fn totals_of_ovs_are_those_of_its_exporter_and_stay_unused() {
    let shape: [(u16, &[u8]); 4] = [(138, &[0; 4]), (61, &[0]), (240, &[14]), (352, &[9])];
    let totals: [(u16, &[u8]); 3] = [(86, &[7]), (85, &[99]), (353, &[200])];
    let of_ovs = record(&[&shape[..], &totals].concat());
    assert_eq!((counts(&of_ovs), of_ovs.l2_bytes), ((None, None), Some(9)));
    assert_eq!(
        counts(&record(&[&shape[..3], &totals].concat())),
        (Some(99), Some(7))
    );
}

#[test]
fn the_octets_of_the_responder_are_a_record_of_their_own() {
    let found = records(&[
        (8, &V4_A),
        (12, &V4_B),
        (7, &[0x04, 0xd2]),
        (11, &[0x01, 0xbb]),
        (4, &TCP),
        (10, &[0, 0, 0, 5]),
        (14, &[0, 0, 0, 6]),
        (85, &bytes([12_000], 4)),
        (231, &bytes([5_000], 4)),
        (232, &bytes([7_000], 4)),
        (298, &bytes([50], 4)),
        (299, &bytes([70], 4)),
        (152, &(EXPORT_MS - 9_000).to_be_bytes()),
        (323, &(EXPORT_MS - 1_000).to_be_bytes()),
    ]);
    let [initiator, responder] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (counts(initiator), counts(responder)),
        ((Some(5_000), Some(50)), (Some(7_000), Some(70)))
    );
    assert_eq!((responder.src_addr, responder.dst_addr), (v4(V4_B), v4(V4_A)));
    assert_eq!((responder.src_port, responder.dst_port), (Some(443), Some(1_234)));
    assert_eq!((responder.in_if, responder.out_if), (Some(6), Some(5)));
    assert_eq!(responder.ip_protocol, Some(6));
    // It ended when the event was seen.
    let times = |record: &Record| (record.start_ns, record.end_ns);
    let ms = |age: u64| Some((EXPORT_MS - age) * 1_000_000);
    assert_eq!(
        (times(initiator), times(responder)),
        ((ms(9_000), ms(1_000)), (ms(9_000), ms(1_000)))
    );
}

#[test]
fn the_reverse_half_of_a_biflow_is_a_record_of_its_own() {
    let reverse = |id, width| Field::vendor(REVERSE, id, width);
    let forward = [
        (8, &V4_A[..]),
        (12, &V4_B),
        (7, &[0, 80]),
        (11, &[0, 90]),
        (4, &TCP),
        (6, &[0x1b]),
        (5, &[0xb8]),
        (56, &[2, 0, 0, 0, 0, 1]),
        (80, &[2, 0, 0, 0, 0, 2]),
        (61, &[0]),
        (58, &[0, 100]),
        (59, &[0, 200]),
        (85, &[100]),
        (86, &[10]),
        (225, &V4_B),
        (16, &[0, 0, 0xfd, 0xe8]),
        (15, &V4_B),
    ];
    let start = (EXPORT_MS - 5).to_be_bytes();
    let with = |octets: &'static [u8], packets: &'static [u8]| {
        let mut values = fields(&forward);
        let name = (Field::iana(82, Field::VARIABLE), &b"in"[..]);
        values.extend([name, (Field::iana(82, Field::VARIABLE), b"out")]);
        values.extend([
            (reverse(85, 1), octets),
            (reverse(86, 1), packets),
            (reverse(6, 1), &[0x12]),
        ]);
        values.push((reverse(152, 8), &start));
        ipfix(&values)
    };
    let (summary, found) = with(&[200], &[20]);
    let [forward, second] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (counts(forward), counts(second)),
        ((Some(100), Some(10)), (Some(200), Some(20)))
    );
    assert_eq!((second.src_addr, second.dst_addr), (v4(V4_B), v4(V4_A)));
    assert_eq!((second.src_port, second.dst_port), (Some(90), Some(80)));
    assert_eq!(
        (second.src_mac, second.dst_mac),
        (forward.dst_mac, forward.src_mac)
    );
    assert_eq!((second.vlan, second.dst_vlan), (Some(200), Some(100)));
    assert_eq!(
        (second.in_if_name.as_str(), second.out_if_name.as_str()),
        ("out", "in")
    );
    assert_eq!((forward.tcp_flags, second.tcp_flags), (Some(0x1b), Some(0x12)));
    // What is not told of the other direction is not known of it.
    assert_eq!((forward.tos, second.tos), (Some(0xb8), None));
    assert_eq!(second.direction, Some(Direction::Ingress));
    assert_eq!(second.start_ns, Some((EXPORT_MS - 5) * 1_000_000));
    let said: Vec<_> = second.attributes.iter().map(|(attribute, _)| attribute).collect();
    assert_eq!(said, [Attribute::NatDstAddr, Attribute::DstAs]);
    let made = |summary: Summary| {
        (
            summary.data_records,
            summary.records,
            summary.biflow_records,
            summary.reverse_records,
        )
    };
    assert_eq!(made(summary), (1, 2, 1, 1));

    let (summary, found) = with(&[0], &[0]);
    assert_eq!((found.len(), made(summary)), (1, (1, 1, 1, 0)));
}

// Layers.

#[test]
fn of_two_headers_the_inner_one_is_taken_whole() {
    let outer: [(u16, &[u8]); 5] = [(27, &V6_A), (28, &V6_B), (4, &[4]), (7, &[0, 1]), (11, &[0, 2])];
    let inner: [(u16, &[u8]); 5] = [(8, &V4_A), (12, &V4_B), (7, &[0, 3]), (11, &[0, 4]), (4, &UDP)];
    let key = |record: &Record| {
        (
            record.src_addr,
            record.dst_addr,
            record.src_port,
            record.dst_port,
            record.ip_protocol,
        )
    };
    let of_inner = (v4(V4_A), v4(V4_B), Some(3), Some(4), Some(17));
    assert_eq!(key(&record(&[outer, inner].concat())), of_inner);
    // Each element of both headers beside that of the other.
    let pairs = [(0, 0), (1, 1), (3, 2), (4, 3), (2, 4)];
    let mixed: Vec<_> = pairs.iter().flat_map(|&(o, i)| [outer[o], inner[i]]).collect();
    assert_eq!(key(&record(&mixed)), of_inner);
    // A packet with one header only: the inner one is filled up with zeros.
    let none: [(u16, &[u8]); 5] = [
        (8, &[0; 4]),
        (12, &[0; 4]),
        (7, &[0; 2]),
        (11, &[0; 2]),
        (4, &[0]),
    ];
    let of_outer = (v6(V6_A), v6(V6_B), Some(1), Some(2), Some(4));
    assert_eq!(key(&record(&[outer, none].concat())), of_outer);
    // The same family twice.
    let outer_v4: [(u16, &[u8]); 3] = [(8, &[9; 4]), (12, &[8; 4]), (4, &[47])];
    assert_eq!(key(&record(&[&outer_v4[..], &inner].concat())), of_inner);
}

#[test]
fn a_template_for_both_families_gives_the_addresses_of_the_one_that_is_there() {
    let orders: [[u16; 4]; 4] = [[8, 12, 27, 28], [27, 28, 8, 12], [8, 27, 28, 12], [27, 8, 12, 28]];
    for order in orders {
        let with = |a4: &[u8], b4: &[u8], a6: &[u8], b6: &[u8]| {
            let value = |id: u16| match id {
                8 => a4.to_vec(),
                12 => b4.to_vec(),
                27 => a6.to_vec(),
                _ => b6.to_vec(),
            };
            let owned: Vec<_> = order.iter().map(|id| (*id, value(*id))).collect();
            let mut values: Vec<(u16, &[u8])> = owned.iter().map(|(id, value)| (*id, &value[..])).collect();
            values.extend([(7, &[0, 80][..]), (11, &[0, 90]), (4, &TCP), (1, &[0, 9])]);
            let record = record(&values);
            assert_eq!(
                (record.src_port, record.ip_protocol, record.bytes),
                (Some(80), Some(6), Some(9))
            );
            (record.src_addr, record.dst_addr)
        };
        assert_eq!(
            with(&V4_A, &V4_B, &[0; 16], &[0; 16]),
            (v4(V4_A), v4(V4_B)),
            "{order:?}"
        );
        assert_eq!(
            with(&[0; 4], &[0; 4], &V6_A, &V6_B),
            (v6(V6_A), v6(V6_B)),
            "{order:?}"
        );
        // From nobody, as DHCP begins.
        assert_eq!(
            with(&[0; 4], &V4_B, &[0; 16], &[0; 16]),
            (v4([0; 4]), v4(V4_B)),
            "{order:?}"
        );
        // Both: one packet in another. The inner one comes later.
        let both = with(&V4_A, &V4_B, &V6_A, &V6_B);
        let inner = if order[0] == 8 {
            (v6(V6_A), v6(V6_B))
        } else {
            (v4(V4_A), v4(V4_B))
        };
        assert_eq!(both, inner, "{order:?}");
    }
}

// Times.

#[test]
fn the_finest_time_counts_in_any_order_and_zero_is_none() {
    let ntp = |ns: u64| {
        let (seconds, rest) = (ns / 1_000_000_000 + 2_208_988_800, ns % 1_000_000_000);
        ((seconds << 32) + (rest << 32) / 1_000_000_000).to_be_bytes()
    };
    let at_ns = (EXPORT_MS - 1_500) * 1_000_000 + 123_456;
    let (seconds, ms) = ((EXPORT_S - 2).to_be_bytes(), (EXPORT_MS - 1_500).to_be_bytes());
    let ns = ntp(at_ns);
    let all: [(u16, &[u8]); 3] = [(150, &seconds), (152, &ms), (156, &ns)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        assert_eq!(record(&order.map(|n| all[n])).start_ns, Some(at_ns));
    }
    assert_eq!(
        record(&[all[1], all[0]]).start_ns,
        Some((EXPORT_MS - 1_500) * 1_000_000)
    );
    assert_eq!(
        record(&[(156, &[0; 8]), all[1]]).start_ns,
        Some((EXPORT_MS - 1_500) * 1_000_000)
    );
    for (id, width) in [(150, 4), (152, 8), (154, 8), (156, 8), (151, 4), (153, 8)] {
        let zero = vec![0; width];
        let record = record(&[(id, &zero)]);
        assert_eq!((record.start_ns, record.end_ns), (None, None), "{id}");
    }
    // Counted back from the export, zero is the export.
    assert_eq!(record(&[(158, &[0; 4])]).start_ns, Some(EXPORT_MS * 1_000_000));
    // Milliseconds of uptime are finer than seconds.
    let found = netflow9(&fields(&[(22, &bytes([90_000_000 - 1_500], 4)), (150, &seconds)]));
    assert_eq!(found[0].start_ns, Some((EXPORT_MS - 1_500) * 1_000_000));
}

#[test]
fn uptimes_that_are_both_zero_are_no_times() {
    let times = |first: u64, last: u64| {
        let (first, last) = (bytes([first], 4), bytes([last], 4));
        let record = netflow9(&fields(&[(22, &first), (21, &last)])).remove(0);
        let uptime = |ns: Option<u64>| ns.map(|ns| ns / 1_000_000 + 90_000_000 - EXPORT_MS);
        (uptime(record.start_ns), uptime(record.end_ns))
    };
    assert_eq!(times(0, 0), (None, None));
    assert_eq!(times(0, 5), (Some(0), Some(5)));
}

#[test]
fn one_end_and_a_duration_are_both_ends() {
    let at = |age: u64| (EXPORT_MS - age).to_be_bytes();
    let times = |values: &[(u16, &[u8])]| {
        let record = record(values);
        let age = |ns: Option<u64>| ns.map(|ns| EXPORT_MS - ns / 1_000_000);
        (age(record.start_ns), age(record.end_ns))
    };
    let (duration_ms, duration_us) = (bytes([500], 4), bytes([500_000], 4));
    assert_eq!(
        times(&[(152, &at(900)), (161, &duration_ms)]),
        (Some(900), Some(400))
    );
    assert_eq!(
        times(&[(161, &duration_ms), (153, &at(400))]),
        (Some(900), Some(400))
    );
    assert_eq!(
        times(&[(152, &at(900)), (162, &duration_us)]),
        (Some(900), Some(400))
    );
    assert_eq!(times(&[(161, &duration_ms)]), (None, None));
    assert_eq!(
        times(&[(152, &at(900)), (153, &at(1)), (161, &duration_ms)]),
        (Some(900), Some(1))
    );
}

#[test]
fn an_event_is_when_it_was_observed() {
    let times = |values: &[(u16, &[u8])]| (record(values).start_ns, record(values).end_ns);
    let ms = EXPORT_MS - 7_000;
    let both = (Some(ms * 1_000_000), Some(ms * 1_000_000));
    assert_eq!(times(&[(323, &ms.to_be_bytes())]), both);
    assert_eq!(times(&[(322, &(EXPORT_S - 7).to_be_bytes())]), both);
    let ntp = ((u64::from(EXPORT_S) - 7 + 2_208_988_800) << 32).to_be_bytes();
    assert_eq!((times(&[(324, &ntp)]), times(&[(325, &ntp)])), (both, both));
    assert_eq!(times(&[(323, &[0; 8])]), (None, None));
}

// ICMP.

#[test]
fn type_and_code_of_icmp_are_found_where_they_are() {
    let icmp = |record: &Record| (record.icmp_type, record.icmp_code);
    let pair = (Some(3), Some(1));
    let (one, six): (&[u8], &[u8]) = (&[1], &[58]);
    let cases: [&[(u16, &[u8])]; 9] = [
        &[(4, one), (11, &[3, 1])],
        &[(4, one), (11, &[3, 1]), (32, &[0, 0])],
        &[(32, &[0, 0]), (4, one), (11, &[3, 1]), (176, &[0]), (177, &[0])],
        &[(4, one), (11, &[0, 0]), (32, &[3, 1])],
        // Of both families, that of the protocol, or the one that says something.
        &[(4, one), (32, &[3, 1]), (139, &[9, 9])],
        &[(4, six), (139, &[3, 1]), (32, &[9, 9])],
        &[(4, six), (32, &[3, 1]), (139, &[0, 0])],
        &[(4, one), (176, &[3]), (177, &[1]), (178, &[0]), (179, &[0])],
        &[(193, six), (11, &[3, 1])],
    ];
    for values in cases {
        assert_eq!(icmp(&record(values)), pair, "{values:?}");
        assert_eq!(icmp(&netflow9(&fields(values))[0]), pair, "{values:?}");
    }
    // The port of an echo reply is zero: known in NetFlow, no more than likely in IPFIX.
    let reply: [(u16, &[u8]); 2] = [(4, one), (11, &[0, 0])];
    assert_eq!(icmp(&netflow9(&fields(&reply))[0]), (Some(0), Some(0)));
    assert_eq!(icmp(&record(&reply)), (None, None));
    assert_eq!(icmp(&record(&[(4, one), (32, &[0, 0])])), (Some(0), Some(0)));
}

#[test]
fn other_protocols_have_no_icmp() {
    for values in [
        &[(4, &TCP[..]), (32, &[3, 1]), (11, &[1, 187])][..],
        &[(176, &[8]), (177, &[0]), (4, &UDP)],
        &[(139, &[0, 0]), (4, &TCP), (32, &[0, 0])],
    ] {
        let record = record(values);
        assert_eq!((record.icmp_type, record.icmp_code), (None, None), "{values:?}");
    }
}

// What stands for something else, and what says nothing.

#[test]
fn other_elements_stand_for_those_that_say_nothing() {
    let (mac_a, mac_b) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    for zeros_first in [false, true] {
        let spare: [(u16, &[u8]); 7] = [
            (81, &mac_a),
            (57, &mac_b),
            (252, &[0, 0, 0, 5]),
            (253, &[0, 0, 0, 6]),
            (180, &[0, 80]),
            (181, &[0, 90]),
            (193, &UDP),
        ];
        let zeros: [(u16, &[u8]); 9] = [
            (56, &[0; 6]),
            (80, &[0; 6]),
            (10, &[0; 4]),
            (14, &[0; 4]),
            (7, &[0; 2]),
            (11, &[0; 2]),
            (4, &[0]),
            (182, &[0; 2]),
            (183, &[0; 2]),
        ];
        let both = if zeros_first {
            [&zeros[..], &spare].concat()
        } else {
            [&spare[..], &zeros].concat()
        };
        for values in [&spare[..], &both] {
            let record = record(values);
            assert_eq!((record.src_mac, record.dst_mac), (Some(mac_a), Some(mac_b)));
            assert_eq!((record.in_if, record.out_if), (Some(5), Some(6)));
            assert_eq!((record.src_port, record.dst_port), (Some(80), Some(90)));
            assert_eq!(record.ip_protocol, Some(17));
        }
    }
    let record = record(&[
        (81, &mac_b),
        (56, &mac_a),
        (252, &[9]),
        (10, &[5]),
        (193, &[43]),
        (4, &TCP),
    ]);
    assert_eq!(
        (record.src_mac, record.in_if, record.ip_protocol),
        (Some(mac_a), Some(5), Some(6))
    );
}

#[test]
fn vlan_zero_and_a_mac_of_zeros_are_none() {
    let record = record(&[(58, &[0, 0]), (59, &[0, 0]), (56, &[0; 6]), (80, &[0; 6])]);
    assert_eq!(
        (record.vlan, record.dst_vlan, record.src_mac, record.dst_mac),
        (None, None, None, None)
    );
    assert_eq!(self::record(&[(58, &[0, 7]), (243, &[0, 0])]).vlan, Some(7));
}

// Sampled packets.

/// A TCP segment of 80 octets from 10.1.1.1:1234 to 10.2.2.2:443, of which 20 are there.
fn packet() -> Vec<u8> {
    let mut body = Body::default();
    body.bytes(&[0x45, 0x28, 0, 80, 0, 1, 0x40, 0, 63, 6, 0, 0])
        .bytes(&V4_A)
        .bytes(&V4_B);
    body.u16(1_234).u16(443).u32(1).u32(2).u16(0x5018).u16(100).u32(0);
    body.into_bytes()
}

fn frame() -> Vec<u8> {
    let mut body = Body::default();
    body.bytes(&[2, 0, 0, 0, 0, 2])
        .bytes(&[2, 0, 0, 0, 0, 1])
        .u16(0x8100)
        .u16(100)
        .u16(0x0800);
    [body.into_bytes(), packet()].concat()
}

fn is_the_packet(record: &Record) {
    assert_eq!((record.src_addr, record.dst_addr), (v4(V4_A), v4(V4_B)));
    assert_eq!(
        (record.src_port, record.dst_port, record.ip_protocol),
        (Some(1_234), Some(443), Some(6))
    );
    assert_eq!((record.tcp_flags, record.ttl), (Some(0x18), Some(63)));
}

#[test]
fn a_sampled_frame_says_what_the_record_does_not() {
    let frame = frame();
    for width in [Field::VARIABLE, frame.len() as u16] {
        let (_, records) = ipfix(&[
            (Field::iana(10, 4), &[0, 0, 0, 5]),
            (Field::iana(312, 2), &[0, 98]),
            (Field::iana(315, width), &frame),
        ]);
        let record = &records[0];
        is_the_packet(record);
        assert_eq!((record.in_if, record.vlan), (Some(5), Some(100)));
        assert_eq!(
            (record.src_mac, record.dst_mac),
            (Some([2, 0, 0, 0, 0, 1]), Some([2, 0, 0, 0, 0, 2]))
        );
        assert_eq!(counts(record), (Some(80), Some(1)));
        // Records of OVS are known by this.
        assert_eq!(record.ethernet_header_len, None);
    }
    let v9 = netflow9(&fields(&[(104, &frame), (103, &[0, 58]), (102, &[0, 0])]));
    is_the_packet(&v9[0]);
}

#[test]
fn a_sampled_packet_is_read_from_its_ip_header() {
    let mut padded = packet();
    let exported = [0, padded.len() as u8];
    padded.extend([0; 20]);
    let record = record(&[(313, &padded), (410, &exported), (7, &[0, 99]), (302, &[7])]);
    assert_eq!(
        (record.src_addr, record.src_port, record.dst_port),
        (v4(V4_A), Some(99), None)
    );
    assert_eq!((counts(&record), record.selector), ((Some(80), Some(1)), Some(7)));
}

#[test]
fn what_a_record_says_is_not_that_of_its_sampled_packet() {
    let (section, frame) = (packet(), frame());
    let counted = record(&[(313, &section), (1, &[0, 200]), (2, &[0, 3]), (4, &UDP)]);
    assert_eq!(
        (counts(&counted), counted.ip_protocol),
        ((Some(200), Some(3)), Some(17))
    );
    // It does not begin with the packet, or is no Ethernet.
    for values in [
        &[(313, &section[..]), (409, &[0, 4]), (224, &[0, 80])][..],
        &[(315, &frame), (408, &[2]), (224, &[0, 80])],
    ] {
        let record = record(values);
        assert_eq!(
            (record.src_addr, counts(&record)),
            (None, (Some(80), Some(1))),
            "{values:?}"
        );
    }
    // The size of the frame less its header, where the packet does not tell its length.
    let size = record(&[(312, &[0, 118]), (315, &frame[..16])]);
    assert_eq!(counts(&size), (Some(104), Some(1)));
    assert_eq!(
        counts(&ipfix(&[(Field::iana(315, Field::VARIABLE), &[])]).1[0]),
        (None, None)
    );
}

// Attributes.

fn said(record: &Record) -> Vec<(Attribute, AttributeValue)> {
    record
        .attributes
        .iter()
        .map(|(attribute, value)| (attribute, value.clone()))
        .collect()
}

#[test]
fn what_few_exporters_say_is_told_as_attributes() {
    use AttributeValue::{Address, Text, Unsigned};
    let text = |text: &str| Text(text.into());
    let cases: [(u16, &[u8], Attribute, AttributeValue); 24] = [
        (
            225,
            &V4_A,
            Attribute::NatSrcAddr,
            Address(Ipv4Addr::from(V4_A).into()),
        ),
        (
            281,
            &V6_A,
            Attribute::NatSrcAddr,
            Address(Ipv6Addr::from(V6_A).into()),
        ),
        (
            226,
            &V4_B,
            Attribute::NatDstAddr,
            Address(Ipv4Addr::from(V4_B).into()),
        ),
        (
            282,
            &V6_B,
            Attribute::NatDstAddr,
            Address(Ipv6Addr::from(V6_B).into()),
        ),
        (227, &[1, 0], Attribute::NatSrcPort, Unsigned(256)),
        (228, &[1, 1], Attribute::NatDstPort, Unsigned(257)),
        (230, &[4], Attribute::NatEvent, Unsigned(4)),
        (
            15,
            &V4_A,
            Attribute::NextHop,
            Address(Ipv4Addr::from(V4_A).into()),
        ),
        (
            62,
            &V6_A,
            Attribute::NextHop,
            Address(Ipv6Addr::from(V6_A).into()),
        ),
        (
            18,
            &V4_A,
            Attribute::BgpNextHop,
            Address(Ipv4Addr::from(V4_A).into()),
        ),
        (
            63,
            &V6_A,
            Attribute::BgpNextHop,
            Address(Ipv6Addr::from(V6_A).into()),
        ),
        (16, &[0xfd, 0xe8], Attribute::SrcAs, Unsigned(65_000)),
        (17, &[0, 1, 0, 0], Attribute::DstAs, Unsigned(65_536)),
        (9, &[24], Attribute::SrcPrefixLen, Unsigned(24)),
        (30, &[64], Attribute::DstPrefixLen, Unsigned(64)),
        (234, &[0, 0, 0, 9], Attribute::IngressVrf, Unsigned(9)),
        (235, &[0, 0, 0, 8], Attribute::EgressVrf, Unsigned(8)),
        (95, &[3, 0, 0, 80], Attribute::ApplicationId, text("3:80")),
        (96, b"http\0\0", Attribute::ApplicationName, text("http")),
        (371, b"ada", Attribute::UserName, text("ada")),
        (89, &[0x82], Attribute::ForwardingStatus, Unsigned(0x82)),
        (233, &[3], Attribute::FirewallEvent, Unsigned(3)),
        (
            148,
            &[1, 2, 3, 4, 5, 6, 7, 8],
            Attribute::FlowId,
            Unsigned(0x0102_0304_0506_0708),
        ),
        (70, &[0x00, 0x01, 0x01], Attribute::MplsLabels, text("16")),
    ];
    for (id, value, attribute, expected) in cases {
        assert_eq!(said(&record(&[(id, value)])), [(attribute, expected)], "{id}");
        let zeros = vec![0; value.len()];
        assert!(record(&[(id, &zeros)]).attributes.is_empty(), "{id}");
    }
}

#[test]
fn labels_are_told_from_the_top_to_the_bottom_of_the_stack() {
    let label = |label: u32, bottom: u32| (label << 4 | bottom).to_be_bytes()[1..].to_vec();
    let (a, b, c) = (label(100, 0), label(1_048_575, 1), label(7, 1));
    let record = record(&[(72, &c), (71, &b), (70, &a), (73, &[0; 3])]);
    let labels = AttributeValue::Text("100,1048575".into());
    assert_eq!(said(&record), [(Attribute::MplsLabels, labels)]);
}

#[test]
fn the_elements_of_antrea_are_read() {
    let field = |id, width| Field::vendor(ANTREA, id, width);
    let (_, records) = ipfix(&[
        (field(100, Field::VARIABLE), b"shop"),
        (field(101, Field::VARIABLE), b"cart-0"),
        (field(103, Field::VARIABLE), b""),
        (field(105, Field::VARIABLE), b"node-b"),
        (field(106, 4), &V4_B),
        (field(107, 16), &[0; 16]),
        (field(108, 2), &[0, 80]),
        (field(109, Field::VARIABLE), b"shop/cart:http"),
        (field(139, 1), &[1]),
        (field(140, 1), &[0]),
        (field(136, Field::VARIABLE), b"TIME_WAIT"),
        (field(121, 8), &[9; 8]),
    ]);
    let texts = |name: &str| AttributeValue::Text(name.into());
    let expected = [
        (Attribute::SrcPodNamespace, texts("shop")),
        (Attribute::SrcPodName, texts("cart-0")),
        (Attribute::DstNodeName, texts("node-b")),
        (
            Attribute::DstServiceAddr,
            AttributeValue::Address(Ipv4Addr::from(V4_B).into()),
        ),
        (Attribute::DstServicePort, AttributeValue::Unsigned(80)),
        (Attribute::DstServicePortName, texts("shop/cart:http")),
        (Attribute::IngressPolicyAction, AttributeValue::Unsigned(1)),
        (Attribute::TcpState, texts("TIME_WAIT")),
    ];
    assert_eq!(said(&records[0]), expected);
}

#[test]
fn the_numbers_that_netflow_9_has_for_itself_are_read() {
    let record = &netflow9(&fields(&[
        (40_000, b"ada\0\0\0\0\0"),
        (40_001, &V4_A),
        (40_005, &[2]),
        (57_591, b"TLS"),
    ]))[0];
    let expected = [
        (
            Attribute::NatSrcAddr,
            AttributeValue::Address(Ipv4Addr::from(V4_A).into()),
        ),
        (Attribute::ApplicationName, AttributeValue::Text("TLS".into())),
        (Attribute::UserName, AttributeValue::Text("ada".into())),
        (Attribute::FirewallEvent, AttributeValue::Unsigned(2)),
    ];
    assert_eq!(said(record), expected);
}

// Sampling.

#[test]
fn a_record_may_state_its_sampling_in_several_ways() {
    let n = |value: u32| value.to_be_bytes();
    let cases: [(&[Element<'_>], Option<u32>); 6] = [
        (&[(305, &n(1)), (309, &n(1)), (310, &n(256))], Some(256)),
        (&[(305, &n(100))], Some(100)),
        (&[(50, &n(512)), (34, &n(0))], Some(512)),
        (&[(305, &n(1)), (306, &n(99))], Some(100)),
        (&[(34, &n(1))], Some(1)),
        (&[(34, &n(0)), (305, &n(0))], None),
    ];
    for (values, expected) in cases {
        assert_eq!(record(values).sampling, expected, "{values:?}");
    }
}
