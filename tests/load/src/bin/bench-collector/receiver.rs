//! The programs under measurement: how each is started, and how it says what it
//! received. What they cost is read from /proc, for both in the same way.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, SysconfVar, sysconf};
use tempfile::TempDir;

/// Where every receiver listens: nothing else does in a network namespace of its own.
const PORT: u16 = 4739;
const HTTP: &str = "127.0.0.1:8080";

/// Socket buffer that both ask for; the kernel caps it at net.core.rmem_max, for
/// weir-collector too, which is started without the right to ask for more.
const BUFFER: &str = "33554432";

/// A program that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Weir,
    Nfcapd,
    Sfcapd,
}

impl Kind {
    /// Whether the program is installed.
    pub fn is_there(self) -> bool {
        let program = match self {
            Self::Weir => return true,
            Self::Nfcapd => "nfcapd",
            Self::Sfcapd => "sfcapd",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    }

    fn command(self, setting: &Setting, folder: &Path) -> Command {
        let mut command = Command::new("taskset");
        let cores: Vec<_> = setting.cores.iter().map(usize::to_string).collect();
        command.arg("-c").arg(cores.join(","));
        let capd = |command: &mut Command, program: &str| {
            command.args([program, "-t", "3600", "-b", "127.0.0.1", "-p"]);
            command
                .arg(PORT.to_string())
                .args(["-B", BUFFER, "-w"])
                .arg(folder);
        };
        match self {
            Self::Weir => {
                command.args([
                    "setpriv",
                    "--bounding-set",
                    "-net_admin",
                    "--inh-caps",
                    "-net_admin",
                ]);
                command
                    .arg(&setting.collector)
                    .args(["--print", "none", "--http", HTTP]);
                command.args(["--listen", &format!("127.0.0.1:{PORT}"), "--port-file"]);
                command.arg(folder.join("ports"));
                if let Some(names) = &setting.names {
                    command.arg("--kubeconfig").arg(&names.kubeconfig);
                    command.arg("--subnet-labels").arg(&names.labels);
                }
                if setting.store {
                    command.arg("--data-dir").arg(folder.join("data"));
                }
            }
            Self::Nfcapd => capd(&mut command, "nfcapd"),
            Self::Sfcapd => capd(&mut command, "sfcapd"),
        }
        command
    }
}

/// How the receivers are run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// weir-collector's program.
    pub collector: PathBuf,
    /// The cores that receive.
    pub cores: Vec<usize>,
    /// What weir-collector takes names from.
    pub names: Option<Names>,
    /// weir-collector stores what it receives, as nfcapd does.
    pub store: bool,
}

/// Files that lead to names.
#[derive(Debug, Clone)]
pub struct Names {
    pub kubeconfig: PathBuf,
    pub labels: PathBuf,
}

/// A running one.
#[derive(Debug)]
pub struct Receiver {
    kind: Kind,
    child: Child,
    folder: TempDir,
}

impl Receiver {
    /// Starts it and waits until its socket is bound.
    pub fn start(kind: Kind, setting: &Setting) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bench-collector-")?;
        let log = File::create(folder.path().join("log"))?;
        let child = kind
            .command(setting, folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {kind:?}"))?;
        let receiver = Self { kind, child, folder };
        let give_up = Instant::now() + Duration::from_secs(60);
        while sockets()?.is_empty() || (kind == Kind::Weir && !is_ready()) {
            ensure!(
                Instant::now() < give_up,
                "{kind:?} does not listen: {}",
                receiver.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(receiver)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], PORT))
    }

    /// utime and stime of all its threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The program's name, in parentheses, may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
        Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
    }

    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse::<u64>()? << 10)
    }

    pub fn kernel_drops(&self) -> anyhow::Result<u64> {
        Ok(sockets()?.iter().map(|socket| socket.drops).sum())
    }

    pub fn queued_bytes(&self) -> anyhow::Result<u64> {
        Ok(sockets()?.iter().map(|socket| socket.queued).sum())
    }

    /// Ends it.
    pub fn finish(mut self) -> anyhow::Result<End> {
        let counted = (self.kind == Kind::Weir).then(metrics).transpose()?;
        let before = cpu_of_ended()?;
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let give_up = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < give_up, "{:?} does not end", self.kind);
            std::thread::sleep(Duration::from_millis(10));
        }
        let cpu = cpu_of_ended()?.saturating_sub(before);
        let records = match counted {
            Some(text) => metric(&text, "weir_collector_records_stored_total")?,
            None => flows(&self.log())
                .with_context(|| format!("{:?} counts no flows: {}", self.kind, self.log()))?,
        };
        let written_bytes = octets_below(&self.folder.path().join("data"))?;
        Ok(End {
            records,
            cpu,
            written_bytes,
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// What is left of a receiver.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Records that it stored.
    pub records: u64,
    /// CPU time of its whole life.
    pub cpu: Duration,
    /// Octets of its files, of weir-collector's store.
    pub written_bytes: u64,
}

/// CPU time of all children that have ended and were waited for.
fn cpu_of_ended() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.cast_unsigned()))
}

fn octets_below(folder: &Path) -> anyhow::Result<u64> {
    let mut octets = 0;
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        octets += if entry.file_type()?.is_dir() {
            octets_below(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(octets)
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What nfcapd says when it ends: `Flows: 123, Packets: …`, for each source and
/// each file.
fn flows(log: &str) -> Option<u64> {
    let counts = log.match_indices("Flows: ").filter_map(|(at, found)| {
        let rest = &log[at + found.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<u64>().ok()
    });
    let counts: Vec<_> = counts.collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// Whether the collector is bound and knows the names.
fn is_ready() -> bool {
    page("/readyz").is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
}

/// The collector's own counters.
fn metrics() -> anyhow::Result<String> {
    page("/metrics")
}

fn page(path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(HTTP)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn metric(text: &str, name: &str) -> anyhow::Result<u64> {
    let mut values = text
        .lines()
        .filter(|line| line.split([' ', '{']).next() == Some(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .peekable();
    if values.peek().is_none() {
        bail!("no metric {name}");
    }
    Ok(values.sum())
}

/// A UDP socket on our port.
struct Socket {
    queued: u64,
    drops: u64,
}

/// `/proc/net/udp` and `udp6`: local address, remote, state, tx:rx queue, … drops.
fn sockets() -> anyhow::Result<Vec<Socket>> {
    let local = format!(":{PORT:04X}");
    let mut found = Vec::new();
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        let Ok(text) = fs::read_to_string(table) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields.len() < 13 || !fields[1].ends_with(&local) {
                continue;
            }
            let (_, queued) = fields[4].split_once(':').context("no queues")?;
            found.push(Socket {
                queued: u64::from_str_radix(queued, 16)?,
                drops: fields[12].parse()?,
            });
        }
    }
    Ok(found)
}
