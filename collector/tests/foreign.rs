//! What exporters that are not Open vSwitch send, from public reports: a collector
//! without names gives the right values.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::net::{SocketAddr, UdpSocket};

use harness::{Paper, assert_sums, eventually, metrics, parse_metrics};
use serde_json::Value;
use weir_collector::{Collector, Config, Sink};

/// Sends these, one by one and from one socket, and returns the records and counters.
async fn collect(datagrams: &[&str]) -> (Vec<Value>, std::collections::HashMap<String, u64>) {
    let paper = Paper::default();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        listen: vec![any],
        http: any,
        sink: Sink::Json(Box::new(paper.clone())),
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let (udp, http) = (running.addresses().udp[0], running.addresses().http);
    tokio::task::block_in_place(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (n, datagram) in datagrams.iter().enumerate() {
            socket.send_to(&octets(datagram), udp).unwrap();
            eventually("the datagram", || {
                (metrics(http)["datagrams_decoded_total"] == n as u64 + 1).then_some(())
            });
        }
    });
    // At the end nobody waits any more for what is missing.
    let pages = running.pages().clone();
    running.stop().await.unwrap();
    let counters = parse_metrics(&pages.metrics.encode());
    assert_sums(&counters);
    (paper.lines(), counters)
}

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Three NetFlow v9 records of a virtual switch, all with direction egress.
const EGRESS_ONLY: &[&str] = &[concat!(
    "00090001000186a06553f1000000000100000000000000280100000800080004000c000400070002000b000200040001",
    "0001000400020004003d0001010000480a0101010a02020204d201bb06000003e80000000a010a0101010a02020204d2",
    "01bb06000003e80000000a010a0101010a02020204d201bb06000003e80000000a010000",
)];

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_meters_egress_alone_counts() {
    let (records, counters) = collect(EGRESS_ONLY).await;
    assert_eq!(records.len(), 3);
    for record in &records {
        assert_eq!(record["primary"], true, "{record}");
    }
    assert_eq!(counters["unscaled_records_total"], 0);
}

/// A sampler in source id 6, data in source id 0.
const OTHER_SOURCE_ID: &[&str] = &[
    "00090001000186a06553f10000000001000000060001001c01010004000c000100040030000400310001003200040000",
    "00090001000186a06553f10000000002000000060101001401010101000000010200000064000000",
    concat!(
        "00090001000186a06553f1000000000100000000000000280100000800080004000c000400070002000b000200040001",
        "000100040002000400300004",
    ),
    concat!(
        "00090001000186a06553f1000000000200000000010000200a0101010a02020204d201bb06000003e80000000a000000",
        "01000000",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_sampler_of_another_source_id_of_the_exporter_scales() {
    let (records, counters) = collect(OTHER_SOURCE_ID).await;
    assert_eq!(
        (&records[0]["sampling"], &records[0]["bytes"]),
        (&100.into(), &100_000.into())
    );
    assert_eq!(counters["unscaled_records_total"], 0);
}

/// Samplers of interfaces 5 and 6, and the same flow seen in and out.
const PER_INTERFACE: &[&str] = &[
    concat!(
        "00090001000186a06553f100000000010000000000010018012c000400080002000400220004002300010000012c0018",
        "00000005000000640100000006000003e8010000",
    ),
    concat!(
        "00090001000186a06553f1000000000200000000000000300100000a00080004000c000400070002000b000200040001",
        "0001000400020004000a0004000e0004003d0001010000400a0101010a02020204d201bb060000000a00000001000000",
        "0500000006000a0101010a02020204d201bb060000000a00000001000000050000000601",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_that_of_the_interface_of_the_observation() {
    let (records, counters) = collect(PER_INTERFACE).await;
    let sampling: Vec<_> = records.iter().map(|record| record["sampling"].as_u64()).collect();
    assert_eq!(sampling, [Some(100), Some(1_000)], "in, then out");
    assert_eq!(
        (&records[0]["bytes"], &records[1]["bytes"]),
        (&1_000.into(), &10_000.into())
    );
    assert_eq!(counters["unscaled_records_total"], 0);
}

/// Two sub-agents of sFlow with numbers of their own.
const SUB_AGENTS: &[&str] = &[
    concat!(
        "0000000500000001c00002010000000000000064000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
    concat!(
        "0000000500000001c00002010000000100001388000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
    concat!(
        "0000000500000001c00002010000000000000065000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
    concat!(
        "0000000500000001c00002010000000100001389000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
    concat!(
        "0000000500000001c00002010000000000000066000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
    concat!(
        "0000000500000001c0000201000000010000138a000003e8000000010000000100000078000000010000000300000064",
        "000003e80000000000000003000000040000000100000001000000500000000100000422000000040000004000000000",
        "000200000000000108004500041000010000400600000a0101010a02020204d201bb0000000100000002501800640000",
        "000078787878787878787878",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn sub_agents_of_sflow_count_apart() {
    let (records, counters) = collect(SUB_AGENTS).await;
    assert!(!records.is_empty());
    assert_eq!(counters["sequence_lost_total{format=\"sflow5\"}"], 0);
}

/// IPFIX messages 0, 2, 1, 3.
const REORDERED: &[&str] = &[
    concat!(
        "000a00506553f1000000000000000000000200240100000700080004000c000400070002000b00020004000100010004",
        "000200040100001c0a0101010a02020204d201bb060000000100000001000000",
    ),
    "000a002c6553f10000000002000000000100001c0a0101010a02020204d201bb060000000100000001000000",
    "000a002c6553f10000000001000000000100001c0a0101010a02020204d201bb060000000100000001000000",
    "000a002c6553f10000000003000000000100001c0a0101010a02020204d201bb060000000100000001000000",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_late_datagram_is_no_loss() {
    let (records, counters) = collect(REORDERED).await;
    assert_eq!(records.len(), 4);
    assert_eq!(counters["sequence_lost_total{format=\"ipfix\"}"], 0);
}
