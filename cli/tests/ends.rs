//! How `weir` ends: by a signal, when the network breaks, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "command/fixture.rs"]
mod fixture;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use fixture::{PATIENCE, Running, flow, run, seconds_ago, weir};
use weir_collector::{Collector, Config};
use weir_store::Settings;

/// More records than a pipe has room for.
fn fill(directory: &Path) {
    let (mut writer, _, _) = weir_store::open(Settings::new(directory)).unwrap();
    let records: Vec<_> = (0..3_000).map(|_| flow("web", seconds_ago(20))).collect();
    writer.append(&records).unwrap();
    writer.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_what_follows_at_once_though_nobody_reads_what_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let running = Collector::start(Config {
        store: Some(Settings::new(directory.path())),
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let status = tokio::task::spawn_blocking(move || {
        let words = [
            "flows", "--server", &server, "--follow", "--since", "1h", "-o", "json",
        ];
        let mut following = Running(weir(&words).stdout(Stdio::piped()).spawn().unwrap());
        let mut out = BufReader::with_capacity(1, following.0.stdout.take().unwrap());
        let mut first = String::new();
        // From here on it writes as fast as it can.
        out.read_line(&mut first).unwrap();
        assert!(first.starts_with('{'), "{first}");
        following.signal("INT");
        following.ended()
    });
    let status = status.await;
    running.stop().await.unwrap();
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn that_nobody_is_there_is_said_in_a_few_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (code, _, err) = run(&["flows", "--server", &server]);
    assert_eq!(code, 2);
    assert_eq!(
        err,
        format!("weir: cannot reach {server}: Connection refused (os error 111)\n")
    );
}

#[test]
fn a_server_that_ends_the_connection_is_a_failure_also_for_what_follows() {
    // It says so much of its answer, and ends the connection.
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"columns\"",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n5\r\n{\"ns",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        for words in [
            &["flows"][..],
            &["top"],
            &["values", "ns"],
            &["flows", "--follow"],
            &["status"],
        ] {
            let (code, _, err) = run(&[words, &["--server", &server]].concat());
            assert_eq!(code, 2, "{words:?} {answer:?}: {err}");
            assert!(err.starts_with("weir: "), "{words:?} {answer:?}: {err}");
        }
    }
}

/// `weir up` without Open vSwitch: it waits for it, and collects.
fn up(directory: &Path, more: &[&str]) -> Command {
    let network = directory.join("network.yaml");
    std::fs::write(
        &network,
        "spec:\n  exportNetworkFlows:\n    netFlow:\n      collectors: [\"127.0.0.1:2055\"]\n",
    )
    .unwrap();
    let network = network.display().to_string();
    let ovsdb = format!("unix:{}", directory.join("no.sock").display());
    let words = [
        "up",
        "--network",
        &network,
        "--ovsdb",
        &ovsdb,
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--node-name",
        "node-a",
    ];
    let mut command = weir(&[&words[..], more].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for what it logs; what it says after that, when it has ended.
fn logged(running: &mut Running, text: &str) -> (String, JoinHandle<String>) {
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let line = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains(text));
    // What comes after is read, or it would wait for a reader.
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect());
    (line.unwrap_or_else(|| panic!("{text:?} was not logged")), rest)
}

#[test]
fn weir_up_ends_well_by_a_signal_and_not_when_it_cannot_begin() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("flows").display().to_string();
    for signal in ["INT", "TERM"] {
        let mut running = Running(up(directory.path(), &["--data-dir", &data]).spawn().unwrap());
        let (line, _) = logged(&mut running, "listening");
        let http = line
            .split("http=")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.0.id())).unwrap();
        let files = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let bounds: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
        assert_eq!(bounds[0], bounds[1], "as many files as the system lets: {files}");
        // What another one has is not taken, and the exit code says so.
        for other in [&["--data-dir", data.as_str()][..], &["--http", &http]] {
            let words: Vec<&str> = other.to_vec();
            let mut second = match words[0] {
                "--http" => weir(&[
                    "up",
                    "--network",
                    &directory.path().join("network.yaml").display().to_string(),
                    "--listen",
                    "127.0.0.1:0",
                    "--http",
                    &http,
                    "--node-name",
                    "node-a",
                ]),
                _ => up(directory.path(), &words),
            };
            let output = second.output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{words:?}: {err}");
        }
        running.signal(signal);
        assert_eq!(running.ended().code(), Some(0), "{signal}");
    }
    let (code, _, err) = run(&["up", "--network", "/nowhere/network.yaml"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn weir_up_says_where_its_web_ui_is_or_how_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running(up(directory.path(), &[]).spawn().unwrap());
    let (line, _rest) = logged(&mut running, "web UI");
    match weir_collector::http::ui::is_built_in() {
        true => {
            let host = line.split("http://").nth(1).unwrap().trim_end_matches('/');
            let mut stream = TcpStream::connect(host).unwrap();
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            assert!(page.contains("<title>Weir</title>"), "{page}");
        }
        false => assert!(line.contains("make ui"), "{line}"),
    }
}

#[test]
fn weir_up_that_cannot_print_ends_at_the_second_signal() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running(up(directory.path(), &[]).spawn().unwrap());
    let (line, rest) = logged(&mut running, "listening");
    let udp = line
        .split("udp=[")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap()
        .to_owned();
    let sent = weir(&["bench", "--to", &udp, "--count", "5000", "--protocol", "ipfix"]).output();
    assert!(sent.unwrap().status.success());
    let mut first = String::new();
    let mut out = BufReader::with_capacity(1, running.0.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    running.signal("INT");
    let signalled = Instant::now();
    let status = loop {
        running.signal("INT");
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(signalled.elapsed() < PATIENCE, "it does not end");
        std::thread::yield_now();
    };
    let said = rest.join().unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("records that were on their way are lost"), "{said}");
}

#[test]
fn a_store_that_is_being_written_is_gone_when_it_is_broken_off() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("chosen");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        // It begins an answer and never goes on.
        let (begun, begins) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let _ = begun.send(());
            let _ = stream.read(&mut [0; 4096]);
        });
        let to = target.display().to_string();
        let words = ["export", "--server", &server, "--format", "store", "--to", &to];
        let mut running = Running(weir(&words).stderr(Stdio::piped()).spawn().unwrap());
        begins.recv().unwrap();
        let growing = directory.path().join("chosen.unfinished");
        assert!(growing.join("partial").exists() && !target.exists());
        running.signal(signal);
        assert_eq!(running.ended().code(), Some(code));
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 0, "{signal}");
    }
}
