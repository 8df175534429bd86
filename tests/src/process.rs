//! A supervised child process: its logs in files, killed by its own id when
//! dropped. What it runs and in which namespace is the caller's.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{files, program, wait_for};

/// A running child process. Dropping it kills it with SIGKILL and reaps it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with stdout in `DIRECTORY/NAME.out` and stderr in
    /// `DIRECTORY/NAME.log`; both are appended to when they exist.
    pub fn spawn(name: &str, directory: &Path, command: &mut Command) -> Result<Self> {
        let stdout = directory.join(format!("{name}.out"));
        let stderr = directory.join(format!("{name}.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(append(&stdout)?)
            .stderr(append(&stderr)?)
            .spawn()
            .with_context(|| format!("start {}", program::line(command)))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        })
    }

    /// The process's id inside the lab.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its exit status, once it has ended.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails, with the end of its log, when the process has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, files::tail(&self.stderr, 15)),
        }
    }

    /// Polls `condition` until it holds, as [`crate::wait_until`] does, but
    /// gives up at once when the process ends. `what` goes on from "NAME to".
    pub fn wait_until(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        wait_for(&format!("{} to {what}", self.name), deadline, || {
            match self.check_running() {
                Err(ended) => Ok(Some(Err(ended))),
                Ok(()) => Ok(condition(self)?.then_some(Ok(()))),
            }
        })?
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When the process is still there at the deadline; it is killed then.
    pub fn terminate(mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("{} to end after SIGTERM", self.name);
        wait_for(&what, deadline, || self.exit_status())
    }

    /// Kills with SIGKILL and reaps.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Everything it wrote to stdout until now.
    pub fn stdout(&self) -> Result<String> {
        read(&self.stdout)
    }

    /// Everything it wrote to stderr until now.
    pub fn stderr(&self) -> Result<String> {
        read(&self.stderr)
    }

    /// The file that holds its stdout.
    pub fn stdout_path(&self) -> &Path {
        &self.stdout
    }

    /// The file that holds its stderr.
    pub fn stderr_path(&self) -> &Path {
        &self.stderr
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the child is already reaped: nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open the log file {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
