//! IPFIX over TCP and TLS, on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod harness;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use authority::Authority;
use harness::{Paper, assert_sums, eventually, metrics, pcap};
use weir_collector::{AllowRule, Collector, Config, Running, Sink, StreamConfig, TlsFiles};
use wire::encode::Ipfix;
use wire::{Decoder, Field, Session};

const SOURCE_PORT: Field = Field::iana(7, 2);

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn over_tcp() -> StreamConfig {
    StreamConfig {
        tcp: vec![any()],
        ..StreamConfig::default()
    }
}

async fn start(streams: StreamConfig) -> (Running, Paper) {
    let paper = Paper::default();
    let config = Config {
        streams,
        sink: Sink::Json(Box::new(paper.clone())),
        ..Config::default()
    };
    (Collector::start(config).await.unwrap(), paper)
}

/// Runs what blocks, and fails when it does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn wait_for(http: SocketAddr, counter: &str, value: u64) -> HashMap<String, u64> {
    eventually(counter, || Some(metrics(http)).filter(|m| m[counter] == value))
}

/// What one exporter of the capture sent.
fn messages() -> Vec<Vec<u8>> {
    let all = pcap::ipfix();
    let first = all[0].source;
    let of_first = all.into_iter().filter(|datagram| datagram.source == first);
    of_first.map(|datagram| datagram.payload).collect()
}

fn count_records(messages: &[Vec<u8>]) -> u64 {
    let (mut decoder, mut records) = (Decoder::default(), Vec::new());
    for message in messages {
        let session = Session::stream(any());
        decoder.decode(session, 0, message, &mut records).unwrap();
    }
    records.len() as u64
}

fn template() -> Vec<u8> {
    Ipfix::new(1, 1, 0).template(300, &[SOURCE_PORT]).encode()
}

fn data(port: u8) -> Vec<u8> {
    Ipfix::new(1, 1, 0).set(300, &[0, port]).encode()
}

/// Whether the other side has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(octets) => octets == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_tcp_come_out_however_the_stream_is_cut() {
    let (running, paper) = start(over_tcp()).await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    let messages = messages();
    let (records, count) = (count_records(&messages), messages.len() as u64);
    assert!(records > 0);
    let m = blocking(move || {
        let mut stream = TcpStream::connect(tcp).unwrap();
        stream.set_nodelay(true).unwrap();
        let octets = messages.concat();
        let (small, rest) = octets.split_at(2_000);
        for piece in small.chunks(7).chain(rest.chunks(10_000)) {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(is_closed(&mut stream));
        wait_for(http, "connections_closed_total{reason=\"end\"}", 1);
        wait_for(http, "records_queued", 0)
    })
    .await;
    assert_sums(&m);
    assert_eq!(m["datagrams_received_total"], count);
    assert_eq!(
        (m["records_stored_total"], m["datagrams_rejected_total"]),
        (records, 0)
    );
    assert_eq!(
        (m["connections_opened_total{transport=\"tcp\"}"], m["connections"]),
        (1, 0)
    );
    assert_eq!(paper.lines().len() as u64, records);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_belong_to_their_connection_and_end_with_it() {
    let (running, paper) = start(over_tcp()).await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    let m = blocking(move || {
        let mut first = TcpStream::connect(tcp).unwrap();
        first.write_all(&[template(), data(80)].concat()).unwrap();
        wait_for(http, "records_stored_total", 1);
        drop(first);
        let mut second = TcpStream::connect(tcp).unwrap();
        second.write_all(&data(81)).unwrap();
        wait_for(http, "data_sets_total{event=\"held\"}", 1);
        drop(second);
        wait_for(http, "data_sets_total{event=\"expired\"}", 1)
    })
    .await;
    assert_eq!(m["records_decoded_total"], 1);
    assert_eq!(paper.lines()[0]["port"], 80);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_closes_the_connection_and_is_counted() {
    let (running, paper) = start(over_tcp()).await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    let mut bad_set = data(80);
    bad_set[19] = 3;
    let bad = [
        (b"GET / HTTP/1.1\r\n".to_vec(), "version"),
        (vec![0, 10, 0, 15], "length"),
        (pcap::netflow().swap_remove(0).payload, "version"),
        (bad_set, "set_length"),
    ];
    let m = blocking(move || {
        for (octets, _) in &bad {
            let mut stream = TcpStream::connect(tcp).unwrap();
            let good = [template(), data(80)].concat();
            stream.write_all(&[&good[..], octets].concat()).unwrap();
            assert!(is_closed(&mut stream));
        }
        wait_for(
            http,
            "connections_closed_total{reason=\"malformed\"}",
            bad.len() as u64,
        );
        let m = wait_for(http, "records_queued", 0);
        for (_, reason) in bad {
            assert!(
                m[&format!("datagrams_rejected_total{{reason=\"{reason}\"}}")] > 0,
                "{reason}"
            );
        }
        m
    })
    .await;
    assert_sums(&m);
    assert_eq!(
        (m["datagrams_rejected_total"], m["datagrams_decoded_total"]),
        (4, 8)
    );
    assert_eq!(paper.lines().len(), 4, "what came before was good");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_inside_a_message_is_told_apart() {
    let (running, _) = start(over_tcp()).await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    blocking(move || {
        let mut stream = TcpStream::connect(tcp).unwrap();
        stream.write_all(&template()[..20]).unwrap();
        drop(stream);
        wait_for(http, "connections_closed_total{reason=\"cut_short\"}", 1);
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed() {
    let (running, _) = start(StreamConfig {
        idle: Duration::from_millis(20),
        ..over_tcp()
    })
    .await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    blocking(move || {
        let mut stream = TcpStream::connect(tcp).unwrap();
        assert!(is_closed(&mut stream));
        wait_for(http, "connections_closed_total{reason=\"idle\"}", 1);
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_are_refused_until_one_ends() {
    let (running, _) = start(StreamConfig {
        connections: 1,
        ..over_tcp()
    })
    .await;
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    blocking(move || {
        let first = TcpStream::connect(tcp).unwrap();
        wait_for(http, "connections", 1);
        let mut second = TcpStream::connect(tcp).unwrap();
        assert!(is_closed(&mut second));
        assert_eq!(metrics(http)["connections_refused_total{reason=\"full\"}"], 1);
        drop(first);
        wait_for(http, "connections", 0);
        let mut third = TcpStream::connect(tcp).unwrap();
        third.write_all(&[template(), data(80)].concat()).unwrap();
        wait_for(http, "records_stored_total", 1);
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_before_a_word_is_read() {
    let config = Config {
        streams: over_tcp(),
        allow: ["192.0.2.0/24".parse::<AllowRule>().unwrap()]
            .into_iter()
            .collect(),
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let (tcp, http) = (running.addresses().tcp[0], running.addresses().http);
    let m = blocking(move || {
        let mut stream = TcpStream::connect(tcp).unwrap();
        assert!(is_closed(&mut stream));
        metrics(http)
    })
    .await;
    assert_eq!(m["connections_refused_total{reason=\"stranger\"}"], 1);
    assert_eq!(
        (m["connections_opened_total"], m["datagrams_received_total"]),
        (0, 0)
    );
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_reads_what_has_arrived_also_on_connections_not_yet_taken() {
    let (running, paper) = start(over_tcp()).await;
    let tcp = running.addresses().tcp[0];
    // Little enough to be all in the receiving socket when `write_all` returns.
    let (records, mut octets) = (500, template());
    (0..records).for_each(|_| octets.extend(data(80)));
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(tcp).unwrap();
        stream.write_all(&octets).unwrap();
        streams.push(stream);
    }
    let metrics = running.pages().metrics.clone();
    running.stop().await.unwrap();
    let totals = metrics.totals();
    assert_eq!(
        (totals.records, totals.stored),
        (4 * records, 4 * records),
        "{totals:?}"
    );
    assert_eq!(paper.lines().len() as u64, 4 * records);
}

fn server(authority: &Authority, client_authority: Option<PathBuf>) -> StreamConfig {
    StreamConfig {
        tls: vec![any()],
        tls_files: TlsFiles {
            certificate: authority.file("server.pem"),
            private_key: authority.file("server.key"),
            client_authority,
        },
        ..StreamConfig::default()
    }
}

/// Sends octets with OpenSSL, which checks our certificate.
fn send(authority: &Authority, to: SocketAddr, more: &[&Path], octets: &[u8]) {
    let mut client = Command::new("openssl");
    client.args([
        "s_client",
        "-quiet",
        "-no_ign_eof",
        "-verify_return_error",
        "-verify_hostname",
        "collector.test",
    ]);
    client
        .arg("-connect")
        .arg(to.to_string())
        .arg("-CAfile")
        .arg(authority.file("ca.pem"));
    if let [certificate, key] = more {
        client.arg("-cert").arg(certificate).arg("-key").arg(key);
    }
    client
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = client.spawn().unwrap();
    // It may have ended already, refused.
    let _ = child.stdin.take().unwrap().write_all(octets);
    eventually("openssl to end", || child.try_wait().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_tls_come_out() {
    let authority = blocking(|| Authority::new("tls")).await;
    let (running, paper) = start(server(&authority, None)).await;
    let (tls, http) = (running.addresses().tls[0], running.addresses().http);
    let messages = messages();
    let records = count_records(&messages);
    blocking(move || {
        send(&authority, tls, &[], &messages.concat());
        wait_for(http, "records_stored_total", records);
        wait_for(http, "connections", 0);
        // Not TLS at all.
        let mut plain = TcpStream::connect(tls).unwrap();
        plain.write_all(&messages[0]).unwrap();
        plain.shutdown(Shutdown::Write).unwrap();
        wait_for(http, "connections_closed_total{reason=\"handshake\"}", 1);
    })
    .await;
    assert_eq!(paper.lines().len() as u64, records);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_must_show_a_certificate_of_the_authority_that_is_asked_for() {
    let (ours, theirs) = blocking(|| (Authority::new("ours"), Authority::new("theirs"))).await;
    let (running, paper) = start(server(&ours, Some(ours.file("ca.pem")))).await;
    let (tls, http) = (running.addresses().tls[0], running.addresses().http);
    blocking(move || {
        let message = |port| [template(), data(port)].concat();
        send(&ours, tls, &[], &message(1));
        wait_for(http, "connections_closed_total{reason=\"handshake\"}", 1);
        send(
            &ours,
            tls,
            &[&theirs.file("client.pem"), &theirs.file("client.key")],
            &message(2),
        );
        wait_for(http, "connections_closed_total{reason=\"handshake\"}", 2);
        send(
            &ours,
            tls,
            &[&ours.file("client.pem"), &ours.file("client.key")],
            &message(3),
        );
        wait_for(http, "records_stored_total", 1);
    })
    .await;
    assert_eq!(paper.lines()[0]["port"], 3);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_tls_cannot_use_is_named() {
    let authority = blocking(|| Authority::new("files")).await;
    let refused = |file: PathBuf, config: StreamConfig| async move {
        let config = Config {
            streams: config,
            ..Config::default()
        };
        let error = Collector::start(config).await.unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
    };
    let (nowhere, key) = (authority.file("nowhere.pem"), authority.file("server.key"));
    let mut missing = server(&authority, None);
    missing.tls_files.certificate.clone_from(&nowhere);
    refused(nowhere, missing).await;
    refused(key.clone(), server(&authority, Some(key))).await;
    let mut swapped = server(&authority, None);
    swapped.tls_files.private_key = authority.file("server.pem");
    refused(authority.file("server.pem"), swapped).await;
}
