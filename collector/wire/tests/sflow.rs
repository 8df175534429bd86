//! sFlow v5, on datagrams made by hand.

mod input;

use std::net::{IpAddr, SocketAddr};

use input::{body, part};
use wire::{Decoder, Direction, Discard, OpenFlowPort, Record, Reject, SampledInterface, Summary};

/// Ethernet, IPv4, UDP 53 to 12345.
const FRAME: [u8; 42] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, //
    0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
    0, 53, 0x30, 0x39, 0, 8, 0, 0,
];

fn header_part(frame: &[u8]) -> Vec<u8> {
    let padding = vec![0; (4 - frame.len() % 4) % 4];
    let content = body(|body| {
        body.u32(1)
            .u32(frame.len() as u32 + 4)
            .u32(4)
            .u32(frame.len() as u32)
            .bytes(frame)
            .bytes(&padding);
    });
    part(1, &content)
}

fn flow_sample(output: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = body(|body| {
        body.u32(77)
            .u32(2 << 24 | 1000)
            .u32(64)
            .u32(6400)
            .u32(3)
            .u32(7)
            .u32(output);
        body.u32(parts.len() as u32).bytes(&parts.concat());
    });
    part(1, &content)
}

fn datagram(samples: &[Vec<u8>]) -> Vec<u8> {
    body(|body| {
        body.u32(5).u32(1).bytes(&[192, 0, 2, 9]).u32(2).u32(33).u32(1000);
        body.u32(samples.len() as u32).bytes(&samples.concat());
    })
}

fn decode(datagram: &[u8]) -> Result<(Summary, Vec<Record>), Reject> {
    let mut records = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    let summary = Decoder::default().decode(session, 5, datagram, &mut records)?;
    assert_eq!(summary.records, records.len());
    Ok((summary, records))
}

fn record(sample: Vec<u8>) -> Record {
    let (_, mut records) = decode(&datagram(&[sample])).expect("well-formed");
    records.remove(0)
}

fn sampled_ipv4() -> Vec<u8> {
    body(|body| {
        body.u32(98)
            .u32(17)
            .bytes(&[172, 16, 0, 1])
            .bytes(&[172, 16, 0, 2]);
        body.u32(54321).u32(6081).u32(0).u32(0);
    })
}

#[test]
fn a_flow_sample_says_where_its_packet_came_from_and_went() {
    let (summary, records) =
        decode(&datagram(&[flow_sample(8, &[header_part(&FRAME)])])).expect("well-formed");
    assert_eq!((summary.sequence, summary.export_ns), (33, 5_000_000));
    let record = &records[0];
    assert_eq!(
        (record.agent, record.sub_agent),
        (Some(IpAddr::from([192, 0, 2, 9])), Some(2))
    );
    assert_eq!(
        (record.in_if, record.out_if, record.sampling),
        (Some(7), Some(8), Some(64))
    );
    assert_eq!((record.src_port, record.dst_port), (Some(53), Some(12345)));
    assert_eq!((record.bytes, record.packets), (None, None));
    let sample = record.sample.as_ref().expect("sFlow records have one");
    assert_eq!(
        (sample.sequence, sample.source_type, sample.source_index),
        (77, 2, 1000)
    );
    assert_eq!((sample.rate, sample.pool, sample.drops), (64, 6400, 3));
    assert_eq!(
        (sample.frame_length, sample.stripped, sample.ip_length),
        (46, 4, Some(28))
    );
}

#[test]
fn an_output_that_is_no_single_interface_is_kept_as_it_is() {
    let cases = [
        (0, SampledInterface::SINGLE, 0),
        (0x3fff_ffff, SampledInterface::SINGLE, 0x3fff_ffff),
        (0x4000_0100, SampledInterface::DISCARDED, 256),
        (0x8000_0000, SampledInterface::MULTIPLE, 0),
        (0x8000_0003, SampledInterface::MULTIPLE, 3),
    ];
    for (output, format, value) in cases {
        let record = record(flow_sample(output, &[header_part(&FRAME)]));
        assert_eq!(record.out_if, None);
        let sample = record.sample.expect("sFlow records have one");
        assert_eq!(sample.output, SampledInterface { format, value });
    }
}

#[test]
fn an_expanded_flow_sample_is_read_like_a_compact_one() {
    let content = body(|body| {
        body.u32(77).u32(0).u32(0x0100_0000).u32(64).u32(6400).u32(0);
        body.u32(0).u32(0x4000_0001).u32(1).u32(258);
        body.u32(1).bytes(&header_part(&FRAME));
    });
    let record = record(part(3, &content));
    assert_eq!((record.in_if, record.out_if), (Some(0x4000_0001), None));
    let sample = record.sample.expect("sFlow records have one");
    assert_eq!((sample.source_type, sample.source_index), (0, 0x0100_0000));
    assert_eq!(
        sample.output,
        SampledInterface {
            format: SampledInterface::DISCARDED,
            value: 258
        }
    );
    assert_eq!(record.dst_port, Some(12345));
}

#[test]
fn the_switch_part_gives_the_vlan_that_the_frame_does_not_have() {
    let switch = |vlans: [u32; 4]| {
        part(
            1001,
            &body(|body| {
                vlans.iter().for_each(|&value| {
                    body.u32(value);
                })
            }),
        )
    };
    let untagged = record(flow_sample(8, &[switch([100, 5, 200, 0]), header_part(&FRAME)]));
    assert_eq!(
        (untagged.vlan, untagged.vlan_priority, untagged.dst_vlan),
        (Some(100), Some(5), Some(200))
    );

    let none = record(flow_sample(
        8,
        &[switch([0, 0, 0xffff_ffff, 0]), header_part(&FRAME)],
    ));
    assert_eq!((none.vlan, none.vlan_priority, none.dst_vlan), (None, None, None));

    let tagged = [&FRAME[..12], &[0x81, 0, 0, 42], &FRAME[12..]].concat();
    let tagged = record(flow_sample(8, &[switch([100, 5, 0, 0]), header_part(&tagged)]));
    assert_eq!((tagged.vlan, tagged.vlan_priority), (Some(42), Some(0)));
}

#[test]
fn the_tunnel_parts_of_ovs_are_read_in_either_order() {
    let vni = part(
        1029,
        &body(|body| {
            body.u32(0x123456);
        }),
    );
    let outer = part(1023, &sampled_ipv4());
    for parts in [
        [header_part(&FRAME), vni.clone(), outer.clone()],
        [header_part(&FRAME), outer, vni],
    ] {
        let record = record(flow_sample(8, &parts));
        assert_eq!(
            (record.tunnel_direction, record.tunnel_key),
            (Some(Direction::Egress), Some(0x123456))
        );
        assert_eq!(record.tunnel_src, Some([172, 16, 0, 1].into()));
        assert_eq!(record.tunnel_dst, Some([172, 16, 0, 2].into()));
        assert_eq!(
            (record.tunnel_protocol, record.tunnel_dst_port),
            (Some(17), Some(6081))
        );
        assert_eq!(record.src_addr, Some([10, 0, 0, 1].into()));
    }
}

#[test]
fn of_two_tunnels_the_one_that_the_packet_goes_into_counts() {
    let vni = |format, vni| {
        part(
            format,
            &body(|body| {
                body.u32(vni);
            }),
        )
    };
    for parts in [[vni(1029, 1), vni(1030, 2)], [vni(1030, 2), vni(1029, 1)]] {
        let record = record(flow_sample(8, &parts));
        assert_eq!(
            (record.tunnel_direction, record.tunnel_key),
            (Some(Direction::Egress), Some(1))
        );
    }
}

#[test]
fn a_sample_without_a_packet_header_is_filled_from_its_other_parts() {
    let record = record(flow_sample(8, &[part(3, &sampled_ipv4())]));
    assert_eq!(
        (record.src_addr, record.dst_port),
        (Some([172, 16, 0, 1].into()), Some(6081))
    );
    assert_eq!(record.sample.and_then(|sample| sample.ip_length), Some(98));
}

#[test]
fn counter_samples_and_unknown_ones_are_counted() {
    let counters = part(
        2,
        &body(|body| {
            body.u32(1).u32(0).u32(0);
        }),
    );
    let unknown = part(99 << 12 | 1, &[1, 2, 3, 4]);
    let samples = [
        counters,
        unknown,
        flow_sample(8, &[part(99 << 12 | 5, &[0; 8]), header_part(&FRAME)]),
    ];
    let (summary, records) = decode(&datagram(&samples)).expect("well-formed");
    assert_eq!(
        (summary.counter_samples, summary.other_samples, records.len()),
        (1, 1, 1)
    );
    assert_eq!(records[0].dst_port, Some(12345));
}

#[test]
fn what_a_port_counts_is_read_block_by_block() {
    let numbers = |count: u32| (1..=count).flat_map(u32::to_be_bytes).collect::<Vec<u8>>();
    let name = body(|body| {
        body.u32(5).bytes(b"veth0\0\0\0");
    });
    let port = body(|body| {
        body.u64(0xaa).u32(9);
    });
    let blocks = [
        part(1, &numbers(22)),
        part(7, &[0; 56]),
        part(1005, &name),
        part(1004, &port),
        part(2, &numbers(13)),
    ];
    let sample = part(
        2,
        &body(|body| {
            body.u32(77).u32(3).u32(5).bytes(&blocks.concat());
        }),
    );
    let (summary, records) = decode(&datagram(&[sample])).expect("well-formed");
    assert_eq!((summary.counter_samples, records.len()), (1, 0));
    let counters = &summary.counters[0];
    assert_eq!(
        (counters.sequence, counters.source_type, counters.source_index),
        (77, 0, 3)
    );
    assert_eq!(
        (counters.sub_agent, counters.agent),
        (2, Some([192, 0, 2, 9].into()))
    );
    assert_eq!((counters.port_name.as_str(), counters.other_blocks), ("veth0", 1));
    let interface = counters.interface.expect("block 1");
    assert_eq!((interface.if_index, interface.speed), (1, 3 << 32 | 4));
    assert_eq!((interface.in_octets, interface.in_unicast), (7 << 32 | 8, 9));
    assert_eq!((interface.out_octets, interface.promiscuous), (15 << 32 | 16, 22));
    let openflow = OpenFlowPort {
        datapath_id: 0xaa,
        port: 9,
    };
    assert_eq!(counters.openflow_port, Some(openflow));
    assert_eq!(counters.ethernet.map(|block| block.symbol_errors), Some(13));
}

#[test]
fn an_agent_may_have_an_ipv6_address() {
    let message = body(|body| {
        body.u32(5)
            .u32(2)
            .bytes(&[0xfd; 16])
            .u32(2)
            .u32(33)
            .u32(1000)
            .u32(1);
        body.bytes(&flow_sample(8, &[header_part(&FRAME)]));
    });
    let (_, records) = decode(&message).expect("well-formed");
    assert_eq!(records[0].agent, Some(IpAddr::from([0xfd; 16])));
}

#[test]
fn a_discarded_packet_is_told_with_its_reason_and_is_no_record() {
    let sample = part(
        5,
        &body(|body| {
            body.u32(4).u32(0).u32(7).u32(2).u32(7).u32(0).u32(257).u32(1);
            body.bytes(&header_part(&FRAME));
        }),
    );
    let (summary, records) = decode(&datagram(&[sample])).expect("well-formed");
    assert_eq!(
        (summary.discards.len(), summary.other_samples, records.len()),
        (1, 0, 0)
    );
    let Discard { reason, packet } = &summary.discards[0];
    assert_eq!(
        (*reason, packet.dst_port, packet.in_if),
        (257, Some(12345), Some(7))
    );
    let sample = packet.sample.as_ref().expect("sFlow packets have one");
    assert_eq!((sample.drops, sample.rate, packet.sampling), (2, 0, None));
}

#[test]
fn a_datagram_that_claims_more_than_it_has_is_refused_whole() {
    let mut claims_two = datagram(&[flow_sample(8, &[header_part(&FRAME)])]);
    claims_two[27] = 2;
    assert_eq!(
        decode(&claims_two).map_err(|reject| reject.kind()),
        Err("truncated")
    );
    let huge_length = datagram(&[body(|body| {
        body.u32(1).u32(0x0600_0000);
    })]);
    assert_eq!(
        decode(&huge_length).map_err(|reject| reject.kind()),
        Err("truncated")
    );
    assert_eq!(
        decode(&[0, 0, 0, 5, 0, 0, 0, 1, 1, 2, 3, 4]),
        Err(Reject::Truncated {
            offset: 12,
            expected: 4,
            found: 0
        })
    );
}
