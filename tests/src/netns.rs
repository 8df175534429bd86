//! A network namespace: programs, sockets and devices in it. Which namespaces
//! there are and how they are wired is `lab`'s.

use std::{fs::File, path::PathBuf, process::Command, thread};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::{offload, program};

/// A network namespace of the lab, or the lab's own (the underlay).
///
/// The handle owns nothing: the lab deletes the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    name: Option<String>,
}

impl Netns {
    /// The lab's own namespace, where the API server and collectors run.
    pub fn underlay() -> Self {
        Self { name: None }
    }

    /// Makes a namespace, with its loopback up.
    pub fn create(name: &str) -> Result<Self> {
        program::read(program::command("ip")?.args(["netns", "add", name]))?;
        let netns = Self {
            name: Some(name.to_owned()),
        };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// Deletes the namespace and every device in it; the processes in it keep
    /// it alive until they end.
    pub fn delete(&self) -> Result<()> {
        if let Some(name) = &self.name {
            program::read(program::command("ip")?.args(["netns", "delete", name]))?;
        }
        Ok(())
    }

    /// Its name under `/run/netns`; nothing for the underlay.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A command that runs `program` in the namespace. The process that starts
    /// is the program itself, no wrapper stays.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command;
        match &self.name {
            None => command = Command::new(program),
            Some(name) => {
                command = program::command("ip")?;
                command.args(["netns", "exec", name, program]);
            }
        }
        Ok(command)
    }

    /// Runs a program to its end and returns its stdout.
    pub fn exec(&self, line: &[&str]) -> Result<String> {
        let (program, arguments) = line.split_first().context("an empty command line")?;
        program::read(self.command(program)?.args(arguments))
    }

    /// Runs `ip` with the words of `line`.
    pub fn ip(&self, line: &str) -> Result<String> {
        let mut command = program::command("ip")?;
        if let Some(name) = &self.name {
            command.args(["-netns", name]);
        }
        program::read(command.args(line.split_whitespace()))
    }

    /// Runs `body` on a thread inside the namespace. A socket opened there
    /// stays in the namespace wherever it is used later; so does a thread or
    /// process started there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what `body` returns.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    if let Some(path) = path {
                        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
                        setns(file, CloneFlags::CLONE_NEWNET)
                            .with_context(|| format!("enter {}", path.display()))?;
                    }
                    body()
                })
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a thread in the namespace panicked")))
        })
    }

    /// Writes a setting under `/proc/sys/net` of the namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = PathBuf::from("/proc/sys/net").join(key);
        self.within(|| std::fs::write(&path, value).with_context(|| format!("write {}", path.display())))
    }

    /// Makes the kernel compute checksums and cut segments itself on a device
    /// of the namespace: a veth's peer in a userspace datapath sees packets as
    /// they are in memory, and would pass on unfinished ones.
    pub fn disable_offload(&self, device: &str) -> Result<()> {
        self.within(|| {
            offload::disable(device).with_context(|| format!("switch off checksum offload on {device}"))
        })
    }

    fn path(&self) -> Option<PathBuf> {
        self.name
            .as_ref()
            .map(|name| PathBuf::from("/run/netns").join(name))
    }
}
