//! What exporters of many makers send, made by hand after reports about other
//! collectors: `data/exporters.jsonl` has a case a line, with the values that its flow
//! records must have in the end. Here is tested what the decoder can know of them.

mod input;

use std::collections::HashMap;
use std::net::SocketAddr;

use input::hex;
use serde_json::Value;
use wire::{Decoder, Direction, Options, Record, Sampling, Summary};

const CASES: &str = include_str!("data/exporters.jsonl");

struct Decoded {
    records: Vec<Record>,
    samplers: Vec<Sampling>,
    summaries: Vec<Summary>,
}

fn case(name: &str) -> Value {
    let mut cases = CASES
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    cases
        .find(|case| case["name"] == name)
        .expect("a case of this name")
}

/// Each name of a sender is a port of one address.
fn decode(case: &Value) -> Decoded {
    let (mut decoder, mut ports) = (Decoder::default(), HashMap::new());
    let (mut records, mut samplers, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
    for datagram in case["datagrams"].as_array().expect("datagrams") {
        let next = 2_055 + ports.len() as u16;
        let port = *ports
            .entry(datagram["from"].as_str().expect("a name"))
            .or_insert(next);
        let session = SocketAddr::from(([192, 0, 2, 1], port));
        let octets = hex(datagram["hex"].as_str().expect("hex"));
        let summary = decoder.decode(session, 1_700_000_000_000, &octets, &mut records);
        let summary = summary.unwrap_or_else(|reject| panic!("{}: {reject}", case["name"]));
        samplers.extend(
            summary
                .options
                .iter()
                .filter_map(|options| match options.content {
                    Options::Sampling(sampling) => Some(sampling),
                    _ => None,
                }),
        );
        summaries.push(summary);
    }
    Decoded {
        records,
        samplers,
        summaries,
    }
}

/// The rate that goes with the record: its own, or that of its sampler.
fn rate(record: &Record, samplers: &[Sampling]) -> u64 {
    let interface = match record.direction {
        Some(Direction::Egress) => record.out_if,
        _ => record.in_if,
    };
    let fits = |sampling: &&Sampling| {
        (sampling.selector.is_none() || record.selector.is_none() || sampling.selector == record.selector)
            && (sampling.interface.is_none() || sampling.interface == interface)
    };
    let told = samplers.iter().find(fits).map(Sampling::rate);
    let sampled = record.sample.as_ref().map(|sample| sample.rate);
    u64::from(sampled.or(record.sampling).or(told).unwrap_or(1))
}

fn text(value: Option<impl ToString>) -> Value {
    value.map_or(Value::Null, |value| Value::from(value.to_string()))
}

/// The field of a flow record, as far as it is known here.
fn field(record: &Record, rate: u64, name: &str) -> Option<Value> {
    let number = |value: Option<u64>| value.map_or(Value::Null, Value::from);
    let short = |value: Option<u16>| number(value.map(u64::from));
    let octet = |value: Option<u8>| number(value.map(u64::from));
    Some(match name {
        "addr" => text(record.src_addr),
        "dst_addr" => text(record.dst_addr),
        "port" => short(record.src_port),
        "dst_port" => short(record.dst_port),
        "proto" => octet(record.ip_protocol),
        "sampling" => Value::from(rate),
        "bytes" => number(record.bytes.map(|octets| octets * rate)),
        "packets" => number(record.packets.map(|packets| packets * rate)),
        "icmp_type" => octet(record.icmp_type),
        "icmp_code" => octet(record.icmp_code),
        "vlan_id" => short(record.vlan),
        "if_index" => number(record.in_if.map(u64::from)),
        "dst_if_index" => number(record.out_if.map(u64::from)),
        "start" => time(record.start_ns.unwrap_or(record.export_ns)),
        "end" => time(record.end_ns.unwrap_or(record.export_ns)),
        // Judged by the collector.
        "primary" | "verdict" => return None,
        other => panic!("unknown field {other}"),
    })
}

/// 2023-11-14 is all that the cases have.
fn time(ns: u64) -> Value {
    let ms = ns / 1_000_000 % 86_400_000;
    assert_eq!(ns / 86_400_000_000_000, 19_675, "another day: {ns}");
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let fraction = match ms % 1_000 {
        0 => "Z".to_owned(),
        rest => format!(".{rest:03}"),
    };
    Value::from(format!(
        "2023-11-14T{hours:02}:{minutes:02}:{seconds:02}{fraction}"
    ))
}

#[test]
fn what_exporters_of_many_makers_send_is_read() {
    let mut short = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let name = case["name"].as_str().expect("a name");
        let (expected, decoded) = (case["expect"].as_array().expect("records"), decode(&case));
        if decoded.records.len() != expected.len() {
            short.push(format!("{name}: {} records", decoded.records.len()));
        }
        for (record, expected) in decoded.records.iter().zip(expected) {
            let rate = rate(record, &decoded.samplers);
            for (key, wanted) in expected.as_object().expect("fields") {
                let found = field(record, rate, key);
                if found.as_ref().is_some_and(|found| found != wanted) {
                    short.push(format!("{name}: {key} is {found:?}, not {wanted}"));
                }
            }
        }
    }
    assert!(short.is_empty(), "{short:#?}");
}

#[test]
fn a_data_set_without_a_whole_record_is_counted() {
    let decoded = decode(&case("c70-short-data-set"));
    let counted: Vec<_> = decoded
        .summaries
        .iter()
        .map(|summary| (summary.sets_without_record, summary.records, summary.sets_dropped))
        .collect();
    assert_eq!(counted, [(0, 0, 0), (1, 0, 0)]);
}
