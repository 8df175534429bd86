//! A node: its namespace, its Open vSwitch with `br-int` and `br-ex`, and the
//! handles by which a case breaks and mends it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    Netns, Pod, Process, Switch,
    address::NodeAddresses,
    flows::{self, PATCH_PORT, UPLINK_PORT},
    localnet::SecondInterface,
    ovn::{
        chassis::{Chassis, MANAGEMENT_DEVICE},
        gateway::{self, Exposed, Gateway},
    },
    ports::{bridge, pod_port, port, statement, tunnel, tunnel_name, words},
    program,
    switch::unpoisoned,
    wait_until,
};

/// The node's kernel interface on the underlay, which has its InternalIP.
pub const UNDERLAY_DEVICE: &str = "eth0";
/// The node's interface on the fabric, a port of `br-ex`.
pub const UPLINK_DEVICE: &str = "eth1";

const BRIDGE_DEADLINE: Duration = Duration::from_secs(20);

/// What a node knows of the cluster: enough to build its bridges anew.
#[derive(Debug, Default)]
struct Cluster {
    peers: Vec<NodeAddresses>,
    pods: Vec<Pod>,
    localnet: Vec<SecondInterface>,
    exposed: Vec<Exposed>,
}

/// Who programs a node's bridges.
#[derive(Debug)]
pub(crate) enum Rules {
    /// The lab ([`flows`]), with connection tracking or without.
    Lab { conntrack: bool },
    /// OVN, and the lab as OVN-Kubernetes ([`gateway`]).
    Ovn(Chassis),
}

/// A node of the lab. Cases share it as `Arc<Node>`, also between threads.
#[derive(Debug)]
pub struct Node {
    name: String,
    addresses: NodeAddresses,
    netns: Netns,
    switch: Switch,
    rules: Rules,
    cluster: Mutex<Cluster>,
}

impl Node {
    /// Starts the node's Open vSwitch in `netns`, whose devices are wired.
    pub(crate) fn start(
        name: &str,
        addresses: NodeAddresses,
        netns: Netns,
        directory: &Path,
        rules: Rules,
    ) -> Result<Self> {
        let switch = Switch::new(&netns, directory)?;
        let cluster = Mutex::default();
        let node = Self {
            name: name.to_owned(),
            addresses,
            netns,
            switch,
            rules,
            cluster,
        };
        node.switch.create_database()?;
        node.start_ovsdb()?;
        node.switch.start_vswitchd()?;
        node.build_bridges()?;
        if let Rules::Ovn(chassis) = &node.rules {
            chassis.start_controller(&node.switch, name)?;
            node.install_flows()?;
        }
        Ok(node)
    }

    /// The node's name, as in Kubernetes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's addresses.
    pub fn addresses(&self) -> NodeAddresses {
        self.addresses
    }

    /// The node's network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The directory of its sockets, database and logs.
    pub fn directory(&self) -> &Path {
        self.switch.directory()
    }

    /// The path of its database's socket.
    pub fn ovsdb_socket(&self) -> PathBuf {
        self.switch.socket()
    }

    /// Its database as OVSDB names a remote: `unix:PATH`.
    pub fn ovsdb_remote(&self) -> String {
        format!("unix:{}", self.ovsdb_socket().display())
    }

    /// Its Open vSwitch.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Runs `ovs-vsctl` as a user on the node would; see [`Switch::vsctl`].
    pub fn vsctl(&self, arguments: &[&str]) -> Result<String> {
        self.switch.vsctl(arguments)
    }

    /// Runs `ovs-ofctl` on the node.
    pub fn ofctl(&self, arguments: &[&str]) -> Result<String> {
        self.switch.ofctl(arguments)
    }

    /// Runs `ovs-appctl` on the node, against ovs-vswitchd.
    pub fn appctl(&self, arguments: &[&str]) -> Result<String> {
        self.switch.appctl(arguments)
    }

    /// A command on the node, with `OVS_RUNDIR` set.
    pub fn command(&self, program: &str) -> Result<Command> {
        self.switch.command(program)
    }

    /// Runs a program on the node to its end and returns its stdout.
    pub fn exec(&self, line: &[&str]) -> Result<String> {
        let (program, arguments) = line.split_first().context("an empty command line")?;
        program::read(self.command(program)?.args(arguments))
    }

    /// Starts a [`Self::command`] that stays, with its logs in the node's
    /// directory.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Process> {
        Process::spawn(name, self.directory(), command)
    }

    /// Kills ovsdb-server with SIGKILL.
    pub fn kill_ovsdb(&self) -> Result<()> {
        self.switch.kill_ovsdb()
    }

    /// Starts ovsdb-server on the database that is there.
    pub fn start_ovsdb(&self) -> Result<()> {
        self.switch.start_ovsdb(&self.name)
    }

    /// Kills ovsdb-server and starts it on an empty database. ovs-vswitchd
    /// then deletes all bridges; [`Self::build_bridges`] brings them back.
    pub fn restart_ovsdb_empty(&self) -> Result<()> {
        self.switch.kill_ovsdb()?;
        self.switch.create_database()?;
        self.start_ovsdb()
    }

    /// Kills ovs-vswitchd with SIGKILL: the node's pods are cut off.
    pub fn kill_vswitchd(&self) -> Result<()> {
        self.switch.kill_vswitchd()
    }

    /// Starts ovs-vswitchd and gives the bridges that are in the database
    /// their flows and addresses again, as a node's start-up scripts do.
    pub fn start_vswitchd(&self) -> Result<()> {
        self.switch.start_vswitchd()?;
        let bridges = self.vsctl(&["list-br"])?;
        let bridges: Vec<&str> = bridges.lines().collect();
        wait_until("ovs-vswitchd to make the bridges", BRIDGE_DEADLINE, || {
            bridges
                .iter()
                .try_for_each(|bridge| self.ofctl(&["show", bridge]).map(drop))
                .map(|()| true)
        })?;
        if bridges.contains(&"br-ex") {
            self.address_external()?;
        }
        if bridges.contains(&"br-int") && bridges.contains(&"br-ex") {
            self.install_flows()
        } else {
            Ok(())
        }
    }

    /// Deletes a bridge, with all its ports.
    pub fn delete_bridge(&self, bridge: &str) -> Result<()> {
        self.vsctl(&["del-br", bridge]).map(drop)
    }

    /// Makes `br-int` and `br-ex` what they are to be: the patch pair, the
    /// uplink, the tunnels, the pods' ports, flows and addresses. What is there
    /// already stays.
    pub fn build_bridges(&self) -> Result<()> {
        let mut arguments = Vec::new();
        self.bridges()
            .into_iter()
            .for_each(|words| statement(&mut arguments, words));
        self.ports()
            .into_iter()
            .for_each(|words| statement(&mut arguments, words));
        self.vsctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.address_external()?;
        if matches!(self.rules, Rules::Ovn(_)) {
            Chassis::address_management(&self.netns, self.addresses)?;
        }
        self.install_flows()
    }

    pub(crate) fn connect(&self, peer: NodeAddresses) -> Result<()> {
        unpoisoned(&self.cluster).peers.push(peer);
        self.build_bridges()
    }

    pub(crate) fn disconnect(&self, peer: NodeAddresses) -> Result<()> {
        {
            let mut cluster = unpoisoned(&self.cluster);
            cluster.peers.retain(|other| *other != peer);
            cluster.pods.retain(|pod| pod.place.node != peer);
        }
        self.vsctl(&["--if-exists", "del-port", "br-int", &tunnel_name(peer)])?;
        self.install_flows()
    }

    pub(crate) fn learn_pods(&self, pods: &[Pod]) -> Result<()> {
        unpoisoned(&self.cluster).pods.extend_from_slice(pods);
        self.build_bridges()
    }

    pub(crate) fn forget_pod(&self, pod: &Pod) -> Result<()> {
        unpoisoned(&self.cluster)
            .pods
            .retain(|other| other.place != pod.place);
        if pod.place.node == self.addresses {
            self.vsctl(&["--if-exists", "del-port", "br-int", pod.port_name()])?;
        }
        self.install_flows()
    }

    /// Gives a pod of the node a second interface on the localnet.
    pub(crate) fn attach_localnet(&self, interface: &SecondInterface) -> Result<()> {
        unpoisoned(&self.cluster).localnet.push(interface.clone());
        self.build_bridges()
    }

    /// Takes packets to Services from the fabric.
    pub(crate) fn expose(&self, services: impl IntoIterator<Item = Exposed>) -> Result<()> {
        unpoisoned(&self.cluster).exposed.extend(services);
        self.install_flows()
    }

    fn bridges(&self) -> Vec<Vec<String>> {
        let mac = self.addresses.fabric_mac();
        let mut commands = vec![
            bridge("br-int", &[]),
            bridge("br-ex", &[&format!("other_config:hwaddr=\"{mac}\"")]),
            port("br-ex", UPLINK_DEVICE, Some(UPLINK_PORT), &[]),
        ];
        match &self.rules {
            Rules::Lab { .. } => commands.extend(self.patch()),
            Rules::Ovn(chassis) => {
                commands.push(chassis.settings(self.addresses));
                let settings = Chassis::management_port(&self.name, self.addresses);
                let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
                commands.push(port("br-int", MANAGEMENT_DEVICE, None, &settings));
            }
        }
        commands.push(words(&[
            "set",
            "Bridge",
            "br-int",
            "external_ids:ovn-managed=true",
        ]));
        commands
    }

    /// The tunnels, which OVN makes itself, and the ports of the node's pods.
    fn ports(&self) -> Vec<Vec<String>> {
        let cluster = unpoisoned(&self.cluster);
        let mine = |pod: &&Pod| pod.place.node == self.addresses;
        let mut commands: Vec<_> = match self.rules {
            Rules::Lab { .. } => cluster.peers.iter().map(|peer| tunnel(*peer)).collect(),
            Rules::Ovn(_) => Vec::new(),
        };
        commands.extend(cluster.pods.iter().filter(mine).map(pod_port));
        for interface in &cluster.localnet {
            let ids = interface.external_ids();
            let settings: Vec<&str> = ids.iter().map(String::as_str).collect();
            commands.push(port("br-int", &interface.port_name(), None, &settings));
        }
        commands
    }

    fn patch(&self) -> [Vec<String>; 2] {
        let to_external = format!("patch-br-int-to-br-ex_{}", self.name);
        let to_integration = format!("patch-br-ex_{}-to-br-int", self.name);
        [
            port(
                "br-int",
                &to_external,
                Some(PATCH_PORT),
                &["type=patch", &format!("options:peer={to_integration}")],
            ),
            port(
                "br-ex",
                &to_integration,
                Some(PATCH_PORT),
                &["type=patch", &format!("options:peer={to_external}")],
            ),
        ]
    }

    /// The tunnels' end, on `br-ex` itself: a userspace tunnel leaves by the
    /// bridge that has its local address. The peers' MAC addresses are known,
    /// and said: while it asks for one, Open vSwitch drops what would leave.
    fn address_external(&self) -> Result<()> {
        self.netns.ip("link set br-ex up")?;
        self.netns.ip(&format!(
            "address replace {}/24 dev br-ex",
            self.addresses.fabric()
        ))?;
        for peer in &unpoisoned(&self.cluster).peers {
            let (address, mac) = (peer.fabric().to_string(), peer.fabric_mac().to_string());
            self.appctl(&["tnl/neigh/set", "br-ex", &address, &mac])?;
        }
        Ok(())
    }

    fn install_flows(&self) -> Result<()> {
        let conntrack = match &self.rules {
            Rules::Lab { conntrack } => *conntrack,
            Rules::Ovn(_) => return self.install_gateway(),
        };
        let places: Vec<_> = unpoisoned(&self.cluster)
            .pods
            .iter()
            .map(|pod| pod.place)
            .collect();
        let integration = flows::integration(self.addresses, &places, conntrack);
        self.switch.replace_flows("br-int", &integration)?;
        self.switch
            .replace_flows("br-ex", &flows::external(self.addresses))
    }

    /// The rules of `br-ex`, once OVN has made its patch there.
    fn install_gateway(&self) -> Result<()> {
        let Some(patch) = Chassis::patch(&self.switch, &self.name)? else {
            return Ok(());
        };
        let gateway = Gateway {
            uplink: UPLINK_PORT,
            patch,
            mac: self.addresses.fabric_mac(),
        };
        let exposed = unpoisoned(&self.cluster).exposed.clone();
        self.switch
            .replace_flows("br-ex", &gateway::rules(&gateway, &exposed))
    }
}
