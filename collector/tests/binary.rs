//! The program itself: signals, files, standard output.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::HashMap;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Exporter, assert_sums, eventually, get, metrics, parse_lines, pcap};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Program {
    child: Child,
    directory: PathBuf,
    udp: SocketAddr,
    http: SocketAddr,
}

impl Program {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    fn start_with(name: &str, more: &[&str]) -> Self {
        Self::run(name, Command::new(env!("CARGO_BIN_EXE_weir-collector")), more)
    }

    /// With a store on a disk of that size, in a mount namespace of its own.
    fn start_on_disk(name: &str, size: &str, disk: &std::path::Path) -> Self {
        let script = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
        command.arg(disk).arg(env!("CARGO_BIN_EXE_weir-collector"));
        let data = disk.to_str().unwrap();
        Self::run(name, command, &["--print", "none", "--data-dir", data])
    }

    fn run(name: &str, mut command: Command, more: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-collector-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let ports = directory.join("ports.json");
        let child = command
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--port-file"])
            .arg(&ports)
            .args(more)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = eventually("the port file", || std::fs::read(&ports).ok());
        let addresses: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let address = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
        let (udp, http) = (address(&addresses["udp"][0]), address(&addresses["http"]));
        Self {
            child,
            directory,
            udp,
            http,
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the end. Returns the exit code, standard output and standard error.
    fn finish(&mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        let logs = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let mut output = Vec::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_end(&mut output).unwrap();
        }
        let status = self.child.wait().unwrap();
        (status.code(), output, logs.join().unwrap().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when the test went well: it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn sigterm_loses_nothing_that_was_received() {
    let mut program = Program::start("sigterm");
    let datagrams = pcap::ipfix();
    let mut decoder = wire::Decoder::default();
    let mut expected = Vec::new();
    let mut exporter = Exporter::default();
    for datagram in &datagrams {
        exporter.send(datagram, program.udp);
        decoder
            .decode(
                datagram.source,
                datagram.received_ms,
                &datagram.payload,
                &mut expected,
            )
            .unwrap();
    }
    // What is still in the socket's buffer was received by the kernel: it counts.
    program.signal(Signal::SIGTERM);
    let (code, output, logs) = program.finish();
    assert_eq!(code, Some(0), "{logs}");
    assert_eq!(parse_lines(&output).len(), expected.len(), "{logs}");
}

#[test]
fn a_full_disk_leaves_it_ready_and_what_is_lost_at_the_end_is_told_by_the_exit_code() {
    let disk = tempfile::tempdir().unwrap();
    let mut program = Program::start_on_disk("full", "16k", disk.path());
    let datagrams = pcap::ipfix();
    let mut exporter = Exporter::default();
    eventually("the disk is full", || {
        for datagram in &datagrams {
            exporter.send(datagram, program.udp);
        }
        (metrics(program.http)["store_troubles"] > 0).then_some(())
    });
    let (code, text) = get(program.http, "/readyz");
    assert_eq!(code, 200, "{text}");
    assert!(text.contains("store: degraded: "), "{text}");
    program.signal(Signal::SIGTERM);
    let (code, _, logs) = program.finish();
    assert_eq!(code, Some(1), "{logs}");
    assert!(
        logs.contains("records that counted as stored are lost (store_full)"),
        "{logs}"
    );
    let totals = totals(&logs);
    assert!(
        totals["lost"] > 0 && totals["lost"] <= totals["stored"],
        "{totals:?}"
    );
    assert_eq!(
        totals["records"],
        totals["stored"] + totals["dropped"],
        "{totals:?}"
    );
}

/// The numbers in the last line of the log.
fn totals(logs: &str) -> HashMap<&str, u64> {
    let line = logs
        .lines()
        .find(|line| line.contains(" stopped "))
        .expect("totals");
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

fn assert_totals(totals: &HashMap<&str, u64>, printed: u64) {
    let t = totals;
    assert_eq!(t["received"], t["decoded"] + t["rejected"], "{t:?}");
    assert_eq!(t["records"], t["stored"] + t["dropped"], "{t:?}");
    assert_eq!(t["stored"], printed, "{t:?}");
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|octet| **octet == b'\n').count() as u64
}

/// Sends from eight addresses, as fast as it can, one datagram in ten malformed, until
/// it has sent so many or is told to stop. Returns how many it has sent.
fn flood(to: SocketAddr, datagrams: u64, stop: &AtomicBool) -> u64 {
    let netflow = pcap::netflow().into_iter().map(|d| d.payload);
    let good = netflow.min_by_key(Vec::len).unwrap();
    let senders: Vec<_> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut sent = 0;
    while sent < datagrams && !stop.load(Ordering::Relaxed) {
        let payload = if sent % 10 == 0 { &good[..3] } else { &good[..] };
        senders[sent as usize % 8].send_to(payload, to).unwrap();
        sent += 1;
    }
    sent
}

#[test]
fn sigterm_under_overload_accounts_for_all_that_was_sent() {
    const SENT: u64 = 40_000;
    let mut program = Program::start_with("overload", &["--workers", "2", "--queue-bytes", "2MB"]);
    // Nobody reads what is printed meanwhile, so the queue is full soon.
    assert_eq!(flood(program.udp, SENT, &AtomicBool::new(false)), SENT);
    program.signal(Signal::SIGTERM);
    let (code, output, logs) = program.finish();
    assert_eq!(code, Some(0), "{logs}");
    let totals = totals(&logs);
    assert_totals(&totals, count_lines(&output));
    assert_eq!(totals["received"] + totals["kernel_drops"], SENT, "{totals:?}");
    assert!(totals["dropped"] > 0 && totals["rejected"] > 0, "{totals:?}");
}

#[test]
fn a_flood_does_not_keep_the_collector_from_ending_or_from_counting() {
    let mut program = Program::start_with("flood", &["--workers", "2", "--queue-bytes", "2MB"]);
    let (to, http, stop) = (program.udp, program.http, Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let sender = std::thread::spawn(move || flood(to, 2_000_000, &stopped));
    eventually("the flood to come in", || {
        (metrics(http)["datagrams_received_total"] > 1_000).then_some(())
    });
    // In every answer, however much happens meanwhile.
    for _ in 0..20 {
        assert_sums(&metrics(http));
    }
    program.signal(Signal::SIGTERM);
    let (code, output, logs) = program.finish();
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    assert_eq!(code, Some(0), "{logs}");
    let totals = totals(&logs);
    assert_totals(&totals, count_lines(&output));
    assert!(totals["received"] + totals["kernel_drops"] <= sent, "{totals:?}");
}

#[test]
fn sigint_ends_an_idle_collector() {
    let mut program = Program::start("sigint");
    program.signal(Signal::SIGINT);
    let (code, output, logs) = program.finish();
    assert_eq!((code, output.len()), (Some(0), 0), "{logs}");
    assert!(logs.contains("stopped"), "{logs}");
}

#[test]
fn a_closed_standard_output_is_an_error_in_the_log_and_no_panic() {
    let mut program = Program::start("epipe");
    drop(program.child.stdout.take());
    let mut exporter = Exporter::default();
    exporter.send(&pcap::netflow()[0], program.udp);
    eventually("readiness to fail", || {
        (get(program.http, "/readyz").0 == 503).then_some(())
    });
    program.signal(Signal::SIGTERM);
    let (code, _, logs) = program.finish();
    assert_eq!(code, Some(0), "{logs}");
    assert!(
        logs.contains("records cannot be printed any more") && !logs.contains("panicked"),
        "{logs}"
    );
}

#[test]
fn whoever_reads_what_is_printed_slowly_does_not_hold_up_the_store() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let more = ["--data-dir", directory, "--queue-bytes", "2MB", "--workers", "2"];
    let mut program = Program::start_with("slow-reader", &more);
    // A pipe has room for 64 KiB, and nobody reads this one.
    flood(program.udp, 20_000, &AtomicBool::new(false));
    let counters = eventually("all to be stored", || {
        let m = metrics(program.http);
        let all =
            m["records_decoded_total"] > 10_000 && m["records_stored_total"] == m["records_decoded_total"];
        (all && m["records_unprinted_total{reason=\"behind\"}"] > 0).then_some(m)
    });
    assert_sums(&counters);
    assert_eq!(get(program.http, "/readyz").0, 200);
    program.signal(Signal::SIGTERM);
    let status = program.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}
