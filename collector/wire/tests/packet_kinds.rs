//! What a real Open vSwitch 3.1.0 said about each kind of packet that it has an IPFIX
//! template for. The packets are those of `data/capture-ovs`.

mod pcap;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pcap::Datagram;
use sflow_parser::models::{CounterData, SampleData};
use wire::ovs::{Network, TemplateKey, Transport};
use wire::{Counters, Decoder, Direction, Protocol, Record, Summary};

/// The IPFIX records, each with the id of its template.
fn records() -> Vec<(u16, Record)> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for Datagram { source, payload, .. } in pcap::packet_kinds() {
        let mut records = Vec::new();
        let summary = decoder
            .decode(source, 0, &payload, &mut records)
            .expect("OVS is well-formed");
        assert_eq!(
            summary.sets_held + summary.sets_dropped + summary.templates_refused,
            0
        );
        if summary.protocol == Protocol::Ipfix {
            let id = u16::from_be_bytes([payload[16], payload[17]]);
            found.extend(records.into_iter().map(|record| (id, record)));
        }
    }
    found
}

fn kinds() -> Vec<(TemplateKey, Record)> {
    let key = |id| TemplateKey::of_id(id).expect("a template of OVS");
    records()
        .into_iter()
        .map(|(id, record)| (key(id), record))
        .collect()
}

/// The userspace datapath makes no egress record for its own tunnels
/// ("not compatible with IPFIX action", `compose_output_action__`).
#[test]
fn every_kind_is_there_but_what_leaves_by_a_tunnel() {
    let mut counts = BTreeMap::new();
    for (id, _) in records() {
        *counts.entry(id).or_insert(0) += 1;
    }
    let expected: BTreeMap<_, _> = TemplateKey::all()
        .filter(|key| !(key.tunnel && key.egress))
        .map(|key| {
            let count = match (key.tunnel, key.egress) {
                (true, _) => 3,
                (_, true) => 1 + 3 + 1,
                (_, false) => 1 + 3 + 1,
            };
            (key.id(), count)
        })
        .collect();
    assert_eq!((counts.len(), counts), (66, expected));
}

#[test]
fn each_record_says_what_its_packet_was() {
    for (key, record) in kinds() {
        let direction = if key.egress {
            Direction::Egress
        } else {
            Direction::Ingress
        };
        assert_eq!(record.direction, Some(direction));
        assert_eq!(
            (record.observation_domain, record.observation_point),
            (Some(7), Some(9))
        );
        assert_eq!(record.src_mac, Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(record.dst_mac, Some([2, 0, 0, 0, 0, 2]));
        assert!((record.packets, record.dropped_packets) <= (Some(1), Some(1)));
        assert!(record.start_ns <= record.end_ns && record.end_ns <= Some(record.export_ns));
        let (vlan, priority, header) = if key.vlan {
            (Some(100), Some(3), 18)
        } else {
            (None, None, 14)
        };
        assert_eq!((record.vlan, record.vlan_priority), (vlan, priority), "{key:?}");
        assert_eq!(record.ethernet_header_len, Some(header));
        let ether_type = match key.network {
            Network::Other => 0x0806,
            Network::Ipv4 => 0x0800,
            Network::Ipv6 => 0x86dd,
        };
        assert_eq!(record.ether_type, Some(ether_type));
    }
}

#[test]
fn the_network_layer_is_read_whole() {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    for (key, record) in kinds() {
        let found = (
            record.src_addr,
            record.dst_addr,
            record.ttl,
            record.tos,
            record.flow_label,
        );
        let expected = match key.network {
            Network::Other => (None, None, None, None, None),
            Network::Ipv4 => (
                address("10.0.0.1"),
                address("10.0.0.2"),
                Some(64),
                Some(0xb8),
                None,
            ),
            Network::Ipv6 => (
                address("fd00::1"),
                address("fd00::2"),
                Some(63),
                Some(0xb8),
                Some(0xabcde),
            ),
        };
        assert_eq!(found, expected, "{key:?}");
        assert_eq!(record.dscp, record.tos.map(|tos| tos >> 2));
        if key.network != Network::Other {
            let lengths = (record.min_ip_len, record.max_ip_len);
            assert_eq!(lengths, (record.bytes, record.bytes), "{key:?}");
        }
    }
}

#[test]
fn the_transport_layer_is_read_whole() {
    for (key, record) in kinds() {
        let found = (
            record.ip_protocol,
            record.src_port,
            record.dst_port,
            record.icmp_type,
        );
        let expected = match (key.transport, key.network) {
            (Transport::Other, Network::Other) => (None, None, None, None),
            (Transport::Other, _) => (Some(89), None, None, None),
            (Transport::Tcp, _) => (Some(6), Some(40001), Some(443), None),
            (Transport::Udp, _) => (Some(17), Some(40002), Some(53), None),
            (Transport::Sctp, _) => (Some(132), Some(40003), Some(3868), None),
            (Transport::Icmp, Network::Ipv6) => (Some(58), None, None, Some(128)),
            (Transport::Icmp, _) => (Some(1), None, None, Some(8)),
        };
        assert_eq!(found, expected, "{key:?}");
    }
}

#[test]
fn tunnels_name_their_kind_key_and_ends() {
    let mut kinds_seen = BTreeMap::new();
    for (key, record) in kinds() {
        let ends = (record.tunnel_src, record.tunnel_dst);
        if !key.tunnel {
            assert_eq!(
                (record.tunnel_type, record.tunnel_key, ends),
                (None, None, (None, None))
            );
            continue;
        }
        assert_eq!(ends, (Some([10, 1, 1, 2].into()), Some([10, 1, 1, 1].into())));
        let kind = (
            record.tunnel_type,
            record.tunnel_key,
            record.tunnel_protocol,
            record.tunnel_dst_port,
        );
        *kinds_seen.entry(kind).or_insert(0) += 1;
    }
    let expected = BTreeMap::from([
        ((Some(1), Some(5001), Some(17), Some(4789)), 22),
        ((Some(2), Some(5003), Some(47), Some(0)), 22),
        // OVS 3.1.0 leaves the protocol of Geneve at 0.
        ((Some(7), Some(5002), Some(0), Some(6081)), 22),
    ]);
    assert_eq!(kinds_seen, expected);
}

#[test]
fn interfaces_have_their_names() {
    for (key, record) in kinds() {
        let (input, output) = (record.in_if_name.as_str(), record.out_if_name.as_str());
        let outputs: &[&str] = if key.egress { &["p2"] } else { &[""] };
        let inputs: &[&str] = if key.tunnel {
            &["vxlan0", "geneve0", "gre0"]
        } else {
            &["p1", "p3", "p4", "p5", "vxlan0", "geneve0", "gre0"]
        };
        assert!(
            inputs.contains(&input) && outputs.contains(&output),
            "{key:?} {input} {output}"
        );
    }
}

/// OVS 3.1.0 does not repeat its templates when the id is set: they would make nonsense
/// of these records.
#[test]
fn a_virtual_observation_id_that_came_after_the_templates_is_read() {
    let named = records()
        .into_iter()
        .filter(|(_, record)| record.virtual_obs_id == "node-a");
    assert_eq!(named.count(), 44);
}

fn sflow() -> impl Iterator<Item = (Datagram, Summary, Vec<Record>)> {
    let datagrams = pcap::packet_kinds().into_iter();
    datagrams
        .filter(|datagram| datagram.port == 6343)
        .map(|datagram| {
            let mut records = Vec::new();
            let summary = Decoder::default()
                .decode(datagram.source, 0, &datagram.payload, &mut records)
                .expect("OVS is well-formed");
            assert_eq!(summary.other_samples, 0);
            (datagram, summary, records)
        })
}

#[test]
fn sflow_counters_name_the_ports_and_tell_of_the_datapath() {
    let counters: Vec<_> = sflow().flat_map(|(_, summary, _)| summary.counters).collect();
    let names: BTreeSet<_> = counters
        .iter()
        .filter(|counters| counters.interface.is_some() && counters.ethernet.is_some())
        .filter(|counters| counters.openflow_port.is_some())
        .map(|counters| counters.port_name.as_str())
        .collect();
    let ports = ["br-int", "p1", "p2", "p3", "p4", "p5"];
    assert_eq!(names, BTreeSet::from(ports));
    let datapath = counters
        .iter()
        .filter_map(|counters| counters.datapath)
        .next_back();
    let datapath = datapath.expect("OVS tells of its datapath");
    assert!(datapath.misses > 0 && datapath.hits > 0, "{datapath:?}");
    let resources = counters
        .iter()
        .filter_map(|counters| counters.resources)
        .next_back();
    assert!(resources.is_some_and(|resources| resources.memory_used > 0));
}

#[test]
fn sflow_tells_of_tunnels_in_both_directions() {
    let mut keys = BTreeSet::new();
    for (_, _, records) in sflow() {
        let tunnelled = records
            .iter()
            .filter_map(|r| Some((r.tunnel_direction?, r.tunnel_key)));
        keys.extend(tunnelled.map(|(direction, key)| (direction == Direction::Egress, key)));
    }
    let expected = [false, true].map(|out| [5001, 5002, 5003].map(|key| (out, Some(key))));
    assert_eq!(keys, expected.into_iter().flatten().collect());
}

/// `sflow-parser` 0.7 is the second opinion.
#[test]
fn sflow_samples_are_those_that_another_decoder_sees() {
    for (datagram, summary, records) in sflow() {
        let other = sflow_parser::parse_datagram(&datagram.payload).expect("it reads OVS");
        let (mut flows, mut counters) = (records.iter(), summary.counters.iter());
        for sample in &other.samples {
            match &sample.sample_data {
                SampleData::FlowSample(theirs) => {
                    let ours = flows
                        .next()
                        .and_then(|record| record.sample.clone())
                        .expect("as many");
                    let numbers = (ours.sequence, ours.rate, ours.pool, ours.drops);
                    let expected = (theirs.sequence_number, theirs.sampling_rate, theirs.sample_pool);
                    assert_eq!(numbers, (expected.0, expected.1, expected.2, theirs.drops));
                    assert_eq!(ours.source_index, theirs.source_id.index());
                    assert_eq!(
                        (ours.input.value, ours.output.value),
                        (theirs.input.value(), theirs.output.value())
                    );
                }
                SampleData::CountersSample(theirs) => {
                    let ours = counters.next().expect("as many");
                    assert_eq!(ours.sequence, theirs.sequence_number);
                    for block in &theirs.counters {
                        compare(ours, &block.counter_data);
                    }
                }
                other => panic!("OVS sends none of {other:?}"),
            }
        }
        assert!(flows.next().is_none() && counters.next().is_none());
    }
}

fn compare(ours: &Counters, theirs: &CounterData) {
    match theirs {
        CounterData::GenericInterface(theirs) => {
            let ours = ours.interface.expect("block 1");
            assert_eq!(
                (ours.if_index, ours.speed, ours.status),
                (theirs.if_index, theirs.if_speed, theirs.if_status)
            );
            assert_eq!(
                (ours.in_octets, ours.out_octets),
                (theirs.if_in_octets, theirs.if_out_octets)
            );
            assert_eq!(
                (ours.in_unicast, ours.out_errors),
                (theirs.if_in_ucast_pkts, theirs.if_out_errors)
            );
        }
        CounterData::OvsDpStats(theirs) => {
            let ours = ours.datapath.expect("block 2207");
            assert_eq!(
                (ours.hits, ours.misses, ours.lost),
                (theirs.hits, theirs.misses, theirs.lost)
            );
            assert_eq!(
                (ours.mask_hits, ours.flows, ours.masks),
                (theirs.mask_hits, theirs.flows, theirs.masks)
            );
        }
        _ => {}
    }
}
