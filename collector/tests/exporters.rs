//! Exporters that are not Open vSwitch, each case with the values that must come out:
//! what they sent (made by hand after public reports and captures) goes over UDP to a
//! collector without names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};

use harness::input::hex;
use harness::{Paper, assert_sums, eventually, metrics};
use serde::Deserialize;
use serde_json::Value;
use weir_collector::{Collector, Config, NameSource, Sink};

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    datagrams: Vec<Sent>,
    expect: Vec<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct Sent {
    /// One name is one source port.
    from: String,
    hex: String,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../wire/tests/data/exporters.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sends a case, a datagram after the other; what is printed, and the counters.
async fn replay(case: &Case) -> (Vec<Value>, HashMap<String, u64>) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let paper = Paper::default();
    let running = Collector::start(Config {
        listen: vec![any],
        workers: 1.try_into().unwrap(),
        http: any,
        names: NameSource::None,
        sink: Sink::Json(Box::new(paper.clone())),
        ..Config::default()
    })
    .await
    .unwrap();
    let (udp, http) = (running.addresses().udp[0], running.addresses().http);
    let mut senders: HashMap<&str, UdpSocket> = HashMap::new();
    for (n, sent) in case.datagrams.iter().enumerate() {
        let socket = senders
            .entry(&sent.from)
            .or_insert_with(|| UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.send_to(&hex(&sent.hex), udp).unwrap();
        tokio::task::block_in_place(|| {
            eventually("the datagram", || {
                (metrics(http)["datagrams_received_total"] == n as u64 + 1).then_some(())
            });
        });
    }
    let counters = tokio::task::block_in_place(|| {
        eventually("the queue to run empty", || {
            Some(metrics(http)).filter(|m| m["records_queued"] == 0)
        })
    });
    running.stop().await.unwrap();
    (paper.lines(), counters)
}

/// Absent and null are the same; of a time, the digits that are expected count.
fn agrees(key: &str, have: Option<&Value>, want: &Value) -> bool {
    match (have, want) {
        (None | Some(Value::Null), Value::Null) => true,
        (Some(Value::String(have)), Value::String(want)) if matches!(key, "start" | "end") => {
            have.starts_with(want.trim_end_matches('Z'))
        }
        (have, want) => have == Some(want),
    }
}

fn shortcomings(case: &Case, records: &[Value]) -> Vec<String> {
    let mut short = Vec::new();
    if records.len() != case.expect.len() {
        short.push(format!(
            "{} records where {} are expected",
            records.len(),
            case.expect.len()
        ));
    }
    for (n, (have, want)) in records.iter().zip(&case.expect).enumerate() {
        let wrong = want
            .iter()
            .filter(|(key, want)| !agrees(key, have.get(*key), want));
        short.extend(wrong.map(|(key, want)| format!("[{n}].{key} is {:?}, not {want}", have.get(key))));
    }
    short
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_yields_the_records_that_it_must() {
    let mut failures = Vec::new();
    for case in cases() {
        let (records, counters) = replay(&case).await;
        assert_sums(&counters);
        let mut short = shortcomings(&case, &records);
        if counters["sequence_lost_total"] != 0 {
            short.push(format!("{} counted as lost", counters["sequence_lost_total"]));
        }
        if !short.is_empty() {
            failures.push(format!("{} ({}): {}", case.name, case.kind, short.join("; ")));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Options template 462 in domain 0 with one variable field, as no Open vSwitch
/// sends it, then a data set that is read as Open vSwitch's.
fn pair_that_ended_a_thread() -> [Vec<u8>; 2] {
    use wire::Field;
    use wire::encode::Ipfix;
    let variable = [Field::iana(144, Field::VARIABLE)];
    let template = Ipfix::new(1_700_000_000, 0, 0).options_template(462, 1, &variable);
    let data = Ipfix::new(1_700_000_000, 0, 0).set(462, &[200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [template.encode(), data.encode()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_ovs_in_another_form_ends_no_thread() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let flows = cases()
        .into_iter()
        .find(|case| case.name.starts_with("b21b"))
        .unwrap();
    let mut datagrams: Vec<Sent> = pair_that_ended_a_thread()
        .into_iter()
        .map(|bytes| Sent {
            from: "stranger".to_owned(),
            hex: hex(bytes),
        })
        .collect();
    datagrams.extend(flows.datagrams);
    let case = Case { datagrams, ..flows };
    let (records, counters) = replay(&case).await;
    assert_sums(&counters);
    assert_eq!(shortcomings(&case, &records), Vec::<String>::new());
}
