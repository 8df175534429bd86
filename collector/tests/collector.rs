//! A running collector on loopback: what was exported comes out, named and counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use harness::{Exporter, Paper, assert_sums, eventually, fetch, get, metrics, pcap};
use serde_json::Value;
use weir_collector::{AllowRule, Collector, Config, NameSource, Running, Sink};
use weir_store::Settings;

fn config(sink: Sink) -> Config {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: vec![any, any],
        workers: 3.try_into().unwrap(),
        http: any,
        names: NameSource::None,
        sink,
        ..Config::default()
    }
}

/// Sends in portions that fit any socket buffer.
fn replay(running: &Running, datagrams: &[pcap::Datagram]) {
    let (udp, http) = (&running.addresses().udp, running.addresses().http);
    let mut exporter = Exporter::default();
    let before = metrics(http)["datagrams_received_total"];
    for (n, datagram) in datagrams.iter().enumerate() {
        // Any protocol on any port: NetFlow and sFlow share one, IPFIX has the other.
        exporter.send(datagram, udp[usize::from(datagram.port == 4739)]);
        if n % 64 == 63 || n + 1 == datagrams.len() {
            let all = before + n as u64 + 1;
            eventually("the datagrams", || {
                (metrics(http)["datagrams_received_total"] == all).then_some(())
            });
        }
    }
}

async fn settled(http: SocketAddr) -> std::collections::HashMap<String, u64> {
    tokio::task::spawn_blocking(move || {
        eventually("the queue to run empty", || {
            Some(metrics(http)).filter(|m| m["records_queued"] == 0)
        })
    })
    .await
    .unwrap()
}

fn of_format<'a>(lines: &'a [Value], format: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["format"] == format).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_ovs_sent_is_printed_and_the_counters_add_up() {
    let paper = Paper::default();
    let running = Collector::start(config(Sink::Json(Box::new(paper.clone()))))
        .await
        .unwrap();
    let http = running.addresses().http;
    let datagrams = pcap::datagrams();
    tokio::task::block_in_place(|| replay(&running, &datagrams));
    let m = settled(http).await;
    assert_sums(&m);
    assert_eq!(m["datagrams_received_total"], datagrams.len() as u64);
    assert_eq!(m["datagrams_rejected_total"], 0);
    let lines = paper.lines();
    assert_eq!(m["records_stored_total"], lines.len() as u64);
    for format in ["netflow5", "ipfix", "sflow5"] {
        let printed = of_format(&lines, format).len() as u64;
        assert!(printed > 0, "{format}");
        assert_eq!(
            m[&format!("records_decoded_total{{format=\"{format}\"}}")],
            printed
        );
    }
    assert_eq!(m["sequence_lost_total{format=\"ipfix\"}"], 0);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ovs_sends_to_a_collector_that_knows_no_templates_is_stored_at_once() {
    let running = Collector::start(config(Sink::Discard)).await.unwrap();
    let http = running.addresses().http;
    // Sets 2 and 3 are templates.
    let (templates, data): (Vec<_>, Vec<_>) = pcap::ipfix().into_iter().partition(|d| d.payload[16] == 0);
    assert!(!templates.is_empty());
    tokio::task::block_in_place(|| replay(&running, &data));
    let m = settled(http).await;
    assert_eq!(m["templates_total{event=\"assumed\"}"], data.len() as u64);
    // One is of the exporter's statistics.
    assert_eq!(m["records_stored_total"], data.len() as u64 - 1);
    assert_eq!(m["sequence_lost_total{format=\"ipfix\"}"], 0);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_datagram_shows_in_the_sequence() {
    let running = Collector::start(config(Sink::Discard)).await.unwrap();
    let http = running.addresses().http;
    let mut datagrams = pcap::ipfix();
    let data = datagrams.iter().rposition(|d| d.payload.len() < 400).unwrap();
    datagrams.remove(data - 10);
    tokio::task::block_in_place(|| replay(&running, &datagrams));
    assert_eq!(metrics(http)["sequence_lost_total{format=\"ipfix\"}"], 1);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_datagrams_are_counted_by_reason_and_hurt_nobody() {
    let paper = Paper::default();
    let running = Collector::start(config(Sink::Json(Box::new(paper.clone()))))
        .await
        .unwrap();
    let http = running.addresses().http;
    let good = pcap::netflow().swap_remove(0);
    let short = good.payload[..good.payload.len() - 1].to_vec();
    let bad = [
        (vec![], "truncated"),
        (vec![1, 2, 3, 4], "version"),
        (vec![0, 10, 0, 16], "truncated"),
    ];
    let mut datagrams: Vec<_> = bad
        .iter()
        .map(|(payload, _)| pcap::Datagram {
            payload: payload.clone(),
            ..good.clone()
        })
        .collect();
    datagrams.push(pcap::Datagram {
        payload: short,
        ..good.clone()
    });
    datagrams.push(good);
    tokio::task::block_in_place(|| replay(&running, &datagrams));
    let m = settled(http).await;
    assert_sums(&m);
    assert_eq!(m["datagrams_rejected_total{reason=\"version\"}"], 1);
    assert_eq!(m["datagrams_rejected_total"], 4);
    assert!(m["datagrams_rejected_total{reason=\"truncated\"}"] >= 2);
    assert_eq!(m["records_stored_total"], paper.lines().len() as u64);
    assert!(!paper.lines().is_empty());
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_costs_a_counter_and_nothing_else() {
    let paper = Paper::default();
    let running = Collector::start(Config {
        allow: ["192.0.2.0/24".parse::<AllowRule>().unwrap()]
            .into_iter()
            .collect(),
        ..config(Sink::Json(Box::new(paper.clone())))
    })
    .await
    .unwrap();
    let http = running.addresses().http;
    let datagrams = pcap::datagrams();
    tokio::task::block_in_place(|| replay(&running, &datagrams));
    let m = settled(http).await;
    assert_sums(&m);
    let stranger = "datagrams_rejected_total{reason=\"stranger\"}";
    assert_eq!(m[stranger], datagrams.len() as u64);
    for untouched in [
        "datagrams_decoded_total",
        "templates_total",
        "data_sets_total",
        "sequence_lost_total",
    ] {
        assert_eq!(m[untouched], 0, "{untouched}");
    }
    running.stop().await.unwrap();
    assert!(paper.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_the_list_is_let_in() {
    let running = Collector::start(Config {
        allow: ["127.0.0.1".parse::<AllowRule>().unwrap()].into_iter().collect(),
        ..config(Sink::Discard)
    })
    .await
    .unwrap();
    tokio::task::block_in_place(|| replay(&running, &pcap::netflow()));
    let m = settled(running.addresses().http).await;
    assert_eq!(m["datagrams_rejected_total"], 0);
    assert!(m["records_stored_total"] > 0);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_nodes_are_nobody_where_no_node_is_known() {
    let running = Collector::start(Config {
        allow: [AllowRule::ClusterNodes].into_iter().collect(),
        ..config(Sink::Discard)
    })
    .await
    .unwrap();
    tokio::task::block_in_place(|| replay(&running, &pcap::netflow()));
    let m = settled(running.addresses().http).await;
    assert_eq!(m["datagrams_rejected_total"], m["datagrams_received_total"]);
    running.stop().await.unwrap();
}

/// A reader that has gone away.
struct Gone;

impl io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_reads_are_counted_as_dropped_and_readiness_says_so() {
    let running = Collector::start(config(Sink::Json(Box::new(Gone))))
        .await
        .unwrap();
    let http = running.addresses().http;
    assert_eq!(get(http, "/readyz").0, 200);
    tokio::task::block_in_place(|| replay(&running, &pcap::netflow()));
    let m = settled(http).await;
    assert_sums(&m);
    assert_eq!(m["records_stored_total"], 0);
    assert_eq!(
        m["records_dropped_total{reason=\"sink_failed\"}"],
        m["records_decoded_total"]
    );
    let (status, text) = get(http, "/readyz");
    assert!(
        status == 503 && text.contains("sink: records cannot be printed"),
        "{text}"
    );
    assert_eq!(get(http, "/healthz").0, 200);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_drops_what_comes_and_counts_it() {
    let small = Config {
        queue_bytes: 0,
        ..config(Sink::Json(Box::new(Paper::default())))
    };
    let running = Collector::start(small).await.unwrap();
    let http = running.addresses().http;
    tokio::task::block_in_place(|| replay(&running, &pcap::netflow()));
    let m = settled(http).await;
    assert_sums(&m);
    assert!(m["records_decoded_total"] > 0);
    assert_eq!(
        m["records_dropped_total{reason=\"queue_full\"}"],
        m["records_decoded_total"]
    );
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_what_they_are() {
    let running = Collector::start(config(Sink::Discard)).await.unwrap();
    let http = running.addresses().http;
    let (head, _) = fetch(http, "/metrics");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    let (status, page) = get(http, "/");
    // The web UI, or, in programs without it, what there is beside it.
    let is_page = page.starts_with("<!doctype html>") || page.contains("/metrics");
    assert!(status == 200 && is_page, "{page}");
    assert_eq!(get(http, "/nothing").0, 404);
    running.stop().await.unwrap();
    assert!(
        std::net::TcpStream::connect(http).is_err(),
        "the socket is closed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_in_the_error() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Collector::start(Config {
        listen: vec![address],
        ..config(Sink::Discard)
    })
    .await
    .unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// Two files and a collector of IPFIX.
fn sinks(folder: &Path, ipfix: SocketAddr) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "sinks:
  - {{name: all, observations: all, file: {{path: {}}}}}
  - {{name: tcp, filter: 'protocol == \"tcp\"', columns: [protocol, bytes], file: {{path: {}}}}}
  - {{name: goflow2, observations: all, file: {{path: {}, format: goflow2-json}}}}
  - {{name: ipfix, ipfix: {{address: '{ipfix}', transport: tcp}}}}
",
        path("all.json"),
        path("tcp.json"),
        path("goflow2.json")
    )
}

fn lines_of(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Octets by format, as the lines say it.
fn octets(lines: &[Value], kind: &str, format: impl Fn(&str) -> String) -> BTreeMap<String, (u64, u64)> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(format(line[kind].as_str().unwrap())).or_default();
        sum.0 += 1;
        sum.1 += line["bytes"].as_u64().unwrap_or(0);
    }
    sums
}

/// A collector of IPFIX over TCP, one connection after the other.
struct Taker {
    address: SocketAddr,
    taken: mpsc::Receiver<Vec<wire::Record>>,
}

impl Taker {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, taken) = mpsc::sync_channel(2);
        std::thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let mut octets = Vec::new();
                stream.read_to_end(&mut octets).unwrap();
                let (mut framer, mut decoder, mut records) =
                    (wire::Framer::default(), wire::Decoder::default(), Vec::new());
                framer.push(&octets);
                while let Some(message) = framer.next_message().unwrap() {
                    decoder.decode(from, 0, message, &mut records).unwrap();
                }
                if sender.send(records).is_err() {
                    return;
                }
            }
        });
        Self { address, taken }
    }

    /// Those of the two connections that there were.
    fn records(&self) -> Vec<wire::Record> {
        (0..2)
            .flat_map(|_| self.taken.recv_timeout(Duration::from_secs(30)).unwrap())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_goes_to_each_sink_once_over_a_restart_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taker = Taker::start();
    let file = folder.path().join("sinks.yaml");
    fs::write(&file, sinks(folder.path(), taker.address)).unwrap();
    let with_sinks = || Config {
        store: Some(Settings::new(folder.path().join("data"))),
        sinks: Some(file.clone()),
        ..config(Sink::Discard)
    };
    let datagrams = pcap::datagrams();
    let all = folder.path().join("all.json");
    let mut stored = 0;
    for round in 0..2 {
        let running = Collector::start(with_sinks()).await.unwrap();
        let http = running.addresses().http;
        tokio::task::block_in_place(|| {
            // One that is new begins with what comes now.
            eventually("the sinks to read the log", || {
                metrics(http)
                    .keys()
                    .filter(|name| name.starts_with("log_reader_lag_rows{reader=\"sink-"))
                    .count()
                    .eq(&4)
                    .then_some(())
            });
            if round == 0 {
                // It is gone for a while, and comes back as it was.
                let away = folder.path().join("away.yaml");
                fs::rename(&file, &away).unwrap();
                eventually("it to be missed", || {
                    (metrics(http)["sinks_config_ok"] == 0).then_some(())
                });
                fs::rename(&away, &file).unwrap();
                eventually("it to be back", || {
                    (metrics(http)["sinks_config_ok"] == 1).then_some(())
                });
            } else {
                fs::write(&file, "sinks:\n  - {name: all, flie: {}}\n").unwrap();
                eventually("the wrong file to be told", || {
                    (metrics(http)["sinks_config_ok"] == 0).then_some(())
                });
            }
            replay(&running, &datagrams);
            eventually("all to be stored", || {
                let known = metrics(http);
                (known["records_queued"] == 0).then_some(())
            });
            stored += metrics(http)["records_stored_total"];
            eventually("the file to have all", || {
                (lines_of(&all).len() as u64 == stored).then_some(())
            });
            let sent = metrics(http);
            assert_eq!(sent["sink_up{sink=\"all\"}"], 1);
            assert_eq!(sent["sinks_config_ok"], u64::from(round == 0));
        });
        running.stop().await.unwrap();
    }
    let (lines, others) = (lines_of(&all), lines_of(&folder.path().join("goflow2.json")));
    assert_eq!(lines.len() as u64, stored);
    let theirs = octets(&others, "type", |word| {
        word.to_lowercase()
            .replace("netflow_v", "netflow")
            .replace("sflow_", "sflow")
    });
    assert_eq!(octets(&lines, "format", str::to_owned), theirs);
    let is_tcp = |line: &&Value| line["protocol"] == "tcp" && line["primary"] == true;
    let tcp = lines_of(&folder.path().join("tcp.json"));
    assert_eq!(tcp.len(), lines.iter().filter(is_tcp).count());
    assert!(
        tcp.iter()
            .all(|line| line.as_object().unwrap().keys().eq(["protocol", "bytes"]))
    );
    let records = taker.records();
    let primary = lines.iter().filter(|line| line["primary"] == true);
    let octets: u64 = primary.clone().filter_map(|line| line["bytes"].as_u64()).sum();
    assert_eq!(records.len(), primary.count());
    assert_eq!(
        records.iter().filter_map(|record| record.bytes).sum::<u64>(),
        octets
    );
}
