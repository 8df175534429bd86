//! What a real Open vSwitch 3.1.0 sent, against what tshark 4.0.17 reads from it.
//! In the commands below, `$P` is the capture.

mod pcap;

use std::collections::BTreeMap;
use std::net::IpAddr;

use pcap::Datagram;
use wire::ovs::{STATISTICS_TEMPLATE, TemplateKey};
use wire::{Decoder, Direction, Limits, PacketSample, Protocol, Record, SampledInterface, Summary, Text};

fn decode(datagrams: &[Datagram]) -> (Vec<Summary>, Vec<Record>) {
    decode_with(Limits::default(), datagrams)
}

fn decode_with(limits: Limits, datagrams: &[Datagram]) -> (Vec<Summary>, Vec<Record>) {
    let mut decoder = Decoder::new(limits);
    let mut records = Vec::new();
    let summaries = datagrams
        .iter()
        .map(|datagram| {
            decoder
                .decode(
                    datagram.source,
                    datagram.received_ms,
                    &datagram.payload,
                    &mut records,
                )
                .expect("a datagram of a real exporter is well-formed")
        })
        .collect();
    (summaries, records)
}

fn sum(records: &[Record], value: impl Fn(&Record) -> Option<u64>) -> u64 {
    records.iter().filter_map(value).sum()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

#[test]
fn every_datagram_of_the_three_exporters_decodes() {
    let (summaries, records) = decode(&pcap::datagrams());
    assert_eq!(summaries.len(), 1071);
    let count = |protocol| {
        records
            .iter()
            .filter(|record| record.protocol == protocol)
            .count()
    };
    assert_eq!(count(Protocol::NetFlow5), 407);
    assert_eq!(count(Protocol::Ipfix), 836);
    assert_eq!(count(Protocol::Sflow5), 1237);
    assert_eq!(
        summaries.iter().map(|summary| summary.records).sum::<usize>(),
        records.len()
    );
}

/// `tshark -r $P -d udp.port==2056,cflow -Y udp.dstport==2056 -T fields -e cflow.packets -e cflow.octets`,
/// commas split, added up.
#[test]
fn netflow_sums_are_those_of_tshark() {
    let (_, records) = decode(&pcap::netflow());
    assert_eq!(records.len(), 407);
    assert_eq!(sum(&records, |record| record.packets), 345_044);
    assert_eq!(sum(&records, |record| record.bytes), 391_802_193);
}

/// `tshark -r $P -d udp.port==2056,cflow -Y udp.dstport==2056 -V`, first flow: the iperf3 stream.
#[test]
fn the_first_netflow_record_is_the_iperf_stream() {
    let (summaries, records) = decode(&pcap::netflow());
    assert_eq!(summaries[0].sequence, 410);
    let expected = Record {
        protocol: Protocol::NetFlow5,
        engine_type: Some(47),
        engine_id: Some(209),
        export_ns: 1_795_196_542_624_299_306,
        // 225.135 s of uptime at export, 219.137 s and 222.143 s at first and last.
        start_ns: Some(1_795_196_536_626_299_306),
        end_ns: Some(1_795_196_539_632_299_306),
        src_addr: address("10.128.0.1"),
        dst_addr: address("10.128.0.2"),
        src_port: Some(34782),
        dst_port: Some(5201),
        ip_protocol: Some(6),
        ip_version: Some(4),
        tos: Some(0),
        tcp_flags: Some(0x1a),
        bytes: Some(385_011_957),
        packets: Some(254_304),
        in_if: Some(1),
        out_if: Some(2),
        ..Record::default()
    };
    assert_eq!(records[0], expected);
}

/// `tshark -r $P -d udp.port==4739,cflow -Y 'cflow.template_frame && cflow.flowset_id!=462'
/// -T fields -e cflow.flowset_id -e cflow.packets -e cflow.octets -e cflow.layer2_octet_delta_count
/// -e cflow.drop_packets`, added up by set id: TCP, UDP, ICMP over IPv4 (280 to 293), ICMPv6 (312, 313);
/// even ids are ingress.
#[test]
fn ipfix_sums_are_those_of_tshark() {
    let (_, records) = decode(&pcap::ipfix());
    let mut sums: BTreeMap<_, [u64; 5]> = BTreeMap::new();
    for record in &records {
        let key = (
            record.ip_version,
            record.ip_protocol,
            record.direction == Some(Direction::Egress),
        );
        let values = [
            Some(1),
            record.packets,
            record.bytes,
            record.l2_bytes,
            record.dropped_packets,
        ];
        for (sum, value) in sums.entry(key).or_default().iter_mut().zip(values) {
            *sum += value.expect("OVS sends all of them for IP");
        }
    }
    let expected = BTreeMap::from([
        (
            (Some(4), Some(6), false),
            [204, 344_828, 386_964_183, 391_791_775, 344_624],
        ),
        (
            (Some(4), Some(6), true),
            [204, 344_828, 386_964_183, 391_791_775, 344_624],
        ),
        ((Some(4), Some(17), false), [200, 200, 6_200, 9_000, 0]),
        ((Some(4), Some(17), true), [200, 200, 6_200, 9_000, 0]),
        ((Some(4), Some(1), false), [3, 16, 1_194, 1_418, 0]),
        ((Some(4), Some(1), true), [3, 16, 1_194, 1_418, 0]),
        ((Some(6), Some(58), false), [9, 13, 1_088, 1_270, 4]),
        ((Some(6), Some(58), true), [13, 19, 1_592, 1_858, 5]),
    ]);
    assert_eq!(sums, expected);
}

/// `tshark -r $P -d udp.port==4739,cflow -Y frame.number==220 -V` (221 for the egress record).
fn iperf_control_connection() -> Record {
    Record {
        protocol: Protocol::Ipfix,
        observation_domain: Some(0),
        observation_point: Some(0),
        export_ns: 1_795_196_542_000_000_000,
        start_ns: Some(1_795_196_536_625_000_000),
        end_ns: Some(1_795_196_539_632_000_000),
        direction: Some(Direction::Ingress),
        src_mac: Some([0x3a, 0xb1, 0x0f, 0xb6, 0xa5, 0xd2]),
        dst_mac: Some([0x76, 0x61, 0x3c, 0xdb, 0x9a, 0x03]),
        ether_type: Some(0x0800),
        ethernet_header_len: Some(14),
        in_if: Some(7),
        in_if_name: Text::from("veth1"),
        ip_version: Some(4),
        ttl: Some(64),
        ip_protocol: Some(6),
        dscp: Some(0),
        tos: Some(0),
        src_addr: address("10.128.0.1"),
        dst_addr: address("10.128.0.2"),
        src_port: Some(34772),
        dst_port: Some(5201),
        dropped_packets: Some(15),
        dropped_bytes: Some(1_250),
        packets: Some(16),
        bytes: Some(1_310),
        l2_bytes: Some(1_534),
        end_reason: Some(2),
        min_ip_len: Some(52),
        max_ip_len: Some(340),
        ..Record::default()
    }
}

#[test]
fn an_ipfix_ingress_record_is_read_whole() {
    let (_, records) = decode(&pcap::ipfix());
    assert_eq!(records[0], iperf_control_connection());
}

#[test]
fn an_ipfix_egress_record_names_both_interfaces() {
    let (_, records) = decode(&pcap::ipfix());
    let expected = Record {
        direction: Some(Direction::Egress),
        out_if: Some(8),
        out_if_name: Text::from("veth2"),
        ..iperf_control_connection()
    };
    assert_eq!(records[1], expected);
}

#[test]
fn all_ovs_templates_are_learned_and_options_data_is_counted() {
    let (summaries, _) = decode(&pcap::ipfix());
    let total = |count: fn(&Summary) -> usize| summaries.iter().map(count).sum::<usize>();
    assert_eq!(total(|summary| summary.templates_learned), 89);
    assert_eq!(total(|summary| summary.options_records), 1);
    assert_eq!(
        total(|summary| summary.sets_held + summary.sets_dropped + summary.sets_skipped),
        0
    );
}

#[test]
fn templates_that_come_last_release_the_same_records() {
    let (_, in_order) = decode(&pcap::ipfix());
    let (templates, data): (Vec<_>, Vec<_>) = pcap::ipfix()
        .into_iter()
        .partition(|datagram| matches!(datagram.payload[17], 2 | 3));
    let as_received = Limits {
        assume_ovs: false,
        ..Limits::default()
    };
    let (summaries, late) = decode_with(as_received, &[data, templates].concat());
    assert_eq!(
        summaries.iter().map(|summary| summary.sets_held).sum::<usize>(),
        837
    );
    assert_eq!(
        summaries
            .iter()
            .map(|summary| summary.released_records)
            .sum::<usize>(),
        836
    );
    let sorted = |mut records: Vec<Record>| {
        records
            .iter_mut()
            .for_each(|record| record.waited_since_ms = None);
        records.sort_by_key(|record| format!("{record:?}"));
        records
    };
    assert_eq!(sorted(late), sorted(in_order));
}

/// Template id and field specifiers (element, width, enterprise) of every template in the capture.
fn templates_on_the_wire() -> BTreeMap<u16, Vec<(u16, u16, u32)>> {
    let be16 = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut found = BTreeMap::new();
    for datagram in pcap::ipfix().iter().filter(|datagram| datagram.payload[17] == 2) {
        let mut rest = &datagram.payload[20..];
        while !rest.is_empty() {
            let (id, count) = (be16(rest), be16(&rest[2..]));
            rest = &rest[4..];
            let mut fields = Vec::new();
            for _ in 0..count {
                let (element, width) = (be16(rest), be16(&rest[2..]));
                let enterprise = if element & 0x8000 == 0 {
                    rest = &rest[4..];
                    0
                } else {
                    let number = u32::from_be_bytes(rest[4..8].try_into().expect("four octets"));
                    rest = &rest[8..];
                    number
                };
                fields.push((element & 0x7fff, width, enterprise));
            }
            found.insert(id, fields);
        }
    }
    found
}

#[test]
fn the_88_templates_known_in_advance_are_those_that_ovs_sends() {
    let known: BTreeMap<_, _> = TemplateKey::all()
        .map(|key| {
            let fields = key.fields(false);
            (
                key.id(),
                fields
                    .iter()
                    .map(|field| (field.id, field.width, field.enterprise))
                    .collect(),
            )
        })
        .collect();
    assert_eq!(known.len(), 88);
    assert!(!known.contains_key(&STATISTICS_TEMPLATE));
    assert_eq!(known, templates_on_the_wire());
}

/// `tshark -r $P -Y sflow -T fields -E occurrence=a -e sflow_245.header.frame_length -e ip.len`, commas
/// split, added up (the first `ip.len` of a frame is that of the datagram itself).
#[test]
fn sflow_sums_are_those_of_tshark() {
    let (_, records) = decode(&pcap::sflow());
    assert_eq!(records.len(), 1237);
    let sample = |record: &Record| record.sample.clone().expect("sFlow records have one");
    assert_eq!(
        sum(&records, |record| Some(sample(record).frame_length.into())),
        1_404_299
    );
    assert_eq!(
        sum(&records, |record| sample(record).ip_length.map(u64::from)),
        1_382_033
    );
    assert!(records.iter().all(|record| record.ip_protocol == Some(6)));
}

/// `tshark -r $P -Y frame.number==1 -V`.
#[test]
fn the_first_sflow_sample_is_read_whole() {
    let datagrams = pcap::sflow();
    let (summaries, records) = decode(&datagrams);
    assert_eq!(summaries[0].sequence, 1092);
    let received_ns = datagrams[0].received_ms * 1_000_000;
    let expected = Record {
        protocol: Protocol::Sflow5,
        agent: address("127.0.0.1"),
        sub_agent: Some(0),
        export_ns: received_ns,
        start_ns: Some(received_ns),
        end_ns: Some(received_ns),
        src_mac: Some([0x3a, 0xb1, 0x0f, 0xb6, 0xa5, 0xd2]),
        dst_mac: Some([0x76, 0x61, 0x3c, 0xdb, 0x9a, 0x03]),
        ether_type: Some(0x0800),
        ethernet_header_len: Some(14),
        ip_version: Some(4),
        tos: Some(0),
        ttl: Some(64),
        ip_protocol: Some(6),
        src_addr: address("10.128.0.1"),
        dst_addr: address("10.128.0.2"),
        src_port: Some(34772),
        dst_port: Some(5201),
        tcp_flags: Some(0x10),
        in_if: Some(7),
        out_if: Some(8),
        sampling: Some(64),
        sample: Some(PacketSample {
            sequence: 5659,
            source_type: 2,
            source_index: 1000,
            rate: 64,
            pool: 362_176,
            drops: 0,
            input: SampledInterface {
                format: SampledInterface::SINGLE,
                value: 7,
            },
            output: SampledInterface {
                format: SampledInterface::SINGLE,
                value: 8,
            },
            frame_length: 70,
            stripped: 4,
            ip_length: Some(52),
            inner: None,
        }),
        ..Record::default()
    };
    assert_eq!(records[0], expected);
}
