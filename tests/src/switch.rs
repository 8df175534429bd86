//! One Open vSwitch: an ovsdb-server and an ovs-vswitchd of their own in a
//! node's namespace, with run, database and log directory in the lab's state.
//! What is configured in it is `node`'s.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{Netns, Process, program};

/// Where Debian and the upstream install the database schema.
const SCHEMAS: &[&str] = &[
    "/usr/share/openvswitch/vswitch.ovsschema",
    "/usr/local/share/openvswitch/vswitch.ovsschema",
];
const START_DEADLINE: Duration = Duration::from_secs(20);

/// An Open vSwitch with its processes.
#[derive(Debug)]
pub struct Switch {
    netns: Netns,
    directory: PathBuf,
    ovsdb: Mutex<Option<Process>>,
    vswitchd: Mutex<Option<Process>>,
}

impl Switch {
    /// An Open vSwitch that keeps its files in `directory`; nothing runs yet.
    pub fn new(netns: &Netns, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        Ok(Self {
            netns: netns.clone(),
            directory: directory.to_owned(),
            ovsdb: Mutex::default(),
            vswitchd: Mutex::default(),
        })
    }

    /// The database's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("db.sock")
    }

    /// The directory of sockets, database and logs (`OVS_RUNDIR`).
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command in the switch's namespace, with `OVS_RUNDIR` and its like set
    /// so that Open vSwitch's own tools find this switch.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.netns.command(name)?;
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"] {
            command.env(variable, &self.directory);
        }
        Ok(command)
    }

    /// Runs `ovs-vsctl` and returns what it prints. It waits until
    /// ovs-vswitchd has taken the change, ten seconds at most; pass
    /// `--no-wait` while ovs-vswitchd is down.
    pub fn vsctl(&self, arguments: &[&str]) -> Result<String> {
        self.tool("ovs-vsctl", &["--timeout=10"], arguments)
    }

    /// Runs `ovs-ofctl`.
    pub fn ofctl(&self, arguments: &[&str]) -> Result<String> {
        self.tool("ovs-ofctl", &["--timeout=10"], arguments)
    }

    /// Runs `ovs-appctl` against ovs-vswitchd.
    pub fn appctl(&self, arguments: &[&str]) -> Result<String> {
        self.tool("ovs-appctl", &["--timeout=10"], arguments)
    }

    /// Replaces all OpenFlow rules of a bridge; those that stay keep counting.
    pub fn replace_flows(&self, bridge: &str, flows: &[String]) -> Result<()> {
        let mut command = self.tool_command("ovs-ofctl")?;
        let text = flows.join("\n") + "\n";
        program::read_with_input(command.args(["--bundle", "replace-flows", bridge, "-"]), &text)?;
        Ok(())
    }

    /// Deletes the database and creates it anew from the schema.
    pub fn create_database(&self) -> Result<()> {
        ensure!(self.ovsdb().is_none(), "ovsdb-server is running on the database");
        let database = self.database();
        if database.exists() {
            fs::remove_file(&database)?;
        }
        let schema = SCHEMAS
            .iter()
            .find(|path| Path::new(path).exists())
            .context("no vswitch.ovsschema; the Debian package openvswitch-switch has it")?;
        let mut command = program::command("ovsdb-tool")?;
        program::read(command.arg("create").arg(&database).arg(schema))?;
        Ok(())
    }

    /// Starts ovsdb-server and waits until it answers. Sets the columns of
    /// Open_vSwitch that the `ovs-ctl` script sets at start.
    pub fn start_ovsdb(&self, hostname: &str) -> Result<()> {
        let mut command = self.command("ovsdb-server")?;
        command
            .arg(self.database())
            .arg(format!("--remote=punix:{}", self.socket().display()))
            .arg("--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
            .args(["--pidfile", "--no-chdir", "-vconsole:info", "-vsyslog:off"]);
        let mut ovsdb = Process::spawn("ovsdb-server", &self.directory, &mut command)?;
        ovsdb.wait_until("answer", START_DEADLINE, |_| {
            self.vsctl(&["--no-wait", "init"]).map(|_| true)
        })?;
        *self.ovsdb() = Some(ovsdb);
        self.identify(hostname)
    }

    /// Kills ovsdb-server with SIGKILL; does nothing when it is not running.
    pub fn kill_ovsdb(&self) -> Result<()> {
        self.ovsdb().take().map_or(Ok(()), Process::kill)
    }

    /// Starts ovs-vswitchd and waits until it answers.
    pub fn start_vswitchd(&self) -> Result<()> {
        let mut command = self.command("ovs-vswitchd")?;
        command.arg(format!("unix:{}", self.socket().display())).args([
            "--pidfile",
            "--no-chdir",
            "--disable-system",
            "-vconsole:info",
            "-vsyslog:off",
        ]);
        let mut vswitchd = Process::spawn("ovs-vswitchd", &self.directory, &mut command)?;
        vswitchd.wait_until("answer", START_DEADLINE, |_| {
            self.appctl(&["version"]).map(|_| true)
        })?;
        *self.vswitchd() = Some(vswitchd);
        Ok(())
    }

    /// Kills ovs-vswitchd with SIGKILL; does nothing when it is not running.
    /// Its userspace datapath, flows and internal devices die with it.
    pub fn kill_vswitchd(&self) -> Result<()> {
        self.vswitchd().take().map_or(Ok(()), Process::kill)
    }

    /// The process id of ovs-vswitchd while it was started and not killed.
    pub fn vswitchd_id(&self) -> Option<u32> {
        self.vswitchd().as_ref().map(Process::id)
    }

    /// The process id of ovsdb-server while it was started and not killed.
    pub fn ovsdb_id(&self) -> Option<u32> {
        self.ovsdb().as_ref().map(Process::id)
    }

    fn identify(&self, hostname: &str) -> Result<()> {
        let version = program::read(program::command("ovs-vswitchd")?.arg("--version"))?;
        let version = version
            .lines()
            .next()
            .and_then(|line| line.split(' ').next_back())
            .unwrap_or_default();
        self.vsctl(&[
            "--no-wait",
            "set",
            "Open_vSwitch",
            ".",
            &format!("ovs_version=\"{version}\""),
            &format!("external_ids:hostname={hostname}"),
            &format!("external_ids:system-id={hostname}"),
            "external_ids:rundir=/var/run/openvswitch",
            "system_type=weir-lab",
        ])?;
        Ok(())
    }

    fn tool(&self, name: &str, options: &[&str], arguments: &[&str]) -> Result<String> {
        program::read(self.tool_command(name)?.args(options).args(arguments))
    }

    fn tool_command(&self, name: &str) -> Result<Command> {
        let mut command = program::command(name)?;
        Ok({
            command.env("OVS_RUNDIR", &self.directory);
            command
        })
    }

    fn database(&self) -> PathBuf {
        self.directory.join("conf.db")
    }

    fn ovsdb(&self) -> MutexGuard<'_, Option<Process>> {
        unpoisoned(&self.ovsdb)
    }

    fn vswitchd(&self) -> MutexGuard<'_, Option<Process>> {
        unpoisoned(&self.vswitchd)
    }
}

/// A case that panicked while it held the lock left a whole value behind: each
/// is replaced in one step.
pub(crate) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
