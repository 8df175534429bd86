//! Load and throughput with iperf3.

use std::{
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Netns, Process, program};

const LISTEN_DEADLINE: Duration = Duration::from_secs(10);
static RUNS: AtomicU32 = AtomicU32::new(1);

/// The result of an iperf3 run.
#[derive(Clone, Debug, PartialEq)]
pub struct Iperf {
    /// Bits per second that arrived at the server, payload only.
    pub bits_per_second: f64,
    /// Bytes that the client sent.
    pub sent_bytes: u64,
    /// All of iperf3's report.
    pub report: Value,
}

/// Runs an iperf3 server in one namespace and a client in another for
/// `seconds` seconds of TCP; the server's log goes to `logs`.
pub fn iperf3(from: &Netns, to: &Netns, address: IpAddr, seconds: u32, logs: &Path) -> Result<Iperf> {
    program::require(&["iperf3"])?;
    let address = address.to_string();
    let mut server = to.command("iperf3")?;
    server.args(["--server", "--one-off", "--forceflush", "--bind", &address]);
    // Logs are appended to, so each run needs one of its own to wait on.
    let name = format!("iperf3-server-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let mut server = Process::spawn(&name, logs, &mut server)?;
    server.wait_until("listen", LISTEN_DEADLINE, |server| {
        Ok(server.stdout()?.contains("Server listening"))
    })?;
    let seconds = seconds.to_string();
    let text = from.exec(&["iperf3", "--client", &address, "--time", &seconds, "--json"])?;
    let report = serde_json::from_str(&text).context("`iperf3 --json` prints JSON")?;
    parse(report).context("iperf3's report has no sums")
}

fn parse(report: Value) -> Option<Iperf> {
    Some(Iperf {
        bits_per_second: report.pointer("/end/sum_received/bits_per_second")?.as_f64()?,
        sent_bytes: report.pointer("/end/sum_sent/bytes")?.as_u64()?,
        report,
    })
}
