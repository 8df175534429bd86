//! A node's part of OVN: what its Open vSwitch is told, its ovn-controller, and
//! `ovn-k8s-mp0`, the node's own port among its pods.

use std::{sync::Mutex, time::Duration};

use anyhow::Result;

use super::topology::PHYSICAL;
use crate::{
    Netns, Process, Switch,
    address::{Mac, NodeAddresses, POD_MTU, PODS_NETWORK},
    switch::unpoisoned,
    wait_until,
};

/// The node's own port, named as OVN-Kubernetes names it.
pub const MANAGEMENT_DEVICE: &str = "ovn-k8s-mp0";
const DEADLINE: Duration = Duration::from_secs(30);

/// A node of OVN.
#[derive(Debug)]
pub(crate) struct Chassis {
    southbound: String,
    controller: Mutex<Option<Process>>,
}

impl Chassis {
    pub(crate) fn new(southbound: String) -> Self {
        Self {
            southbound,
            controller: Mutex::default(),
        }
    }

    /// Columns of Open_vSwitch, as arguments of `ovs-vsctl`.
    pub(crate) fn settings(&self, addresses: NodeAddresses) -> Vec<String> {
        let mut words = vec!["set".to_owned(), "Open_vSwitch".to_owned(), ".".to_owned()];
        let ids = [
            ("ovn-remote", self.southbound.clone()),
            ("ovn-encap-type", "geneve".to_owned()),
            ("ovn-encap-ip", addresses.fabric().to_string()),
            ("ovn-bridge-mappings", format!("{PHYSICAL}:br-ex")),
            ("ovn-bridge-datapath-type", "netdev".to_owned()),
            ("ovn-monitor-all", "true".to_owned()),
        ];
        words.extend(ids.map(|(key, value)| format!("external_ids:{key}=\"{value}\"")));
        words
    }

    /// The settings of the node's own port.
    pub(crate) fn management_port(name: &str, addresses: NodeAddresses) -> Vec<String> {
        let mac = Mac::of(addresses.management());
        vec![
            "type=internal".to_owned(),
            format!("mtu_request={POD_MTU}"),
            format!("mac=\"{mac}\""),
            format!("external_ids:iface-id=k8s-{name}"),
        ]
    }

    /// Gives the node's own port its addresses and routes.
    pub(crate) fn address_management(netns: &Netns, addresses: NodeAddresses) -> Result<()> {
        let device = MANAGEMENT_DEVICE;
        wait_until("the node's own port", DEADLINE, || {
            netns.ip(&format!("link show {device}")).map(|_| true)
        })?;
        netns.disable_offload(device)?;
        let (own, gateway) = (addresses.management(), addresses.gateway());
        for line in [
            format!("link set {device} addrgenmode none mtu {POD_MTU} up"),
            format!("address replace {own}/24 dev {device}"),
            format!(
                "neigh replace {gateway} lladdr {} dev {device} nud permanent",
                addresses.gateway_mac()
            ),
            format!("route replace {PODS_NETWORK} via {gateway} dev {device}"),
        ] {
            netns.ip(&line)?;
        }
        Ok(())
    }

    /// Starts ovn-controller, and waits until it has made the patch to `br-ex`.
    pub(crate) fn start_controller(&self, switch: &Switch, node: &str) -> Result<()> {
        let directory = switch.directory();
        let mut command = switch.command("ovn-controller")?;
        command
            .env("OVN_RUNDIR", directory)
            .arg(format!("unix:{}", switch.socket().display()))
            .args(["--pidfile", "--no-chdir", "-vconsole:info", "-vsyslog:off"]);
        let mut controller = Process::spawn("ovn-controller", directory, &mut command)?;
        controller.wait_until("make its patch", DEADLINE, |_| {
            Ok(Self::patch(switch, node)?.is_some())
        })?;
        *unpoisoned(&self.controller) = Some(controller);
        Ok(())
    }

    /// The OpenFlow port on `br-ex` of the patch to the gateway router's switch, once
    /// ovn-controller has made it.
    pub(crate) fn patch(switch: &Switch, node: &str) -> Result<Option<u16>> {
        let name = format!("name=patch-br-ex_{node}-to-br-int");
        let text = switch.vsctl(&[
            "--no-wait",
            "--bare",
            "--columns=ofport",
            "find",
            "Interface",
            &name,
        ])?;
        Ok(text.trim().parse().ok())
    }
}
