//! A real OVN for the lab: the northbound and southbound databases, ovn-northd and,
//! on each node, an ovn-controller ([`chassis`]). What is laid in it is laid as
//! OVN-Kubernetes lays it ([`topology`], [`gateway`], [`service`]), whose part the lab
//! plays: there is no OVN-Kubernetes.

pub(crate) mod chassis;
pub(crate) mod commands;
pub(crate) mod egress;
pub(crate) mod gateway;
pub mod service;
mod topology;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{Pod, Process, address::NodeAddresses, localnet::SecondInterface, program};
pub use chassis::MANAGEMENT_DEVICE;
use commands::Commands;
use service::ServiceSpec;

/// Where Debian and the upstream install the schemas of the databases.
const SCHEMAS: [&str; 2] = ["/usr/share/ovn", "/usr/local/share/ovn"];
const START_DEADLINE: Duration = Duration::from_secs(20);

/// Both databases and ovn-northd.
#[derive(Debug)]
pub struct Ovn {
    directory: PathBuf,
    // Dropped in this order: northd goes before its databases.
    _northd: Process,
    _southbound: Process,
    _northbound: Process,
}

impl Ovn {
    /// Starts the databases and ovn-northd with their files in `directory`, and lays
    /// what nodes have in common.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let northbound = start_database(directory, "nb")?;
        let southbound = start_database(directory, "sb")?;
        let northd = start_northd(directory)?;
        let ovn = Self {
            directory: directory.to_owned(),
            _northd: northd,
            _southbound: southbound,
            _northbound: northbound,
        };
        ovn.run(&topology::cluster())?;
        Ok(ovn)
    }

    /// The northbound database as OVSDB names a remote: `unix:PATH`.
    pub fn northbound_remote(&self) -> String {
        remote(&self.directory, "nb")
    }

    /// The southbound database.
    pub fn southbound_remote(&self) -> String {
        remote(&self.directory, "sb")
    }

    /// Runs `ovn-nbctl`.
    pub fn nbctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = program::command("ovn-nbctl")?;
        command.env("OVN_RUNDIR", &self.directory);
        command.args(["--no-leader-only", "--timeout=20"]);
        command.arg(format!("--db={}", self.northbound_remote()));
        program::read(command.args(arguments))
    }

    /// Waits until all ovn-controllers have taken over what the northbound database says.
    pub fn sync(&self) -> Result<()> {
        self.nbctl(&["--wait=hv", "sync"]).map(drop)
    }

    /// Drops what goes to a port of a pod, in TCP and UDP.
    pub fn deny(&self, pod: &Pod, port: u16) -> Result<()> {
        self.run(&topology::denial(pod, port))?;
        self.sync()
    }

    pub(crate) fn add_node(&self, name: &str, addresses: NodeAddresses) -> Result<()> {
        self.run(&topology::node(name, addresses))
    }

    pub(crate) fn add_pods(&self, pods: &[Pod]) -> Result<()> {
        self.run(&topology::pods(pods))?;
        self.sync()
    }

    pub(crate) fn remove_pod(&self, pod: &Pod) -> Result<()> {
        self.nbctl(&["--if-exists", "lsp-del", &pod.iface_id()]).map(drop)
    }

    pub(crate) fn set_egress(&self, pod: &Pod, through: NodeAddresses, address: Ipv4Addr) -> Result<()> {
        self.run(&egress::commands(pod, through, address))?;
        self.sync()
    }

    pub(crate) fn add_localnet_port(&self, interface: &SecondInterface) -> Result<()> {
        self.run(&topology::localnet_port(interface))?;
        self.sync()
    }

    pub(crate) fn add_services(
        &self,
        services: &[ServiceSpec],
        nodes: &[(String, NodeAddresses)],
    ) -> Result<()> {
        self.run(&service::load_balancers(services, nodes))?;
        self.sync()
    }

    fn run(&self, commands: &Commands) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        self.nbctl(&commands.words()).map(drop)
    }
}

fn remote(directory: &Path, database: &str) -> String {
    format!("unix:{}", directory.join(format!("{database}.sock")).display())
}

fn start_database(directory: &Path, name: &str) -> Result<Process> {
    let database = directory.join(format!("{name}.db"));
    let file = format!("ovn-{name}.ovsschema");
    let schema = SCHEMAS
        .iter()
        .map(|folder| Path::new(folder).join(&file))
        .find(|path| path.exists())
        .with_context(|| format!("no {file}; the Debian package ovn-common has it"))?;
    program::read(
        program::command("ovsdb-tool")?
            .arg("create")
            .arg(&database)
            .arg(schema),
    )?;
    let socket = directory.join(format!("{name}.sock"));
    let mut command = daemon("ovsdb-server", directory, name)?;
    command
        .arg(&database)
        .arg(format!("--remote=punix:{}", socket.display()));
    let mut process = Process::spawn(&format!("ovn-{name}"), directory, &mut command)?;
    process.wait_until("listen", START_DEADLINE, |_| Ok(socket.exists()))?;
    Ok(process)
}

fn start_northd(directory: &Path) -> Result<Process> {
    let mut command = daemon("ovn-northd", directory, "northd")?;
    command.arg(format!("--ovnnb-db={}", remote(directory, "nb")));
    command.arg(format!("--ovnsb-db={}", remote(directory, "sb")));
    Process::spawn("ovn-northd", directory, &mut command)
}

/// A daemon that keeps its pid file and control socket in `directory`.
fn daemon(program: &str, directory: &Path, name: &str) -> Result<std::process::Command> {
    let mut command = program::command(program)?;
    let file = |option: &str, end: &str| format!("--{option}={}", directory.join(name).display()) + end;
    command
        .env("OVN_RUNDIR", directory)
        .env("OVS_RUNDIR", directory)
        .args([file("pidfile", ".pid"), file("unixctl", ".ctl")])
        .args(["--no-chdir", "-vconsole:info", "-vsyslog:off"]);
    Ok(command)
}
