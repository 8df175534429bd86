//! Real records of Open vSwitch 3.1.0 (the capture of the `wire` crate), and
//! made ones where the capture has none.

use super::*;
use weir_api::export::TunnelPorts;
use weir_flow::{Identity, Value};
use weir_identity::exporters::{Exporters, Formats, Ipfix, NetFlow};

use crate::pcap;

fn node() -> Exporter {
    Exporter {
        node: "node-a".into(),
        bridge: "br-int".into(),
        formats: Formats {
            net_flow: Some(NetFlow::new(false, Some(60))),
            s_flow: None,
            ipfix: Some(Ipfix {
                sampling: 1,
                ingress: true,
                egress: true,
            }),
        },
        ..Exporter::default()
    }
}

fn raw(datagrams: Vec<pcap::Datagram>) -> Vec<Record> {
    let mut decoder = wire::Decoder::default();
    let mut records = Vec::new();
    for datagram in datagrams {
        decoder
            .decode(
                datagram.source,
                datagram.received_ms,
                &datagram.payload,
                &mut records,
            )
            .expect("the capture is well-formed");
    }
    assert!(!records.is_empty());
    records
}

fn normalised(record: Record, exporter: Option<&Exporter>) -> FlowRecord {
    let context = Context {
        received_ns: 7,
        source: [127, 0, 0, 1].into(),
        exporter,
    };
    let mut flow = normalise(record, context);
    judge_alone(&mut flow, exporter);
    flow
}

/// Where no other exporter is known.
fn judge_alone(flow: &mut FlowRecord, exporter: Option<&Exporter>) {
    let exporters = Exporters::default();
    judge(
        flow,
        &VantagePoint::new(exporter, &exporters, Metering::default()),
    );
}

fn all(records: Vec<Record>) -> Vec<FlowRecord> {
    let node = node();
    records
        .into_iter()
        .map(|record| normalised(record, Some(&node)))
        .collect()
}

/// The 200 datagrams of 3 octets that the capture's sender sent, one a flow:
/// 20 octets of IPv4, 8 of UDP, 3 of payload.
fn probes(records: &[FlowRecord]) -> Vec<&FlowRecord> {
    let probe = |r: &&FlowRecord| r.proto == Some(17) && (10_001..=10_200).contains(&r.dst.port.unwrap_or(0));
    records.iter().filter(probe).collect()
}

fn flags(record: &FlowRecord) -> Vec<&'static str> {
    record
        .tcp_flags
        .map(|flags| flags.words().collect())
        .unwrap_or_default()
}

#[test]
fn netflow_loses_the_ethernet_header_that_ovs_counts() {
    let records = all(raw(pcap::netflow()));
    let probes = probes(&records);
    assert_eq!(probes.len(), 200);
    for probe in probes {
        assert_eq!(
            (probe.bytes, probe.packets, probe.l2_bytes),
            (Some(31), Some(1), Some(45))
        );
        assert_eq!(probe.sampling, Some(1));
        assert_eq!(probe.direction, Some(Direction::Ingress));
    }
}

#[test]
fn netflow_of_strangers_is_not_corrected() {
    let records = raw(pcap::netflow());
    let stranger = normalised(records[0].clone(), None);
    assert_eq!(stranger.bytes, records[0].bytes);
    assert_eq!(
        (stranger.sampling, stranger.l2_bytes, stranger.direction),
        (None, None, None)
    );
}

/// 3 packets that left through a port within the first minute of their flow.
fn through_port(out_if: u32, octets: u64) -> Record {
    Record {
        in_if: Some(7),
        out_if: Some(out_if),
        packets: Some(3),
        bytes: Some(octets),
        start_ns: Some(1_000_000_000),
        end_ns: Some(61_500_000_000),
        ..Record::new(Protocol::NetFlow5, 1)
    }
}

#[test]
fn netflow_loses_the_header_of_a_userspace_tunnel_where_its_port_is_known() {
    let tunnels = [TunnelPorts {
        overhead: 50,
        ofports: vec![101, 102],
    }];
    let node = Exporter {
        tunnels: tunnels.into(),
        ..node()
    };
    let counts = |record, exporter| {
        let flow = normalised(record, exporter);
        (flow.bytes, flow.packets, flow.l2_bytes)
    };
    let tunnelled = through_port(102, 3 * (100 + 14) + 2 * 50);
    assert_eq!(
        counts(tunnelled.clone(), Some(&node)),
        (Some(300), Some(3), Some(342)),
        "the first packet of a flow counts without"
    );
    assert_eq!(
        counts(tunnelled.clone(), None),
        (Some(442), Some(3), None),
        "no OVS"
    );
    let later = Record {
        end_ns: Some(62_500_000_000),
        ..through_port(102, 3 * (100 + 14 + 50))
    };
    assert_eq!(
        counts(later, Some(&node)),
        (Some(300), Some(3), Some(342)),
        "a later record"
    );
    let beside = through_port(9, 3 * (100 + 14));
    assert_eq!(counts(beside, Some(&node)), (Some(300), Some(3), Some(342)));
    assert_eq!(normalised(tunnelled, Some(&node)).verdict, Verdict::Unknown);
}

/// What an exporter says of a packet that met `ct()` and of one that a rule drops.
fn without_output() -> [Record; 2] {
    let output = wire::SampledInterface {
        format: wire::SampledInterface::DISCARDED,
        value: 256,
    };
    let sample = PacketSample {
        output,
        rate: 1,
        ..PacketSample::default()
    };
    let sampled = Record {
        sample: Some(sample),
        ..Record::new(Protocol::Sflow5, 1)
    };
    [through_port(65533, 342), sampled]
}

#[test]
fn no_output_is_a_drop_only_where_nothing_is_recirculated() {
    let sure = Exporter {
        single_pass: true,
        ..node()
    };
    for record in without_output() {
        assert_eq!(
            normalised(record.clone(), Some(&node())).verdict,
            Verdict::Unknown
        );
        assert_eq!(normalised(record.clone(), Some(&sure)).verdict, Verdict::Dropped);
        assert_eq!(normalised(record, None).verdict, Verdict::Unknown);
    }
}

#[test]
fn an_output_port_proves_delivery_on_the_node_of_the_destination() {
    let mut flow = normalised(through_port(9, 342), Some(&node()));
    assert_eq!(flow.verdict, Verdict::Unknown);
    let at = |node: &str| Identity {
        node_name: node.into(),
        ..Identity::default()
    };
    for (host, verdict) in [("node-a", Verdict::Delivered), ("node-b", Verdict::Unknown)] {
        flow.dst.identity = at(host).into();
        judge_alone(&mut flow, Some(&node()));
        assert_eq!(flow.verdict, verdict);
    }
}

#[test]
fn an_egress_record_into_a_tunnel_proves_no_delivery() {
    let mut record = raw(pcap::ipfix())
        .into_iter()
        .find(|r| r.direction == Some(Direction::Egress))
        .unwrap();
    assert_eq!(
        normalised(record.clone(), Some(&node())).verdict,
        Verdict::Delivered
    );
    record.tunnel_type = Some(7);
    assert_eq!(normalised(record, Some(&node())).verdict, Verdict::Unknown);
}

#[test]
fn ipfix_counts_are_taken_as_they_are_and_egress_proves_delivery() {
    let records = all(raw(pcap::ipfix()));
    let probes = probes(&records);
    let egress: Vec<_> = probes
        .iter()
        .filter(|r| r.direction == Some(Direction::Egress))
        .collect();
    assert_eq!((probes.len(), egress.len()), (400, 200));
    for probe in &probes {
        assert_eq!(
            (probe.bytes, probe.packets, probe.l2_bytes),
            (Some(31), Some(1), Some(45))
        );
        assert_eq!(probe.sampling, Some(1));
    }
    assert!(egress.iter().all(|r| r.verdict == Verdict::Delivered));
    let ingress = probes.iter().filter(|r| r.direction == Some(Direction::Ingress));
    assert!(ingress.into_iter().all(|r| r.verdict == Verdict::Unknown));
}

#[test]
fn ipfix_of_ovs_is_known_by_its_shape_and_never_scaled_again() {
    let mut record = raw(pcap::ipfix()).remove(0);
    assert!(is_ovs(&record, None));
    record.sampling = Some(400);
    let octets = record.bytes;
    assert_eq!(normalised(record, None).bytes, octets);
}

/// The capture's switch forwarded everything, yet its records count drops.
#[test]
fn the_drops_that_ovs_counts_are_not_believed() {
    let records = raw(pcap::ipfix());
    assert!(records.iter().any(|r| r.dropped_packets.is_some_and(|n| n > 0)));
    for flow in all(records) {
        assert_eq!((flow.dropped_packets, flow.dropped_bytes), (None, None));
        let delivered = flow.verdict == Verdict::Delivered;
        assert_eq!(delivered, flow.direction == Some(Direction::Egress));
    }
}

#[test]
fn drops_that_a_stranger_counts_are_passed_on() {
    let record = Record {
        dropped_packets: Some(3),
        ..Record::new(Protocol::Ipfix, 1)
    };
    assert_eq!(normalised(record, None).dropped_packets, Some(3));
}

/// The bulk transfer of the capture: 254,304 packets, seen by both formats.
#[test]
fn netflow_and_ipfix_agree_to_the_octet() {
    let bulk = |records: Vec<Record>| {
        let flows = all(records).into_iter();
        let largest = flows
            .filter(|f| f.direction == Some(Direction::Ingress))
            .max_by_key(|f| f.bytes);
        largest.map(|f| (f.src.port, f.dst.port, f.packets, f.bytes))
    };
    assert_eq!(bulk(raw(pcap::netflow())), bulk(raw(pcap::ipfix())));
}

#[test]
fn an_sflow_sample_stands_for_as_many_packets_as_its_rate_says() {
    let records = raw(pcap::sflow());
    let ip: Vec<_> = records
        .iter()
        .filter(|r| r.ip_version.is_some())
        .cloned()
        .collect();
    assert!(!ip.is_empty());
    for record in ip {
        let sample = record.sample.clone().unwrap();
        let flow = normalised(record, Some(&node()));
        assert_eq!(sample.rate, 64);
        assert_eq!((flow.packets, flow.sampling), (Some(64), Some(64)));
        // Frames of the capture have no padding: what is left without the check
        // sequence and the Ethernet header is the packet.
        assert_eq!(flow.bytes, Some(u64::from(sample.frame_length - 4 - 14) * 64));
        assert_eq!(flow.l2_bytes, Some(u64::from(sample.frame_length - 4) * 64));
    }
}

#[test]
fn an_sflow_sample_without_a_network_header_counts_its_frame() {
    let sample = PacketSample {
        rate: 10,
        frame_length: 64,
        stripped: 4,
        ..PacketSample::default()
    };
    let record = Record {
        ethernet_header_len: Some(18),
        sample: Some(sample),
        ..Record::new(Protocol::Sflow5, 1)
    };
    assert_eq!(normalised(record.clone(), None).bytes, Some(420));
    let mut lying = record;
    lying.sample.as_mut().unwrap().frame_length = 3;
    let flow = normalised(lying, None);
    assert_eq!((flow.bytes, flow.l2_bytes, flow.packets), (None, None, Some(10)));
}

#[test]
fn special_interface_numbers_are_no_interfaces() {
    for special in [65533, 65534, 65535, 0] {
        let record = Record {
            in_if: Some(2),
            out_if: Some(special),
            ..Record::new(Protocol::NetFlow5, 1)
        };
        let flow = normalised(record.clone(), Some(&node()));
        assert_eq!((flow.src.if_index, flow.dst.if_index), (Some(2), None));
        let stranger = normalised(record, None);
        assert_eq!(stranger.dst.if_index, (special != 0).then_some(special));
    }
    let output = wire::SampledInterface {
        format: wire::SampledInterface::DISCARDED,
        value: 256,
    };
    let sample = PacketSample {
        output,
        rate: 1,
        ..PacketSample::default()
    };
    let record = Record {
        out_if: Some(256),
        sample: Some(sample),
        ..Record::new(Protocol::Sflow5, 1)
    };
    assert_eq!(normalised(record, None).dst.if_index, None);
}

#[test]
fn netflow_icmp_type_and_code_leave_the_port() {
    let records = all(raw(pcap::netflow()));
    let pings: Vec<_> = records.iter().filter(|r| r.proto == Some(1)).collect();
    assert!(!pings.is_empty());
    // Echo and its reply, and what the receiver answered to closed UDP ports.
    for ping in &pings {
        let known = [(Some(8), Some(0)), (Some(0), Some(0)), (Some(3), Some(3))];
        assert!(known.contains(&(ping.icmp_type, ping.icmp_code)), "{ping:?}");
        assert_eq!((ping.src.port, ping.dst.port), (Some(0), Some(0)));
    }
}

#[test]
fn tcp_flags_are_combined_only_where_one_packet_is_seen() {
    let tcp = |protocol, bits, sample| {
        let record = Record {
            ip_protocol: Some(6),
            tcp_flags: Some(bits),
            sample,
            ..Record::new(protocol, 1)
        };
        flags(&normalised(record, None))
    };
    assert_eq!(tcp(Protocol::NetFlow5, 0x12, None), ["SYN", "ACK"]);
    let sample = || Some(PacketSample::default());
    assert_eq!(tcp(Protocol::Sflow5, 0x12, sample()), ["SYN_ACK"]);
    assert_eq!(tcp(Protocol::Sflow5, 0x19, sample()), ["FIN_ACK", "PSH"]);
    assert_eq!(tcp(Protocol::Sflow5, 0x02, sample()), ["SYN"]);
}

#[test]
fn sampling_that_a_stranger_states_is_applied_once() {
    let record = Record {
        bytes: Some(100),
        packets: Some(2),
        sampling: Some(50),
        ..Record::new(Protocol::NetFlow9, 1)
    };
    let flow = normalised(record.clone(), None);
    assert_eq!(
        (flow.bytes, flow.packets, flow.sampling),
        (Some(5000), Some(100), Some(50))
    );
    // Who is not OVS tells of a flow once.
    let totals = normalised(
        Record {
            totals: true,
            ..record
        },
        None,
    );
    assert_eq!((totals.bytes, totals.packets), (Some(5000), Some(100)));
}

#[test]
fn times_are_those_of_the_flow_else_of_the_export() {
    let flow = normalised(Record::new(Protocol::Sflow5, 5), None);
    assert_eq!((flow.time_ns, flow.start_ns, flow.end_ns), (7, 5, 5));
    for flow in all(raw(pcap::ipfix())) {
        assert!(flow.start_ns <= flow.end_ns);
        assert!(flow.end_ns - flow.start_ns < 6_000_000_000, "a cache of 5 s");
    }
}

/// What the table calls a kind, and what a value of the record is.
fn fits(kind: weir_api::fields::FieldKind, value: &Value<'_>) -> bool {
    use weir_api::fields::FieldKind as K;
    match (kind, value) {
        (K::String | K::Enum, Value::Text(_)) | (K::EnumList, Value::Flags(_)) => true,
        (K::Bool, Value::Bool(_)) => true,
        (K::Unsigned(bits), Value::Unsigned(n)) => bits == 64 || *n < 1 << bits,
        (K::Address, Value::Address(_)) | (K::Mac, Value::Mac(_)) | (K::Timestamp, Value::Time(_)) => true,
        _ => false,
    }
}

#[test]
fn every_value_of_every_record_is_of_its_fields_kind() {
    for record in all(raw(pcap::datagrams())) {
        let mut seen = std::collections::HashSet::new();
        record.visit(&mut |column: weir_api::fields::Column, value| {
            let (name, kind) = (column.name(), column.kind());
            assert!(fits(kind, &value), "{name} is {kind:?}, not {value:?}");
            assert!(seen.insert(column), "{name} twice");
        });
    }
}
