use std::net::IpAddr;

use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

use super::*;
use crate::row::tests::Row;

fn json(message: &FlowMessage) -> Value {
    let mut text = String::new();
    write_json(message, &mut text);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn call() -> Row {
    Row::default()
        .with_text("format", "ipfix")
        .with_time("time", 1_700_000_000_000_001_000)
        .with_time("start", 1_699_999_990_000_000_000)
        .with_time("end", 1_700_000_000_000_000_000)
        .with_address("addr", "10.244.1.7")
        .with_address("dst_addr", "10.96.0.10")
        .with_address("exporter", "2001:db8::5")
        .with_number("proto", 6)
        .with_number("port", 40000)
        .with_number("dst_port", 443)
        .with_number("bytes", 1234)
        .with_number("packets", 5)
        .with_number("dscp", 46)
        .with_number("tcp_flags", 0x12)
        .with_number("prefix_len", 24)
        .with_number("primary", 1)
        .with_mac("mac", [0x0a, 0x58, 0x0a, 0xf4, 1, 7])
        .with_text("ns", "shop")
        .with_text("dst_name", "dns \"x\"")
        .with_text("mpls_labels", "16,17")
        .with_text("forwarding_status", "dropped")
}

/// As goflow2 v2.2.6 with `-format json` writes such a record.
#[test]
fn the_object_has_each_field_that_goflow2_writes_in_its_order() {
    let mut text = String::new();
    write_json(&FlowMessage::of(&call()), &mut text);
    let expected = concat!(
        r#"{"type":"IPFIX","time_received_ns":1700000000000001000,"sequence_num":0,"sampling_rate":1,"#,
        r#""sampler_address":"2001:db8::5","time_flow_start_ns":1699999990000000000,"#,
        r#""time_flow_end_ns":1700000000000000000,"bytes":1234,"packets":5,"#,
        r#""src_addr":"10.244.1.7","dst_addr":"10.96.0.10","etype":"IPv4","proto":"TCP","#,
        r#""src_port":40000,"dst_port":443,"in_if":0,"out_if":0,"#,
        r#""src_mac":"0a:58:0a:f4:01:07","dst_mac":"00:00:00:00:00:00","#,
        r#""src_vlan":0,"dst_vlan":0,"vlan_id":0,"ip_tos":184,"forwarding_status":128,"#,
        r#""ip_ttl":0,"ip_flags":0,"tcp_flags":18,"icmp_type":0,"icmp_code":0,"#,
        r#""ipv6_flow_label":0,"fragment_id":0,"fragment_offset":0,"src_as":0,"dst_as":0,"#,
        r#""next_hop":"","next_hop_as":0,"src_net":"10.244.1.0/24","dst_net":"0.0.0.0/0","#,
        r#""bgp_next_hop":"","bgp_communities":[],"as_path":[],"mpls_ttl":[],"mpls_label":[16,17],"#,
        r#""mpls_ip":[],"observation_domain_id":0,"observation_point_id":0,"#,
        r#""layer_stack":[],"layer_size":[],"ipv6_routing_header_addresses":[],"#,
        r#""ipv6_routing_header_seg_left":0}"#,
    );
    assert_eq!(text, expected);
}

/// The octets that `protoc` makes of the same fields.
#[test]
fn numbers_of_fields_are_those_of_flow_proto() {
    let row = Row::default()
        .with_text("format", "sflow5")
        .with_address("addr", "1.2.3.4")
        .with_number("bytes", 300)
        .with_number("dst_port", 53)
        .with_time("time", 1);
    let mut octets = Vec::new();
    FlowMessage::of(&row).write_delimited(&mut octets);
    let fields: &[&[u8]] = &[
        &[0x08, 1],                // type
        &[0x18, 1],                // sampling_rate
        &[0x32, 4, 1, 2, 3, 4],    // src_addr
        &[0x48, 0xac, 0x02],       // bytes
        &[0xb0, 0x01, 53],         // dst_port
        &[0xf0, 0x01, 0x80, 0x10], // etype
        &[0xf0, 0x06, 1],          // time_received_ns
    ];
    let body = fields.concat();
    assert_eq!(octets[0] as usize, body.len());
    assert_eq!(&octets[1..], body);
}

#[test]
fn who_stands_on_the_sides_is_behind_what_goflow2_knows() {
    let message = FlowMessage::of(&call());
    let mut octets = Vec::new();
    message.write_delimited(&mut octets);
    let read = FlowMessage::decode_length_delimited(octets.as_slice()).unwrap();
    assert_eq!(read, message);
    assert_eq!(
        (read.src_ns.as_str(), read.dst_name.as_str()),
        ("shop", "dns \"x\"")
    );
    assert!(read.primary);
}

#[test]
fn what_a_row_lacks_is_nothing_and_no_prefix_is_made_up() {
    let read = json(&FlowMessage::of(&Row::default()));
    assert_eq!(read["type"], "FLOWUNKNOWN");
    assert_eq!(read["src_net"], "invalid Prefix");
    assert_eq!(read["etype"], "");
    assert_eq!(read["proto"], "HOPOPT");
}

#[test]
fn prefixes_of_every_length_are_masked() {
    let net = |address: &str, bits| {
        let row = Row::default()
            .with_address("dst_addr", address)
            .with_number("dst_prefix_len", bits);
        json(&FlowMessage::of(&row))["dst_net"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(net("10.1.2.3", 0), "0.0.0.0/0");
    assert_eq!(net("10.1.2.3", 15), "10.0.0.0/15");
    assert_eq!(net("10.1.2.3", 32), "10.1.2.3/32");
    assert_eq!(net("10.1.2.3", 33), "invalid Prefix");
    assert_eq!(net("2001:db8::1", 0), "::/0");
    assert_eq!(net("2001:db8::1", 128), "2001:db8::1/128");
}

proptest! {
    #[test]
    fn any_row_is_one_json_object_and_one_message(
        numbers in proptest::collection::vec(any::<u64>(), 12),
        address in any::<Option<IpAddr>>(),
        word in ".*",
    ) {
        let names = ["bytes", "packets", "port", "dst_port", "proto", "tcp_flags", "ttl", "vlan_id",
            "prefix_len", "obs_point_id", "asn", "dscp"];
        let mut row = Row::default().with_text("format", &word).with_text("ns", &word).with_text("mpls_labels", &word);
        for (name, number) in names.into_iter().zip(numbers) {
            row = row.with_number(name, number);
        }
        if let Some(address) = address {
            row = row.with_address("addr", &address.to_string());
        }
        let message = FlowMessage::of(&row);
        prop_assert!(json(&message).is_object());
        let mut octets = Vec::new();
        message.write_delimited(&mut octets);
        prop_assert_eq!(FlowMessage::decode_length_delimited(octets.as_slice()).unwrap(), message);
    }
}
