use std::sync::Arc;

use weir_flow::{IdentifiedBy, Kind, PacketPath, ServerConfidence, TcpFlags, Tunnel, Verdict, Who};
use wire::{Attribute, AttributeValue, Attributes, Direction, Protocol};

use super::*;

fn side(name: &str, port: u16) -> Side {
    let identity = Identity {
        kind: Kind::Pod,
        name: name.into(),
        ns: "shop".into(),
        workload_name: "web".into(),
        workload_kind: "Deployment".into(),
        service_name: "front".into(),
        service_ns: "shop".into(),
        node_name: "node-a".into(),
        node_addr: Some([192, 0, 2, 1].into()),
        zone: "a".into(),
        region: "eu".into(),
        network: "primary".into(),
        subnet_label: "pods".into(),
        labels: [("app".into(), "web".into())].into(),
    };
    Side {
        addr: Some([10, 128, 0, 1].into()),
        port: Some(port),
        mac: Some([2, 0, 0, 0, 0, 1]),
        if_index: Some(3),
        if_name: "veth0".into(),
        identity: Who::from(identity),
        found: IdentifiedBy::Address,
    }
}

/// A record that has a value in every column that is filled.
pub(crate) fn full() -> FlowRecord {
    let mut attributes = Attributes::default();
    let texts = [
        (Attribute::IngressPolicyName, "allow-web"),
        (Attribute::IngressPolicyNamespace, "shop"),
        (Attribute::EgressPolicyName, "global"),
        (Attribute::ClusterId, "east"),
        (Attribute::ApplicationName, "http"),
    ];
    for (attribute, text) in texts {
        attributes.set(attribute, AttributeValue::Text(text.into()));
    }
    attributes.set(Attribute::NatSrcPort, AttributeValue::Unsigned(4_000));
    FlowRecord {
        time_ns: 1_700_000_000_123_456_789,
        start_ns: 1_000_000,
        end_ns: 2_000_000,
        bytes: Some(1_500),
        packets: Some(3),
        l2_bytes: Some(1_542),
        sampling: Some(400),
        proto: Some(6),
        src: side("web-1", 40_000),
        dst: side("db-1", 5_432),
        dscp: Some(10),
        ttl: Some(64),
        icmp_type: Some(8),
        icmp_code: Some(0),
        tcp_flags: Some(TcpFlags {
            bits: 0x02,
            of_one_packet: true,
        }),
        vlan_id: Some(100),
        tunnel: Tunnel {
            kind: Some(99),
            key: Some(7),
            addr: Some([192, 0, 2, 1].into()),
            dst_addr: Some([192, 0, 2, 2].into()),
        },
        direction: Some(Direction::Ingress),
        format: Protocol::Sflow5,
        exporter: [192, 0, 2, 1].into(),
        exporter_node: Arc::from("node-a"),
        obs_domain_id: Some(1),
        obs_point_id: Some(2),
        path: PacketPath::NONE,
        primary: true,
        verdict: Verdict::Delivered,
        dropped_packets: Some(1),
        dropped_bytes: Some(2),
        end_reason: Some(1),
        server: Server::Dst,
        server_confidence: ServerConfidence::Syn,
        policy: PolicyVerdict::said(&attributes).into(),
        attributes,
    }
}

fn counted(record: &FlowRecord) -> CountedRecord<'_> {
    CountedRecord::new(record, Some(Identities { src: 1, dst: 2 }), false)
}

#[test]
fn each_column_has_the_value_that_the_record_hands_on() {
    let record = full();
    let counted = counted(&record);
    let mut seen = 0;
    record.visit(&mut |column: Column, value: FlowValue<'_>| {
        let expected = match &value {
            FlowValue::Text(text) => match text.parse() {
                Ok(number) => Value::Unsigned(number),
                Err(_) => Value::Text(text),
            },
            FlowValue::Bool(yes) => Value::Bool(*yes),
            FlowValue::Unsigned(number) => Value::Unsigned(*number),
            FlowValue::Address(address) => Value::Address(*address),
            FlowValue::Mac(bytes) => Value::Mac(*bytes),
            FlowValue::Time(ns) => Value::Time(*ns),
            FlowValue::Flags(flags) => Value::Flags(ControlBits {
                bits: flags.bits,
                of_one_packet: flags.of_one_packet,
            }),
            // Nothing of a metric reads these.
            FlowValue::Map(_) => return,
        };
        assert_eq!(counted.value(column), expected, "{}", column.name());
        seen += 1;
    });
    assert!(seen > 60, "{seen}");
}

#[test]
fn what_a_record_does_not_have_is_absent() {
    let record = FlowRecord {
        attributes: Attributes::default(),
        policy: weir_flow::Judged::NOT,
        bytes: None,
        proto: None,
        tcp_flags: None,
        src: Side {
            addr: None,
            identity: Who::NOBODY,
            ..side("", 0)
        },
        ..full()
    };
    let counted = counted(&record);
    for column in [
        "bytes",
        "proto",
        "tcp_flags",
        "addr",
        "cluster",
        "ingress_policy",
        "layer",
        "node_addr",
    ] {
        assert_eq!(counted.value(Column::of(column)), Value::Absent, "{column}");
    }
    assert_eq!(counted.value(Column::of("ns")), Value::Text(""));
}

#[test]
fn a_connection_starts_where_the_flags_and_the_known_server_say_so() {
    let start = |bits: u16, of_one_packet: bool, server: Server| {
        let record = FlowRecord {
            tcp_flags: Some(TcpFlags { bits, of_one_packet }),
            server,
            ..full()
        };
        counted(&record).connection_start()
    };
    assert_eq!(start(0x02, true, Server::Dst), ConnectionStart::Client);
    assert_eq!(start(0x12, true, Server::Src), ConnectionStart::Server);
    assert_eq!(start(0x1b, false, Server::Dst), ConnectionStart::Client);
    assert_eq!(start(0x1b, false, Server::Src), ConnectionStart::Server);
    assert_eq!(start(0x1b, false, Server::Unknown), ConnectionStart::No);
    let record = FlowRecord {
        tcp_flags: None,
        ..full()
    };
    let start = |is_first| {
        let identities = Identities { src: 1, dst: 2 };
        CountedRecord::new(&record, Some(identities), is_first).connection_start()
    };
    assert_eq!(
        (start(true), start(false)),
        (ConnectionStart::Client, ConnectionStart::No)
    );
}
