//! The verdict: what a drop rule ate, what arrived, and why `ct()` hides it.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{link::Counters, traffic::send_udp, wait_for};

use super::hosts::{Sum, hosts};
use super::setting::{ALL, Format, begin, end, recirculate};
use crate::stage::{DEADLINE, Stage};

/// Where the owner of the rules vouches for one pass, no output is a drop.
pub fn drops_are_told(stage: &mut Stage) -> Result<()> {
    let node = stage.lab.node("node-a")?;
    node.vsctl(&["set", "Bridge", "br-int", "external_ids:weir-single-pass=true"])?;
    let outcome = once_collector_knows(stage, |stage| {
        let (dropped, arrived) = fates(stage, false)?;
        for format in ["netflow5", "sflow5"] {
            ensure!(verdicts(&dropped, format) == ["dropped"], "{format}: {dropped:?}");
            ensure!(
                verdicts(&arrived, format) == ["delivered"],
                "{format}: {arrived:?}"
            );
        }
        Ok(())
    });
    node.vsctl(&["remove", "Bridge", "br-int", "external_ids", "weir-single-pass"])?;
    outcome
}

/// Why the collector does not believe it elsewhere: the same record of both.
pub fn drops_look_like_ct(stage: &mut Stage) -> Result<()> {
    once_collector_knows(stage, |stage| {
        let (dropped, arrived) = fates(stage, true)?;
        for format in ["netflow5", "sflow5"] {
            let records = |records: &[Value]| -> Vec<Value> {
                let of_format = records.iter().filter(|r| r["format"] == format);
                of_format
                    .map(|r| serde_json::json!([r["dst_if_index"], r["direction"], r["verdict"]]))
                    .collect()
            };
            let (one, other) = (records(&dropped), records(&arrived));
            ensure!(!one.is_empty(), "no record of {format}");
            let alike = one.iter().chain(&other).all(|r| *r == one[0]);
            ensure!(alike, "{format}: {one:?} and {other:?}");
            ensure!(verdicts(&dropped, format) == ["unknown"], "{dropped:?}");
        }
        // An egress record is the proof that the same packets give elsewhere.
        let proof = |records: &[Value]| verdicts(records, "ipfix").contains(&"delivered".to_owned());
        ensure!(proof(&arrived) && !proof(&dropped), "{arrived:?} {dropped:?}");
        Ok(())
    })
}

/// What a bridge says of itself reaches the collector by the node's status and a watch of
/// it, with no moment that a test could wait for: the packets are sent again until it holds.
fn once_collector_knows(stage: &mut Stage, holds: impl Fn(&mut Stage) -> Result<()>) -> Result<()> {
    wait_for("verdicts by what the bridge says of itself", DEADLINE, || {
        holds(stage).map(Some)
    })
}

/// Records of datagrams to a neighbour that a rule drops, and of such that arrive.
fn fates(stage: &mut Stage, conntrack: bool) -> Result<(Vec<Value>, Vec<Value>)> {
    const DROPPED: u16 = 7100;
    const ARRIVES: u16 = 7101;
    let [client, neighbour, ..] = hosts(stage)?;
    recirculate(stage, conntrack)?;
    let node = stage.lab.node("node-a")?;
    let table = if conntrack { 2 } else { 0 };
    let rule = format!("table={table},priority=300,udp,tp_dst={DROPPED},actions=drop");
    node.ofctl(&["add-flow", "br-int", &rule])?;
    let mut log = begin(stage, &ALL, "br-int", 1)?;
    let before = Counters::read(&neighbour.netns, "eth0")?;
    for port in [DROPPED, ARRIVES] {
        send_udp(&client.netns, SocketAddr::new(neighbour.v4, port), 5, 100)?;
    }
    let to = |records: &[Value], port: u16| -> Vec<Value> {
        let fits = |r: &&Value| r["dst_port"] == port && r["addr"] == client.v4.to_string();
        records.iter().filter(fits).cloned().collect()
    };
    let whole = |records: &[Value]| {
        let per_format = |f: &Format| {
            let entered = |r: &&Value| r["format"] == f.2 && r["direction"] == "ingress";
            Sum::of(records.iter().filter(entered)).packets == 5
        };
        ALL.iter().all(per_format)
    };
    let outcome = wait_for("records of all datagrams in all formats", DEADLINE, || {
        log.read(stage)?;
        let (dropped, arrived) = (to(&log.records, DROPPED), to(&log.records, ARRIVES));
        ensure!(whole(&dropped) && whole(&arrived), "{dropped:?} {arrived:?}");
        Ok(Some((dropped, arrived)))
    })?;
    let received = Counters::read(&neighbour.netns, "eth0")?.since(before);
    ensure!(
        (5..10).contains(&received.received_packets),
        "the rule dropped the others: {received:?}"
    );
    end(stage)?;
    recirculate(stage, false)?;
    Ok(outcome)
}

/// The verdicts of the records of a format, each once.
fn verdicts(records: &[Value], format: &str) -> Vec<String> {
    let of_format = records.iter().filter(|r| r["format"] == format);
    let mut words: Vec<String> = of_format
        .filter_map(|r| r["verdict"].as_str().map(str::to_owned))
        .collect();
    words.sort();
    words.dedup();
    words
}
