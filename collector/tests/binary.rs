//! The program itself: signals, files, standard output.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use harness::{Exporter, eventually, get, parse_lines, pcap};
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
        let directory = std::env::temp_dir().join(format!("weir-collector-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let ports = directory.join("ports.json");
        let child = Command::new(env!("CARGO_BIN_EXE_weir-collector"))
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--port-file"])
            .arg(&ports)
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
