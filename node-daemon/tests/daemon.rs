//! The `weir-node` program with files, as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use bench::{Switch, wait};

const NETWORK: &str =
    "spec:\n  exportNetworkFlows:\n    netFlow:\n      collectors:\n        - 192.0.2.9:2056\n";

struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(switch: &Switch, more: &[&str]) -> Self {
        let network = switch.path("network.yaml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-node"))
            .args(["--node-name", "node-a", "--node-ip", "192.0.2.1"])
            .args(["--ovsdb", &switch.socket(), "--http", "127.0.0.1:0"])
            .arg("--network")
            .arg(network)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn port(&self) -> u16 {
        let mark = "address=127.0.0.1:";
        wait("a port", || self.log().contains(mark));
        let log = self.log();
        let port = log.split(mark).nth(1).unwrap();
        port.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn fetch(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks the daemon to end, and waits until it has.
    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let code = self.child.wait().unwrap().code();
        assert!(!self.log().contains("panicked"), "{}", self.log());
        code
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn switch() -> Switch {
    let switch = Switch::start();
    switch.add_bridge("br-int");
    fs::write(switch.path("network.yaml"), NETWORK).unwrap();
    switch
}

#[test]
fn a_file_is_followed_and_a_bad_edit_keeps_the_last_good_version() {
    let switch = switch();
    let daemon = Daemon::start(&switch, &["--on-exit", "clear"]);
    wait("the row", || {
        switch.column("netflow", "targets") == "192.0.2.9:2056"
    });
    let row = switch.on_bridge("br-int", "netflow");
    wait("ready", || daemon.fetch("/readyz").starts_with("HTTP/1.1 200"));
    fs::write(switch.path("network.yaml"), NETWORK.replace("netFlow", "netflow")).unwrap();
    wait("a complaint", || {
        let log = daemon.log();
        log.contains("network.yaml: spec.exportNetworkFlows has no field \"netflow\"")
    });
    assert_eq!(switch.on_bridge("br-int", "netflow"), row);
    assert!(
        daemon
            .fetch("/metrics")
            .contains("weir_node_file_errors_total 1\n")
    );
    fs::write(switch.path("network.yaml"), NETWORK.replace("2056", "2057")).unwrap();
    wait("the change", || {
        switch.column("netflow", "targets") == "192.0.2.9:2057"
    });
    assert_eq!(switch.on_bridge("br-int", "netflow"), row, "in place");
    assert!(daemon.fetch("/healthz").starts_with("HTTP/1.1 200"));
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(switch.column("netflow", "_uuid"), "");
}

#[test]
fn readiness_tells_what_is_missing_and_a_spec_that_cannot_be_applied_is_not() {
    let mut switch = switch();
    switch.vsctl(&["del-br", "br-int"]);
    let daemon = Daemon::start(&switch, &[]);
    wait("ready", || daemon.fetch("/readyz").starts_with("HTTP/1.1 200"));
    assert!(
        daemon
            .fetch("/metrics")
            .contains("weir_node_ready{fact=\"applied\"} 0")
    );
    switch.kill_server();
    wait("out of sync", || {
        daemon.fetch("/readyz").contains("OVSDB is not in sync")
    });
    assert!(
        daemon
            .fetch("/metrics")
            .contains("weir_node_ready{fact=\"ovsdb_synced\"} 0")
    );
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn without_the_file_the_daemon_ends_with_2_and_names_it() {
    let switch = Switch::start();
    let mut daemon = Daemon::start(&switch, &[]);
    assert_eq!(daemon.child.wait().unwrap().code(), Some(2));
    wait("the log", || daemon.log().contains("network.yaml: No such file"));
}

#[test]
fn rows_outlive_a_daemon_that_shall_keep_them() {
    let switch = switch();
    let daemon = Daemon::start(&switch, &["--bridge", "br-int", "--log-format", "json"]);
    wait("the row", || {
        switch.column("netflow", "targets") == "192.0.2.9:2056"
    });
    let pid = daemon.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut daemon = daemon;
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert_eq!(switch.column("netflow", "targets"), "192.0.2.9:2056");
    let log = daemon.log();
    assert!(
        log.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{log}"
    );
}
