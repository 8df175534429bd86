//! Sums over primary observations are what the interfaces counted: whatever is
//! exported, whichever way the packets go, through one pass or through `ct()`;
//! and the verdict says what became of them.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{address::OUTSIDE, harness::Case, wait_for};

use crate::stage::{DEADLINE, Stage};
use fates::{drops_are_told, drops_look_like_ct};
use hosts::{Host, Sum, hosts, paths};
use load::{DATAGRAMS, PAYLOAD, PINGS, PORT, Stream, datagrams, mix, warm_up};
use setting::{ALL, Format, IPFIX, NET_FLOW, S_FLOW, begin, end, recirculate};

mod fates;
pub mod hosts;
pub mod load;
pub mod setting;
mod sum;

pub const CASES: &[Case<Stage>] = &[
    Case::new("sums are exact with NetFlow alone", |stage| {
        exact(stage, &[NET_FLOW], "br-int", false)
    }),
    Case::new("sums are exact with IPFIX alone", |stage| {
        exact(stage, &[IPFIX], "br-int", false)
    }),
    Case::new("sums are exact with sFlow of every packet alone", |stage| {
        exact(stage, &[S_FLOW], "br-int", false)
    }),
    Case::new("sums are exact with all three formats at once", |stage| {
        exact(stage, &ALL, "br-int", false)
    }),
    Case::new("sums are exact with NetFlow of both bridges", |stage| {
        exact(stage, &[NET_FLOW], "br-int, br-ex", false)
    }),
    Case::new("sums are exact with all three formats of both bridges", |stage| {
        exact(stage, &ALL, "br-int, br-ex", false)
    }),
    Case::new("sums are exact through ct() with NetFlow alone", |stage| {
        exact(stage, &[NET_FLOW], "br-int", true)
    }),
    Case::new("sums are exact through ct() with IPFIX alone", |stage| {
        exact(stage, &[IPFIX], "br-int", true)
    }),
    Case::new(
        "sums are exact through ct() with sFlow of every packet alone",
        |stage| exact(stage, &[S_FLOW], "br-int", true),
    ),
    Case::new(
        "sums are exact through ct() with all three formats at once",
        |stage| exact(stage, &ALL, "br-int", true),
    ),
    Case::new(
        "sums of IPFIX are within three standard errors at 1:10",
        |stage| sampled(stage, IPFIX, false),
    ),
    Case::new(
        "sums of sFlow are within three standard errors at 1:10",
        |stage| sampled(stage, S_FLOW, false),
    ),
    Case::new(
        "sums of IPFIX through ct() are within three standard errors at 1:10",
        |stage| sampled(stage, IPFIX, true),
    ),
    Case::new(
        "sums of sFlow through ct() are within three standard errors at 1:10",
        |stage| sampled(stage, S_FLOW, true),
    ),
    Case::new("a drop is told where nothing is recirculated", drops_are_told),
    Case::new(
        "a drop and a tracked packet leave the same record",
        drops_look_like_ct,
    ),
];

const IP_AND_UDP: u64 = 20 + 8;
/// One packet in so many, in the cases with sampling.
const SAMPLING: u64 = 10;
const SAMPLED_DATAGRAMS: u32 = 5_000;
const ROUNDS: u32 = 3;

fn exact(stage: &mut Stage, formats: &[Format], bridges: &str, conntrack: bool) -> Result<()> {
    let hosts = hosts(stage)?;
    recirculate(stage, conntrack)?;
    warm_up(&hosts)?;
    let mut log = begin(stage, formats, bridges, 1)?;
    let sees_v6 = formats.iter().any(|format| *format != NET_FLOW);
    let before = hosts.each_ref().map(Host::sent);
    let streams = mix(&hosts, sees_v6)?;
    // Without IPFIX, what enters by br-ex is seen by nobody but br-ex.
    let sees_outside = formats.contains(&IPFIX) || bridges.contains("br-ex");
    let counted = hosts.iter().zip(before).map(|(host, before)| {
        let expected = host.sent()?.since(before?);
        let expected = if host.name == "outside" && !sees_outside {
            Sum::default()
        } else {
            expected
        };
        Ok((host, expected))
    });
    let counted: Vec<(&Host, Sum)> = counted.collect::<Result<_>>()?;
    let check = |records: &[Value]| {
        totals(&counted, records)?;
        let seen = streams.iter().filter(|s| sees_outside || s.source != OUTSIDE);
        seen.into_iter().try_for_each(|stream| stream.check(records))
    };
    wait_for("sums of primary records that fit the counters", DEADLINE, || {
        log.read(stage)?;
        all_formats(&log.records, formats, &hosts[0])?;
        check(&log.records).map(Some)
    })?;
    // Whatever was still on its way must not be counted on top.
    end(stage)?;
    log.read(stage)?;
    check(&log.records).context("after the exporters were flushed")?;
    nothing_dropped(&log.records)?;
    recirculate(stage, false)
}

fn totals(counted: &[(&Host, Sum)], records: &[Value]) -> Result<()> {
    for (host, expected) in counted {
        let sum = Sum::of(primary(records).filter(|r| host.is_source(r)));
        ensure!(
            sum.is_near(*expected, 0),
            "{}: records say {sum:?}, the interface {expected:?}",
            host.name
        );
    }
    Ok(())
}

impl Stream {
    /// Datagrams and echo requests, one by one.
    fn check(&self, records: &[Value]) -> Result<()> {
        let ends = |r: &&Value| {
            r["addr"] == self.source.to_string() && r["dst_addr"] == self.destination.to_string()
        };
        let datagrams = Sum::of(
            primary(records)
                .filter(ends)
                .filter(|r| r["dst_port"] == PORT && r["proto"] == 17),
        );
        let header = IP_AND_UDP + if self.source.is_ipv4() { 0 } else { 20 };
        let expected = Sum {
            packets: DATAGRAMS.into(),
            bytes: u64::from(DATAGRAMS) * (PAYLOAD as u64 + header),
        };
        ensure!(
            datagrams == expected,
            "UDP {} to {}: {datagrams:?}, not {expected:?}",
            self.source,
            self.destination
        );
        let request = if self.source.is_ipv4() { 8 } else { 128 };
        let echo = Sum::of(
            primary(records)
                .filter(ends)
                .filter(|r| r["icmp_type"] == request),
        );
        ensure!(
            echo.packets == PINGS,
            "{} to {}: {echo:?} of {PINGS} echo requests",
            self.source,
            self.destination
        );
        Ok(())
    }
}

fn primary(records: &[Value]) -> impl Iterator<Item = &Value> {
    records.iter().filter(|record| record["primary"] == true)
}

/// Every format reported the client's datagrams where they entered: that they
/// are counted once is the rule's doing, not for want of records.
fn all_formats(records: &[Value], formats: &[Format], client: &Host) -> Result<()> {
    for format in formats {
        let entered = records.iter().filter(|r| {
            r["format"] == format.2
                && r["exporter_node"] == "node-a"
                && r["direction"] == "ingress"
                && r["addr"] == client.v4.to_string()
                && r["dst_port"] == PORT
                && r["proto"] == 17
        });
        let seen = Sum::of(entered).packets;
        let expected = 3 * u64::from(DATAGRAMS);
        ensure!(
            seen == expected,
            "{} saw {seen} of {expected} datagrams",
            format.0
        );
    }
    Ok(())
}

fn nothing_dropped(records: &[Value]) -> Result<()> {
    let lie = records.iter().find(|record| record["verdict"] == "dropped");
    ensure!(lie.is_none(), "everything arrived, yet {lie:?}");
    Ok(())
}

/// Counts are estimates: each sampled packet stands for ten. The standard error
/// of n packets of b octets is sqrt(n (1 - p) / p) packets and b times as many
/// octets. A sum of three rounds is tried before it is called wrong.
fn sampled(stage: &mut Stage, format: Format, conntrack: bool) -> Result<()> {
    let hosts = hosts(stage)?;
    recirculate(stage, conntrack)?;
    warm_up(&hosts)?;
    let mut log = begin(stage, &[format], "br-int", SAMPLING)?;
    let ways = paths(&hosts);
    let seen = &ways[..if format == IPFIX { 4 } else { 3 }];
    let mut sent = 0;
    for round in 1..=ROUNDS {
        for (from, to) in seen {
            datagrams(
                &from.netns,
                &to.netns,
                SocketAddr::new(to.v4, PORT),
                SAMPLED_DATAGRAMS,
            )?;
            sent += u64::from(SAMPLED_DATAGRAMS);
        }
        let outcome = wait_for(
            "an estimate within three standard errors",
            Duration::from_secs(8),
            || {
                log.read(stage)?;
                estimate(&log.records, sent).map(Some)
            },
        );
        match outcome {
            Ok(()) => break,
            Err(error) if round == ROUNDS => return Err(error),
            Err(_) => {}
        }
    }
    end(stage)?;
    log.read(stage)?;
    estimate(&log.records, sent).context("after the exporters were flushed")?;
    nothing_dropped(&log.records)?;
    recirculate(stage, false)
}

fn estimate(records: &[Value], sent: u64) -> Result<()> {
    let datagrams = primary(records).filter(|r| r["dst_port"] == PORT && r["proto"] == 17);
    let sum = Sum::of(datagrams);
    let bound = 3.0 * ((SAMPLING - 1) as f64 * sent as f64).sqrt();
    let size = PAYLOAD as u64 + IP_AND_UDP;
    ensure!(
        (sum.packets as f64 - sent as f64).abs() <= bound && sum.bytes == sum.packets * size,
        "{sum:?}, but {sent} packets of {size} octets, give or take {bound:.0}"
    );
    Ok(())
}
