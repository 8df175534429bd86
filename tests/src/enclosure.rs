//! The enclosure: private PID, mount and network namespaces around a program.
//!
//! The program runs three times over. The *outer* process unshares the PID
//! namespace and starts the second, PID 1 of it, the *init*: it asks the kernel
//! to be killed with the outer one, makes the private mounts and the network
//! namespace, starts the third and reaps whatever is orphaned. The third runs
//! the program proper. When the outer process dies, even by SIGKILL, the kernel
//! kills PID 1, with it every process of its namespace, and with the last of
//! them the mounts and networks vanish: no clean-up of ours has to run.
//!
//! A private tmpfs on `/run` holds the named network namespaces and the state
//! of the lab, so nothing is left on the host, two labs cannot meet, and the
//! host's own Open vSwitch (`/run/openvswitch`) is out of reach.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
        signalfd::SignalFd,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, Uid, getpid, getppid},
};

use crate::publish::{PUBLISHED, Published};
use crate::{Options, kubernetes, program};

/// Says to a process of the program which of the three it is.
const STAGE: &str = "WEIR_LAB_STAGE";
const INSIDE: &str = "inside";
/// Set by the kernel on signals that a terminal sends (`SI_KERNEL` in
/// `asm-generic/siginfo.h`): the whole process group has those already.
const FROM_TERMINAL: i32 = 0x80;

/// The lab's state directory; only inside an enclosure.
pub(crate) const STATE: &str = "/run/weir-lab";

/// Runs `body` inside an enclosure of its own. Call it first thing in `main`,
/// before any thread is started: the program is executed again inside, with
/// the same arguments, and only there `body` runs. What is missing on the
/// machine (programs, the API server's binaries) is found or built before.
pub fn isolated(options: Options, body: impl FnOnce(Options) -> Result<ExitCode>) -> ExitCode {
    match run_stage(options, body) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_stage(options: Options, body: impl FnOnce(Options) -> Result<ExitCode>) -> Result<ExitCode> {
    let stage = std::env::var(STAGE).unwrap_or_default();
    // The ids tell our own re-execution from a lab program started in a lab.
    if stage == INSIDE && getppid().as_raw() == 1 {
        SigSet::all().thread_unblock()?;
        return body(options);
    }
    match stage.strip_prefix("init:").filter(|_| getpid().as_raw() == 1) {
        Some(outer) => run_init(&options, outer),
        None => run_outer(&options),
    }
}

fn run_outer(options: &Options) -> Result<ExitCode> {
    ensure!(
        Uid::effective().is_root(),
        "the lab makes namespaces and network devices: run it as root"
    );
    program::require(&[
        "ip",
        "ovs-vswitchd",
        "ovsdb-server",
        "ovsdb-tool",
        "ovs-vsctl",
        "ovs-ofctl",
    ])?;
    if options.ovn {
        program::require(&["ovn-controller", "ovn-nbctl", "ovn-northd"])?;
    }
    if options.kubernetes {
        program::require(&["etcd", "openssl"])?;
        kubernetes::binaries::ensure()?;
    }
    let signals = block_signals()?;
    unshare(CloneFlags::CLONE_NEWPID).context("make a PID namespace")?;
    let init = again()
        .env(STAGE, format!("init:{}", getpid()))
        .spawn()
        .context("start the lab's init")?;
    supervise(Pid::from_raw(init.id().cast_signed()), &signals)
}

fn run_init(options: &Options, outer: &str) -> Result<ExitCode> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The outer process may have died before the line above took effect.
    // `/proc` is still the outer one, so it shows the ids of that side.
    let status = fs::read_to_string("/proc/self/status")?;
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .map(str::trim);
    ensure!(parent == Some(outer), "the program that raised the lab is gone");
    let signals = block_signals()?;
    // This network is still the host's.
    let published = options.publish.map(Published::listen).transpose()?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
    mount_private()?;
    program::read(program::command("ip")?.args(["link", "set", "lo", "up"]))?;
    let mut command = again();
    command.env(STAGE, INSIDE);
    if let Some(published) = published {
        command.env(PUBLISHED, published.address()?.to_string());
        published.serve();
    }
    let main = command.spawn().context("start the program inside the lab")?;
    supervise(Pid::from_raw(main.id().cast_signed()), &signals)
}

fn mount_private() -> Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).context("mount /proc")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).context("mount /sys")?;
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .context("mount /run")?;
    for directory in ["/run/netns", "/run/lock", STATE] {
        fs::create_dir(directory).with_context(|| format!("create {directory}"))?;
    }
    Ok(())
}

/// This program once more, with the same arguments and the same name.
fn again() -> Command {
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    command
}

fn block_signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::new(&set)?)
}

/// Waits for `child`, forwards signals to it and reaps every other child.
fn supervise(child: Pid, signals: &SignalFd) -> Result<ExitCode> {
    loop {
        let Some(info) = signals.read_signal()? else {
            continue;
        };
        let signal = Signal::try_from(info.ssi_signo.cast_signed())?;
        if signal != Signal::SIGCHLD {
            if info.ssi_code != FROM_TERMINAL {
                // It can only fail when the child is gone, and SIGCHLD follows.
                let _ = kill(child, signal);
            }
        } else if let Some(code) = reap(child)? {
            return Ok(code);
        }
    }
}

/// Reaps all that have ended; the exit code of `child` when it is among them.
fn reap(child: Pid) -> Result<Option<ExitCode>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                // As a shell reports it.
                return Ok(Some(ExitCode::from(
                    128 + u8::try_from(signal as i32).unwrap_or(0),
                )));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for the lab's processes"),
        }
    }
}

/// The state directory, when this process is inside an enclosure.
pub(crate) fn state() -> Result<&'static Path> {
    let state = Path::new(STATE);
    if !state.is_dir() {
        bail!("not inside a lab: call weir_lab::isolated first thing in main");
    }
    Ok(state)
}
