//! Sums over primary observations are what the interfaces counted: whatever is
//! exported, whichever way the packets go, through one pass or through `ct()`;
//! and the verdict says what became of them.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use weir_lab::{
    Netns,
    address::OUTSIDE,
    flows,
    harness::Case,
    link::Counters,
    traffic::{ping, send_udp, transfer_between},
    wait_for,
};

use crate::records::pods;
use crate::stage::{DEADLINE, Stage, metric};

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
        "sums are exact through ct() with all three formats at once",
        |stage| exact(stage, &ALL, "br-int", true),
    ),
    Case::new(
        "sums of IPFIX are within three standard errors at 1:10",
        |stage| sampled(stage, IPFIX),
    ),
    Case::new(
        "sums of sFlow are within three standard errors at 1:10",
        |stage| sampled(stage, S_FLOW),
    ),
    Case::new("a drop is told where nothing is recirculated", drops_are_told),
    Case::new(
        "a drop and a tracked packet leave the same record",
        drops_look_like_ct,
    ),
];

/// Name in the resource, collector, name in a record.
type Format = (&'static str, &'static str, &'static str);
const NET_FLOW: Format = ("netFlow", "172.30.0.1:2056", "netflow5");
const IPFIX: Format = ("ipfix", "172.30.0.1:4739", "ipfix");
const S_FLOW: Format = ("sFlow", "172.30.0.1:6343", "sflow5");
const ALL: [Format; 3] = [NET_FLOW, IPFIX, S_FLOW];

const PORT: u16 = 7007;
const DATAGRAMS: u32 = 100;
const PAYLOAD: usize = 1000;
const PINGS: u64 = 20;
/// A connection, and bytes in it: fewer than overflow the switch's receive queue,
/// where packets are lost that the interface counted.
const TRANSFERS: u32 = 3;
const BYTES: u64 = 80_000;
/// Datagrams under way at once; the switch's receive queue has room for more.
const WINDOW: u32 = 16;
const IP_AND_UDP: u64 = 20 + 8;
/// One packet in so many, in the cases with sampling.
const SAMPLING: u64 = 10;
const SAMPLED_DATAGRAMS: u32 = 5_000;
const ROUNDS: u32 = 3;

/// An end of traffic, and what its interface counts.
#[derive(Clone)]
struct Host {
    name: &'static str,
    netns: Netns,
    v4: IpAddr,
    v6: Option<IpAddr>,
}

impl Host {
    fn sent(&self) -> Result<Sum> {
        let counters = Counters::read(&self.netns, "eth0")?;
        Ok(Sum {
            packets: counters.sent_packets,
            bytes: counters.sent_bytes - 14 * counters.sent_packets,
        })
    }

    fn is_source(&self, record: &Value) -> bool {
        [Some(self.v4), self.v6]
            .into_iter()
            .flatten()
            .any(|a| record["addr"] == a.to_string())
    }
}

/// Packets and their octets of layer 3.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    packets: u64,
    bytes: u64,
}

impl Sum {
    fn of<'a>(records: impl Iterator<Item = &'a Value>) -> Self {
        records.fold(Self::default(), |sum, record| Self {
            packets: sum.packets + record["packets"].as_u64().unwrap_or(0),
            bytes: sum.bytes + record["bytes"].as_u64().unwrap_or(0),
        })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
        }
    }

    /// Within 0.5 %.
    fn is_near(self, other: Self) -> bool {
        let near = |a: u64, b: u64| a.abs_diff(b) * 200 <= b;
        near(self.packets, other.packets) && near(self.bytes, other.bytes)
    }
}

/// The client and its neighbour on node-a, a server on node-b, the outside.
fn hosts(stage: &mut Stage) -> Result<[Host; 4]> {
    let (client, web) = pods(stage)?;
    let neighbour = crate::records::neighbour(stage)?;
    let host = |name, pod: &weir_lab::Pod| Host {
        name,
        netns: pod.netns().clone(),
        v4: pod.ip(),
        v6: Some(pod.addresses().v6.into()),
    };
    let outside = Host {
        name: "outside",
        netns: stage.lab.outside().clone(),
        v4: OUTSIDE.into(),
        v6: None,
    };
    outside.netns.disable_offload("eth0")?;
    Ok([
        host("client", &client),
        host("neighbour", &neighbour),
        host("web", &web),
        outside,
    ])
}

/// On one node, across nodes, to the outside and from there.
fn paths([client, neighbour, web, outside]: &[Host; 4]) -> [(&Host, &Host); 4] {
    [
        (client, neighbour),
        (client, web),
        (client, outside),
        (outside, web),
    ]
}

/// What was sent on one way.
struct Stream {
    source: IpAddr,
    destination: IpAddr,
}

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
            sum.is_near(*expected),
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

/// Neighbours are known and flows are in place before anything is counted.
fn warm_up(hosts: &[Host; 4]) -> Result<()> {
    for (from, to) in paths(hosts) {
        ping(&from.netns, to.v4)?;
        ping(&to.netns, from.v4)?;
        if let (Some(_), Some(there)) = (from.v6, to.v6) {
            ping(&from.netns, there)?;
        }
    }
    Ok(())
}

/// TCP, UDP and ICMP on every path, in IPv6 where both ends have it.
fn mix(hosts: &[Host; 4], v6: bool) -> Result<Vec<Stream>> {
    let mut streams = Vec::new();
    for (from, to) in paths(hosts) {
        let families = [(Some(from.v4), Some(to.v4)), (from.v6.filter(|_| v6), to.v6)];
        for pair in families {
            let (Some(source), Some(destination)) = pair else {
                continue;
            };
            for _ in 0..TRANSFERS {
                transfer_between(&from.netns, &to.netns, SocketAddr::new(destination, PORT), BYTES)?;
            }
            datagrams(
                &from.netns,
                &to.netns,
                SocketAddr::new(destination, PORT),
                DATAGRAMS,
            )?;
            for _ in 0..PINGS {
                ensure!(ping(&from.netns, destination)? == 1, "a ping was lost");
            }
            streams.push(Stream { source, destination });
        }
    }
    Ok(streams)
}

/// Sends UDP datagrams a few at a time, so that none is lost in a queue.
fn datagrams(from: &Netns, to: &Netns, destination: SocketAddr, count: u32) -> Result<()> {
    let server = to.within(|| UdpSocket::bind(destination).context("bind"))?;
    server.set_read_timeout(Some(DEADLINE))?;
    let unspecified: IpAddr = if destination.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let client = from.within(|| UdpSocket::bind((unspecified, 0)).context("bind"))?;
    let arrived = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut buffer = [0; 2 * PAYLOAD];
            while arrived.load(Ordering::Relaxed) < count && server.recv(&mut buffer).is_ok() {
                arrived.fetch_add(1, Ordering::Relaxed);
            }
        });
        let began = Instant::now();
        for sent in 0..count {
            while arrived.load(Ordering::Relaxed) + WINDOW <= sent {
                if began.elapsed() > DEADLINE || receiver.is_finished() {
                    bail!("{destination} got {arrived:?} of {sent} datagrams");
                }
                std::thread::yield_now();
            }
            client.send_to(&[b'e'; PAYLOAD], destination)?;
        }
        receiver.join().ok();
        let arrived = arrived.load(Ordering::Relaxed);
        ensure!(
            arrived == count,
            "{destination} got {arrived} of {count} datagrams"
        );
        Ok(())
    })
}

/// Counts are estimates: each sampled packet stands for ten. The standard error
/// of n packets of b octets is sqrt(n (1 - p) / p) packets and b times as many
/// octets. A sum of three rounds is tried before it is called wrong.
fn sampled(stage: &mut Stage, format: Format) -> Result<()> {
    let hosts = hosts(stage)?;
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
    estimate(&log.records, sent).context("after the exporters were flushed")
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

/// Where the owner of the rules vouches for one pass, no output is a drop.
fn drops_are_told(stage: &mut Stage) -> Result<()> {
    let node = stage.lab.node("node-a")?;
    node.vsctl(&["set", "Bridge", "br-int", "external_ids:weir-single-pass=true"])?;
    let outcome = fates(stage, false);
    node.vsctl(&["remove", "Bridge", "br-int", "external_ids", "weir-single-pass"])?;
    let (dropped, arrived) = outcome?;
    for format in ["netflow5", "sflow5"] {
        ensure!(verdicts(&dropped, format) == ["dropped"], "{format}: {dropped:?}");
        ensure!(
            verdicts(&arrived, format) == ["delivered"],
            "{format}: {arrived:?}"
        );
    }
    Ok(())
}

/// Why the collector does not believe it elsewhere: the same record of both.
fn drops_look_like_ct(stage: &mut Stage) -> Result<()> {
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

/// Sends the pods' packets through `ct()`, or through one pass.
fn recirculate(stage: &Stage, conntrack: bool) -> Result<()> {
    let places: Vec<_> = stage.lab.pods().iter().map(|pod| pod.place).collect();
    stage.lab.nodes().try_for_each(|node| {
        let rules = flows::integration(node.addresses(), &places, conntrack);
        node.switch().replace_flows("br-int", &rules)
    })
}

/// The collector's output from here on, parsed once.
struct Log {
    offset: usize,
    records: Vec<Value>,
}

impl Log {
    fn read(&mut self, stage: &Stage) -> Result<()> {
        let text = stage.collector.as_ref().context("the collector runs")?.stdout()?;
        let new = &text[self.offset..];
        let Some(end) = new.rfind('\n') else { return Ok(()) };
        for line in new[..end].lines() {
            self.records
                .push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
        self.offset += end + 1;
        Ok(())
    }
}

/// Exports these formats of these bridges, one packet in so many.
fn begin(stage: &Stage, formats: &[Format], bridges: &str, sampling: u64) -> Result<Log> {
    end(stage)?;
    stage.kube.apply(&format!(
        "{{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {{name: exact}}, spec: {{\
         bridges: [{bridges}], netFlow: {{activeTimeout: 1}}, sFlow: {{sampling: {sampling}}}, \
         ipfix: {{sampling: {sampling}, cacheActiveTimeout: 1}}}}}}"
    ))?;
    let offset = stage
        .collector
        .as_ref()
        .context("the collector runs")?
        .stdout()?
        .len();
    // NetFlow counts what a datapath flow carried before it was asked to, if that
    // was not yet taken over from the datapath.
    for node in stage.lab.nodes() {
        node.appctl(&["revalidator/purge"])?;
    }
    for (name, collector, _) in formats {
        stage.export(name, &[collector])?;
    }
    stage.wait_exporting()?;
    Ok(Log {
        offset,
        records: Vec::new(),
    })
}

/// Ends all export and waits until the collector is at rest.
fn end(stage: &Stage) -> Result<()> {
    stage.clear()?;
    stage
        .kube
        .kubectl(&["delete", "exportprofile", "exact", "--ignore-not-found"])?;
    stage
        .lab
        .nodes()
        .try_for_each(|node| node.appctl(&["version"]).map(drop))?;
    wait_for("the collector to be at rest", DEADLINE, || {
        let received = || {
            let text = stage.http("127.0.0.1:8080", "/metrics")?;
            let count = |name| metric(&text, name);
            let waiting = count("weir_collector_records_queued");
            Ok::<_, anyhow::Error>((count("weir_collector_datagrams_received_total"), waiting))
        };
        let (one, two) = (received()?, received()?);
        Ok((one == two && two.1 == 0).then_some(()))
    })
}
