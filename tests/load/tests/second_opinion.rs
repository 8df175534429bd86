//! `wire` and `netflow_parser` read the same from what ordinary exporters send.
//! Open vSwitch's IPFIX is not among it: `netflow_parser` refuses variable-length
//! fields without octets.

use std::net::{IpAddr, SocketAddr};

use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};
use weir_load::{Generator, Plan, Traffic};
use wire::{Decoder, Record};

/// Source, destination, ports, packets, octets, interfaces.
type Row = (IpAddr, IpAddr, [u64; 6]);

fn datagrams(traffic: Traffic) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(Plan {
        traffic,
        exporters: 1,
        flows: 1000,
        seed: 3,
        start_secs: 1_795_196_000,
    });
    let mut cards = generator.templates(0, 1_795_196_542).cards.to_vec();
    for _ in 0..10 {
        cards.extend_from_slice(generator.run(usize::MAX, u64::MAX, 1_795_196_542).cards);
    }
    cards.iter().map(|card| card.octets().to_vec()).collect()
}

fn ours(datagrams: &[Vec<u8>]) -> Vec<Row> {
    let (mut decoder, mut records) = (Decoder::default(), Vec::new());
    let session = SocketAddr::from(([192, 0, 2, 1], 4739));
    for datagram in datagrams {
        decoder
            .decode(session, 1_795_196_542_000, datagram, &mut records)
            .expect("a well-formed datagram");
    }
    records.iter().map(row).collect()
}

fn row(record: &Record) -> Row {
    let icmp = record.icmp_type.zip(record.icmp_code);
    let dst_port = icmp.map_or(record.dst_port, |(kind, code)| {
        record.dst_port.or(Some(u16::from_be_bytes([kind, code])))
    });
    let numbers = [
        record.src_port.map(u64::from).or(Some(0)),
        dst_port.map(u64::from),
        record.packets,
        record.bytes,
        record.in_if.map(u64::from),
        record.out_if.map(u64::from),
    ];
    let address = |address: Option<IpAddr>| address.expect("all flows have addresses");
    (
        address(record.src_addr),
        address(record.dst_addr),
        numbers.map(|number| number.expect("all flows have these")),
    )
}

fn theirs(datagrams: &[Vec<u8>]) -> Vec<Row> {
    let mut parser = NetflowParser::default();
    datagrams
        .iter()
        .flat_map(|datagram| parser.parse_bytes(datagram).packets)
        .flat_map(rows)
        .collect()
}

fn rows(packet: NetflowPacket) -> Vec<Row> {
    match packet {
        NetflowPacket::V5(message) => {
            let row = |flow: &netflow_parser::static_versions::v5::FlowSet| {
                let numbers = [
                    flow.src_port.into(),
                    flow.dst_port.into(),
                    flow.d_pkts.into(),
                    flow.d_octets.into(),
                    flow.input.into(),
                    flow.output.into(),
                ];
                (flow.src_addr.into(), flow.dst_addr.into(), numbers)
            };
            message.flowsets.iter().map(row).collect()
        }
        NetflowPacket::V9(message) => {
            let sets = message.flowsets.into_iter().map(|set| set.body);
            let data = sets.filter_map(|body| match body {
                v9::FlowSetBody::Data(data) => Some(data.fields),
                _ => None,
            });
            data.flatten()
                .map(|record| templated(record.into_iter().map(|pair| pair.1)))
                .collect()
        }
        NetflowPacket::IPFix(message) => {
            let sets = message.flowsets.into_iter().map(|set| set.body);
            let data = sets.filter_map(|body| match body {
                ipfix::FlowSetBody::Data(data) => Some(data.fields),
                _ => None,
            });
            data.flatten()
                .map(|record| templated(record.into_iter().map(|pair| pair.1)))
                .collect()
        }
        other => panic!("not sent: {other:?}"),
    }
}

/// By the order of the generator's template: addresses, ports, protocol, class of
/// service, flags, interfaces, packets, octets.
fn templated(values: impl Iterator<Item = FieldValue>) -> Row {
    let values: Vec<_> = values.collect();
    let address = |place: usize| IpAddr::try_from(&values[place]).expect("an address");
    let number = |place: usize| match &values[place] {
        FieldValue::DataNumber(number) => number.as_u64().expect("an unsigned number"),
        other => panic!("not a number: {other:?}"),
    };
    (address(0), address(1), [2, 3, 9, 10, 7, 8].map(number))
}

#[test]
fn both_read_the_same_records() {
    for traffic in [Traffic::NetFlow5, Traffic::NetFlow9, Traffic::Ipfix] {
        let datagrams = datagrams(traffic);
        let ours = ours(&datagrams);
        assert_eq!(ours.len(), 24 * 32 * 10, "{traffic:?}");
        assert_eq!(ours, theirs(&datagrams), "{traffic:?}");
    }
}
