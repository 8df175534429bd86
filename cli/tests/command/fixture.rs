//! A store with flows of the last seconds, and the program in a terminal and without.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_collector::normalise::{Context, normalise};
use weir_flow::{FlowRecord, Identity, Kind};
use weir_store::Settings;

/// An hour ahead of UTC all year.
pub const ZONE: &str = "CET-1";

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the program with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s {name} {}", self.0.id())])
            .status();
        assert!(sent.unwrap().success());
    }

    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::yield_now();
        }
    }
}

/// Nanoseconds since the epoch, some seconds ago.
pub fn seconds_ago(seconds: u64) -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    since.as_nanos() as u64 - seconds * 1_000_000_000
}

/// A flow from a pod to another, both with names as long as pods have them.
pub fn flow(from: &str, received_ns: u64) -> FlowRecord {
    let context = Context {
        received_ns,
        source: [192, 0, 2, 1].into(),
        exporter: None,
    };
    let mut record = normalise(wire::Record::default(), context);
    record.primary = true;
    record.bytes = Some(123_456_789);
    record.packets = Some(1_234);
    let identity = |name: &str| {
        Arc::new(Identity {
            ns: "shop".into(),
            name: name.into(),
            kind: Kind::Pod,
            workload_name: name.into(),
            workload_kind: "Deployment".into(),
            ..Identity::default()
        })
    };
    record.src.identity = identity(from).into();
    record.dst.identity = identity("checkout-service-6d4b75cb6d-hx2zv").into();
    record
}

/// Three records: the newest one is of `third-…`.
pub fn store(directory: &Path) {
    let (mut writer, _, _) = weir_store::open(Settings::new(directory)).unwrap();
    let pods = ["first", "second", "third"];
    let records: Vec<FlowRecord> = pods
        .iter()
        .zip([30, 20, 10])
        .map(|(pod, ago)| flow(&format!("{pod}-7f8d5c9b4-qwert"), seconds_ago(ago)))
        .collect();
    writer.append(&records).unwrap();
    writer.close();
}

/// The program without anything of this host's surroundings.
pub fn weir(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(words)
        .env_clear()
        .env("TZ", ZONE)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// What it writes, and how it ends.
pub fn run(words: &[&str]) -> (i32, String, String) {
    told(&weir(words).output().unwrap())
}

pub fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// What a terminal of so many columns shows, without its colours. The shell that runs in it
/// splits the words as it does for everybody.
pub fn on_terminal(columns: usize, words: &str) -> Vec<String> {
    let command = format!(
        "stty cols {columns} rows 40; exec {} {words}",
        env!("CARGO_BIN_EXE_weir")
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env_clear()
        .envs([
            ("PATH", std::env::var("PATH").unwrap().as_str()),
            ("TERM", "xterm"),
        ])
        .envs([("TZ", ZONE), ("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect()
}
