//! The program killed and started again: templates outlive it, and nothing that the
//! second one receives is lost for want of one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{assert_sums, eventually, metrics};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weir_load::{Generator, Pace, Plan, Sender, Traffic};
use wire::Field;
use wire::encode::Ipfix;

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-restart-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A collector that keeps its templates in the directory.
struct Program {
    child: Child,
    udp: SocketAddr,
    http: SocketAddr,
}

impl Program {
    fn start(directory: &Path, listen: SocketAddr) -> Self {
        Self::start_with(directory, listen, &[])
    }

    fn start_with(directory: &Path, listen: SocketAddr, more: &[&str]) -> Self {
        let ports = directory.join("ports.json");
        let _ = std::fs::remove_file(&ports);
        let child = Command::new(env!("CARGO_BIN_EXE_weir-collector"))
            .args(["--listen", &listen.to_string(), "--http", "127.0.0.1:0"])
            .args(["--print", "none", "--workers", "2", "--port-file"])
            .arg(&ports)
            .arg("--state-dir")
            .arg(directory.join("state"))
            .args(more)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let text = eventually("the port file", || std::fs::read(&ports).ok());
        let addresses: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let address = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
        Self {
            child,
            udp: address(&addresses["udp"][0]),
            http: address(&addresses["http"]),
        }
    }

    /// Ends it as a crash would. Returns where it listened.
    fn crash(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.udp
    }

    fn terminate(mut self) -> SocketAddr {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.udp
    }

    fn until(&self, what: &str, holds: impl Fn(&HashMap<String, u64>) -> bool) -> HashMap<String, u64> {
        eventually(what, || Some(metrics(self.http)).filter(|m| holds(m)))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when the test went well: it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn template() -> Vec<u8> {
    Ipfix::new(0, 0, 1).template(256, &[Field::iana(7, 2)]).encode()
}

fn data() -> Vec<u8> {
    Ipfix::new(0, 0, 1).set(256, &[0, 80]).encode()
}

/// Nothing waits for a template, or has waited in vain.
fn assert_nothing_waits(m: &HashMap<String, u64>) {
    for event in ["held", "dropped", "expired"] {
        assert_eq!(m[&format!("data_sets_total{{event=\"{event}\"}}")], 0, "{event}");
    }
}

#[test]
fn data_decodes_after_a_crash_though_its_template_came_before_it() {
    let directory = Directory::new("crash");
    let exporter = UdpSocket::bind(anywhere()).unwrap();
    let first = Program::start(&directory.0, anywhere());
    exporter.send_to(&template(), first.udp).unwrap();
    first.until("the template to be written", |m| m["templates_saved"] == 1);
    let second = Program::start(&directory.0, first.crash());
    exporter.send_to(&data(), second.udp).unwrap();
    let m = second.until("the record", |m| m["records_stored_total"] == 1);
    assert_eq!(m["templates_total{event=\"recalled\"}"], 1);
    assert_nothing_waits(&m);
    // A port of another address is another exporter's.
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    stranger.send_to(&data(), second.udp).unwrap();
    second.until("the data to wait", |m| m["data_sets_total{event=\"held\"}"] == 1);
    // The second one has learned nothing new, and has not forgotten it for the third.
    let third = Program::start(&directory.0, second.terminate());
    exporter.send_to(&data(), third.udp).unwrap();
    third.until("the record", |m| m["records_stored_total"] == 1);
}

#[test]
fn a_second_collector_on_a_state_directory_is_told_who_has_it_and_what_to_do() {
    let directory = Directory::new("two");
    let first = Program::start(&directory.0, anywhere());
    let state = directory.0.join("state");
    let second = Command::new(env!("CARGO_BIN_EXE_weir-collector"))
        .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--state-dir"])
        .arg(&state)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let (said, holder) = (String::from_utf8(second.stderr).unwrap(), first.child.id());
    let expected = format!(
        "the state directory {} is in use by process {holder}; stop it, or choose another directory",
        state.display()
    );
    assert!(said.contains(&expected), "{said}");
    // A crash leaves no lock, and flows may lie in the same directory.
    first.crash();
    let data = format!("--data-dir={}", state.display());
    let third = Program::start_with(&directory.0, anywhere(), &[&data]);
    for lock in ["lock", "templates.lock"] {
        let holder = std::fs::read_to_string(state.join(lock)).unwrap();
        assert_eq!(holder.trim(), third.child.id().to_string());
    }
}

#[test]
fn a_template_that_nothing_follows_is_written_too() {
    let directory = Directory::new("silence");
    let exporter = UdpSocket::bind(anywhere()).unwrap();
    let program = Program::start(&directory.0, anywhere());
    for domain in 1..=2 {
        let message = Ipfix::new(0, 0, domain)
            .template(256, &[Field::iana(7, 2)])
            .encode();
        exporter.send_to(&message, program.udp).unwrap();
        let written = u64::from(domain);
        program.until("the template to be written", |m| m["templates_saved"] == written);
    }
}

#[test]
fn what_was_learned_last_is_written_at_the_end() {
    let directory = Directory::new("end");
    let exporter = UdpSocket::bind(anywhere()).unwrap();
    let first = Program::start(&directory.0, anywhere());
    for id in 300..400 {
        let message = Ipfix::new(0, 0, 1).template(id, &[Field::iana(7, 2)]).encode();
        exporter.send_to(&message, first.udp).unwrap();
    }
    let second = Program::start(&directory.0, first.terminate());
    second.until("the templates", |m| m["templates_saved"] == 100);
}

#[test]
fn a_broken_file_is_moved_aside_and_the_collector_works() {
    let directory = Directory::new("broken");
    let state = directory.0.join("state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("templates"), "an empty page").unwrap();
    let program = Program::start(&directory.0, anywhere());
    let aside = std::fs::read(state.join("templates.broken")).unwrap();
    assert_eq!(aside, b"an empty page");
    let exporter = UdpSocket::bind(anywhere()).unwrap();
    exporter.send_to(&template(), program.udp).unwrap();
    exporter.send_to(&data(), program.udp).unwrap();
    program.until("the record", |m| m["records_stored_total"] == 1);
    program.until("the template to be written", |m| m["templates_saved"] == 1);
    let second = Program::start(&directory.0, program.crash());
    second.until("the template", |m| m["templates_saved"] == 1);
}

/// Kills the collector while exporters send, which tell their templates once, at the
/// very beginning, or not at all. All that the second collector receives must decode.
fn crash_under_load(name: &str, traffic: Traffic, templates_are_sent: bool) {
    let directory = Directory::new(name);
    let first = Program::start(&directory.0, anywhere());
    let (to, exporters) = (first.udp, 20);
    let mut generator = Generator::new(Plan {
        traffic,
        exporters,
        flows: 1_000,
        seed: 7,
        start_secs: 1_795_196_542,
    });
    let mut sender = Sender::open(to, exporters).unwrap();
    let pace = |records| Pace {
        rate: 20_000,
        duration: Duration::from_secs(60),
        records,
    };
    if templates_are_sent {
        sender.send(&mut generator, &pace(5_000)).unwrap();
        let known = u64::from(exporters);
        first.until("the templates to be written", |m| m["templates_saved"] >= known);
    }

    let before = metrics(first.http)["datagrams_received_total"];
    let crash = std::thread::spawn(move || {
        first.until("the load", |m| m["datagrams_received_total"] > before + 100);
        let second = Program::start(&directory.0, first.crash());
        second.until("the load to go on", |m| m["datagrams_received_total"] > 1_000);
        (second, directory)
    });
    while !crash.is_finished() {
        sender.send_records(&mut generator, &pace(1_000)).unwrap();
    }
    let (second, _directory) = crash.join().unwrap();

    let m = second.until("the queue to run empty", |m| m["records_queued"] == 0);
    assert_sums(&m);
    assert_nothing_waits(&m);
    assert_eq!(m["datagrams_rejected_total"], 0, "{m:?}");
    let records = u64::from(traffic.records_per_datagram());
    assert_eq!(
        m["records_decoded_total"],
        records * m["datagrams_decoded_total"],
        "{m:?}"
    );
}

#[test]
fn ipfix_of_ovs_decodes_after_a_crash_under_load() {
    crash_under_load("ovs", Traffic::OvsIpfix, false);
}

#[test]
fn ipfix_of_others_decodes_after_a_crash_under_load() {
    crash_under_load("ipfix", Traffic::Ipfix, true);
}

#[test]
fn netflow_9_decodes_after_a_crash_under_load() {
    crash_under_load("netflow9", Traffic::NetFlow9, true);
}
