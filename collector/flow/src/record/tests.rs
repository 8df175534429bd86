use super::*;
use crate::{Kind, PolicySide};
use weir_api::fields::{FIELDS, FieldKind};

fn side(identity: Identity) -> Side {
    Side {
        addr: Some([10, 128, 0, 1].into()),
        port: Some(443),
        mac: Some([0x0a, 0x58, 0, 0, 0, 1]),
        if_index: Some(3),
        if_name: "veth0".into(),
        identity: identity.into(),
        found: IdentifiedBy::Address,
    }
}

/// A record that has everything but what few exporters say.
pub(crate) fn full() -> FlowRecord {
    let pod = Identity {
        kind: Kind::Pod,
        name: "web-0".into(),
        ns: "shop".into(),
        node_addr: Some([192, 0, 2, 1].into()),
        labels: [("app".into(), "web".into())].into(),
        ..Identity::default()
    };
    let service = Identity {
        kind: Kind::Service,
        name: "db".into(),
        ns: "shop".into(),
        service_name: "db".into(),
        service_ns: "shop".into(),
        ..Identity::default()
    };
    FlowRecord {
        time_ns: 1_700_000_000_123_456_789,
        start_ns: 1,
        end_ns: 2,
        bytes: Some(1),
        packets: Some(1),
        l2_bytes: Some(1),
        sampling: Some(1),
        proto: Some(6),
        src: side(pod),
        dst: side(service),
        dscp: Some(1),
        ttl: Some(1),
        icmp_type: Some(1),
        icmp_code: Some(1),
        tcp_flags: Some(TcpFlags {
            bits: 0x12,
            of_one_packet: true,
        }),
        vlan_id: Some(1),
        tunnel: Tunnel {
            kind: Some(7),
            key: Some(1),
            addr: Some([192, 0, 2, 1].into()),
            dst_addr: Some([192, 0, 2, 2].into()),
        },
        direction: Some(Direction::Egress),
        format: Protocol::Ipfix,
        exporter: [192, 0, 2, 1].into(),
        exporter_node: "node-a".into(),
        obs_domain_id: Some(1),
        obs_point_id: Some(1),
        path: PacketPath::NONE,
        primary: true,
        verdict: Verdict::Delivered,
        dropped_packets: Some(0),
        dropped_bytes: Some(0),
        end_reason: Some(2),
        server: Server::Dst,
        server_confidence: ServerConfidence::Service,
        attributes: Attributes::NONE,
        policy: Judged::from(PolicyVerdict {
            answer: "deny",
            reason: "isolation",
            ingress: PolicySide {
                policy: "shop/db".into(),
                rule: "ingress[0]".into(),
                action: "drop",
            },
            egress: PolicySide {
                policy: "tenants".into(),
                rule: "pass".into(),
                action: "allow",
            },
        }),
    }
}

fn json(record: &FlowRecord) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
}

fn is_written_as(kind: FieldKind, value: &serde_json::Value) -> bool {
    match kind {
        FieldKind::Unsigned(_) => value.is_u64(),
        FieldKind::Bool => value.is_boolean(),
        FieldKind::EnumList => value.is_array(),
        FieldKind::Map => value.is_object(),
        FieldKind::Address => value.as_str().is_some_and(|s| s.parse::<IpAddr>().is_ok()),
        FieldKind::String | FieldKind::Enum | FieldKind::Mac | FieldKind::Timestamp => value.is_string(),
    }
}

/// A record that has that, too.
pub(crate) fn with_attributes() -> FlowRecord {
    FlowRecord {
        attributes: crate::attributes::tests::everything(),
        ..full()
    }
}

#[test]
fn every_key_that_is_printed_is_in_the_field_table_and_of_its_kind() {
    for (key, value) in json(&with_attributes()) {
        let field = FIELDS.iter().find(|f| f.name == key || f.dst_name == Some(&key));
        let field = field.unwrap_or_else(|| panic!("{key} is not in the field table"));
        assert!(
            is_written_as(field.kind, &value),
            "{key}: {value} is no {:?}",
            field.kind
        );
    }
}

#[test]
fn the_field_table_marks_what_no_record_has() {
    let mut had = [false; Column::COUNT];
    with_attributes().visit(&mut |column: Column, _: Value<'_>| {
        let field = column.field();
        // A field is filled when it is on one side at least.
        for name in [Some(field.name), field.dst_name].into_iter().flatten() {
            had[Column::of(name).index()] = true;
        }
    });
    let wrong = Column::all().filter(|column| column.field().filled != had[column.index()]);
    assert_eq!(wrong.map(Column::name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn keys_come_in_the_order_of_the_field_table_and_what_few_say_only_where_it_is_said() {
    for (record, sparse) in [(full(), false), (with_attributes(), true)] {
        let json = json(&record);
        let places: Vec<_> = json.keys().filter_map(|key| Column::find(key)).collect();
        assert!(places.is_sorted(), "{:?}", json.keys());
        assert_eq!(places.iter().any(|column| column.field().sparse), sparse);
    }
}

#[test]
fn values_are_written_for_people() {
    let json = json(&full());
    assert_eq!(json["time"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(json["protocol"], "tcp");
    assert_eq!(json["mac"], "0a:58:00:00:00:01");
    assert_eq!(json["tcp_flags"], serde_json::json!(["SYN_ACK"]));
    assert_eq!(json["tunnel_type"], "geneve");
    assert_eq!(json["end_reason"], "active");
    assert_eq!(json["pod_labels"], serde_json::json!({"app": "web"}));
    assert_eq!(
        (&json["pod_name"], &json["dst_pod_name"]),
        (&"web-0".into(), &"".into())
    );
    assert_eq!(
        (&json["dst_service_name"], &json["service_ns"]),
        (&"db".into(), &"".into())
    );
}

#[test]
fn unknown_strings_of_identity_are_there_and_empty() {
    let mut record = full();
    record.src.identity = Who::NOBODY;
    record.exporter_node = "".into();
    record.bytes = None;
    let json = json(&record);
    for key in [
        "pod_name",
        "ns",
        "kind",
        "name",
        "workload_name",
        "node_name",
        "zone",
        "exporter_node",
    ] {
        assert_eq!(json[key], "", "{key}");
    }
    for key in ["node_addr", "bytes", "pod_labels"] {
        assert!(!json.contains_key(key), "{key}");
    }
}
