//! NetFlow v5, on datagrams made by hand.

use std::net::SocketAddr;

use netflow_parser::static_versions::v5::V5;
use proptest::collection::vec;
use proptest::prelude::*;
use wire::encode::{Flow5, NetFlow5};
use wire::{Attribute, AttributeValue, Decoder, Record, Reject, Summary};

const FLOW: Flow5 = Flow5 {
    src: [10, 0, 0, 1],
    dst: [10, 0, 0, 2],
    input: 65_534,
    output: 65_533,
    packets: u32::MAX,
    bytes: u32::MAX,
    first_ms: 1_000,
    last_ms: 2_000,
    src_port: 1234,
    dst_port: 80,
    tcp_flags: 0x1b,
    protocol: 6,
    tos: 0xb8,
};

fn datagram(flows: Vec<Flow5>) -> NetFlow5 {
    NetFlow5 {
        uptime_ms: 3_000,
        unix_secs: 100,
        unix_nsecs: 5,
        sequence: 9,
        engine_type: 1,
        engine_id: 2,
        flows,
        ..Default::default()
    }
}

fn decode(datagram: &[u8]) -> Result<(Summary, Vec<Record>), Reject> {
    let mut records = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    let summary = Decoder::default().decode(session, 0, datagram, &mut records)?;
    Ok((summary, records))
}

#[test]
fn every_field_of_a_flow_arrives() {
    let (summary, records) = decode(&datagram(vec![FLOW]).encode()).expect("well-formed");
    assert_eq!(
        (summary.sequence, summary.records, summary.export_ns),
        (9, 1, 100_000_000_005)
    );
    assert_eq!((summary.engine, summary.agent), (Some((1, 2)), None));
    let record = &records[0];
    assert_eq!((record.engine_type, record.engine_id), (Some(1), Some(2)));
    assert_eq!(
        (record.start_ns, record.end_ns),
        (Some(98_000_000_005), Some(99_000_000_005))
    );
    assert_eq!(record.src_addr, Some([10, 0, 0, 1].into()));
    assert_eq!(record.dst_addr, Some([10, 0, 0, 2].into()));
    assert_eq!((record.src_port, record.dst_port), (Some(1234), Some(80)));
    assert_eq!((record.in_if, record.out_if), (Some(65_534), Some(65_533)));
    assert_eq!(
        (record.bytes, record.packets),
        (Some(4_294_967_295), Some(4_294_967_295))
    );
    assert_eq!(
        (record.tcp_flags, record.tos, record.ip_protocol),
        (Some(0x1b), Some(0xb8), Some(6))
    );
    assert_eq!(record.sampling, None);
}

#[test]
fn thirty_flows_come_in_their_order() {
    let flows = (0..30)
        .map(|number| Flow5 {
            src_port: number,
            ..FLOW
        })
        .collect();
    let (_, records) = decode(&datagram(flows).encode()).expect("well-formed");
    let ports: Vec<_> = records.iter().filter_map(|record| record.src_port).collect();
    assert_eq!(ports, (0..30).collect::<Vec<u16>>());
}

#[test]
fn the_destination_port_of_icmp_is_type_and_code() {
    let flow = Flow5 {
        protocol: 1,
        src_port: 0,
        dst_port: 0x0800,
        ..FLOW
    };
    let (_, records) = decode(&datagram(vec![flow]).encode()).expect("well-formed");
    assert_eq!((records[0].icmp_type, records[0].icmp_code), (Some(8), Some(0)));
    assert_eq!((records[0].src_port, records[0].dst_port), (None, None));
}

#[test]
fn the_sampling_interval_is_the_lower_14_bits() {
    let sampled = NetFlow5 {
        sampling: 0x4000 | 100,
        ..datagram(vec![FLOW])
    };
    let (_, records) = decode(&sampled.encode()).expect("well-formed");
    assert_eq!(records[0].sampling, Some(100));
}

#[test]
fn uptimes_that_are_both_zero_are_no_times() {
    let flow = |first_ms, last_ms| Flow5 {
        first_ms,
        last_ms,
        ..FLOW
    };
    let (_, records) = decode(&datagram(vec![flow(0, 0), flow(0, 1)]).encode()).expect("well-formed");
    assert_eq!((records[0].start_ns, records[0].end_ns), (None, None));
    assert!(records[1].start_ns.is_some() && records[1].start_ns < records[1].end_ns);
}

#[test]
fn what_a_router_says_of_its_routes_is_told_as_attributes() {
    let mut octets = datagram(vec![FLOW, FLOW, FLOW]).encode();
    let mut put = |flow: usize, place: usize, value: &[u8]| {
        let place = 24 + 48 * flow + place;
        octets[place..place + value.len()].copy_from_slice(value);
    };
    put(0, 8, &[10, 0, 0, 1]);
    put(0, 40, &[0xfd, 0xe8, 0, 1, 24, 16]);
    put(1, 44, &[8]);
    let (_, records) = decode(&octets).expect("well-formed");
    let said = |record: &Record| {
        let said = record.attributes.iter();
        said.map(|(attribute, value)| (attribute, value.clone()))
            .collect::<Vec<_>>()
    };
    let number = AttributeValue::Unsigned;
    let expected = [
        (Attribute::NextHop, AttributeValue::Address([10, 0, 0, 1].into())),
        (Attribute::SrcAs, number(65_000)),
        (Attribute::DstAs, number(1)),
        (Attribute::SrcPrefixLen, number(24)),
        (Attribute::DstPrefixLen, number(16)),
    ];
    assert_eq!(said(&records[0]), expected);
    assert_eq!(said(&records[1]), [(Attribute::SrcPrefixLen, number(8))]);
    // Those of OVS say nothing of it.
    assert!(records[2].attributes.is_empty());
}

#[test]
fn counts_that_cannot_be_are_refused() {
    assert_eq!(
        decode(&datagram(vec![]).encode()),
        Err(Reject::FlowCount { found: 0 })
    );
    assert_eq!(
        decode(&datagram(vec![FLOW; 31]).encode()),
        Err(Reject::FlowCount { found: 31 })
    );
}

#[test]
fn a_datagram_cut_short_is_refused_and_one_with_more_octets_is_read() {
    let mut bytes = datagram(vec![FLOW, FLOW]).encode();
    bytes.push(0);
    assert_eq!(decode(&bytes).map(|(summary, _)| summary.records), Ok(2));
    bytes.truncate(bytes.len() - 2);
    assert_eq!(
        decode(&bytes),
        Err(Reject::Truncated {
            offset: 2,
            expected: 118,
            found: 117
        })
    );
    assert_eq!(
        decode(&[0, 5, 0]),
        Err(Reject::Truncated {
            offset: 2,
            expected: 2,
            found: 1
        })
    );
}

proptest! {
    #[test]
    fn flows_of_any_octets_are_read_as_another_parser_reads_them(
        header in any::<[u8; 20]>(),
        flows in vec(any::<[[u8; 16]; 3]>(), 1..=30),
    ) {
        let count = u16::try_from(flows.len()).expect("at most 30");
        let octets = [&[0, 5], &count.to_be_bytes()[..], &header, &flows.concat().concat()].concat();
        let (summary, records) = decode(&octets).expect("well-formed");
        let (rest, theirs) = V5::parse_direct(&octets[2..]).expect("well-formed");
        prop_assert!(rest.is_empty());
        let said = &theirs.header;
        prop_assert_eq!(summary.sequence, said.flow_sequence);
        prop_assert_eq!(summary.engine, Some((said.engine_type, said.engine_id)));
        prop_assert_eq!(records.len(), theirs.flowsets.len());
        for (ours, theirs) in records.iter().zip(&theirs.flowsets) {
            prop_assert_eq!(ours.src_addr, Some(theirs.src_addr.into()));
            prop_assert_eq!(ours.dst_addr, Some(theirs.dst_addr.into()));
            prop_assert_eq!(ours.in_if, Some(theirs.input.into()));
            prop_assert_eq!(ours.out_if, Some(theirs.output.into()));
            prop_assert_eq!(ours.packets, Some(theirs.d_pkts.into()));
            prop_assert_eq!(ours.bytes, Some(theirs.d_octets.into()));
            prop_assert_eq!(ours.tcp_flags, Some(theirs.tcp_flags.into()));
            prop_assert_eq!(ours.ip_protocol, Some(theirs.protocol_number));
            prop_assert_eq!(ours.tos, Some(theirs.tos));
            prop_assert_eq!(ours.sampling.unwrap_or(0), u32::from(said.sampling_interval & 0x3fff));
            if theirs.protocol_number != 1 {
                prop_assert_eq!(ours.src_port, Some(theirs.src_port));
                prop_assert_eq!(ours.dst_port, Some(theirs.dst_port));
            }
            let told = |attribute| match ours.attributes.iter().find(|told| told.0 == attribute) {
                Some((_, AttributeValue::Unsigned(number))) => *number,
                other => { assert!(other.is_none(), "{other:?}"); 0 }
            };
            prop_assert_eq!(told(Attribute::SrcAs), u64::from(theirs.src_as));
            prop_assert_eq!(told(Attribute::DstAs), u64::from(theirs.dst_as));
            prop_assert_eq!(told(Attribute::SrcPrefixLen), u64::from(theirs.src_mask));
            prop_assert_eq!(told(Attribute::DstPrefixLen), u64::from(theirs.dst_mask));
        }
    }
}
