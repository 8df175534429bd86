//! The logical network as OVN-Kubernetes lays it (go-controller/pkg/ovn), as commands
//! of `ovn-nbctl`; no I/O.
//!
//! ```text
//! pods ── switch node-a ─┐                       ┌─ GR_node-a ── ext_node-a ── localnet (br-ex)
//! node ── k8s-node-a ────┤ ovn_cluster_router ── join
//! pods ── switch node-b ─┘                       └─ GR_node-b ── ext_node-b ── localnet (br-ex)
//! pods' second interfaces ── switch shop.vlan ── localnet, VLAN 100 (br-ex of every node)
//! ```
//!
//! Every port of a switch is in the port group of rules with `allow-related`, so that
//! all packets pass `ct()`.

use super::commands::Commands;
use crate::{
    Pod,
    address::{FABRIC, JOIN_ROUTER, JOIN_ROUTER_V6, LOCALNET_VLAN, Mac, NodeAddresses, PODS_NETWORK},
    localnet::SecondInterface,
};

/// The one router between the nodes' switches.
pub(super) const ROUTER: &str = "ovn_cluster_router";
/// The switch between that and the gateway routers.
const JOIN: &str = "join";
/// Ports whose connections are tracked.
const TRACKED: &str = "tracked";
/// Comes after what OVN-Kubernetes lays for NetworkPolicies: 1000 denies, 1001 allows.
const TRACKED_PRIORITY: &str = "999";
/// The switch of the pods' second interfaces.
const LOCALNET: &str = "shop.vlan_ovn_localnet_switch";
/// Name of br-ex in `ovn-bridge-mappings`.
pub(super) const PHYSICAL: &str = "physnet";
/// Comes before the rules of [`TRACKED`].
const DENIAL_PRIORITY: &str = "2000";

/// What all nodes have in common.
pub(super) fn cluster() -> Commands {
    let mut commands = Commands::default();
    let mac = Mac::of(JOIN_ROUTER);
    commands.line("init");
    commands.line(&format!("lr-add {ROUTER}"));
    commands.line(&format!("ls-add {JOIN}"));
    commands.line(&format!(
        "lrp-add {ROUTER} rtoj-{ROUTER} {mac} {JOIN_ROUTER}/16 {JOIN_ROUTER_V6}/64"
    ));
    router_port(
        &mut commands,
        JOIN,
        &format!("jtor-{ROUTER}"),
        &format!("rtoj-{ROUTER}"),
    );
    commands.line(&format!("pg-add {TRACKED}"));
    for (direction, side) in [("to-lport", "outport"), ("from-lport", "inport")] {
        let matched = format!("{side} == @{TRACKED} && ip");
        commands.add(&[
            "acl-add",
            TRACKED,
            direction,
            TRACKED_PRIORITY,
            &matched,
            "allow-related",
        ]);
    }
    // What an egress IP is not for: packets within the cluster.
    let inside = format!("ip4.src == {PODS_NETWORK} && ip4.dst == {PODS_NETWORK}");
    commands.add(&["lr-policy-add", ROUTER, "102", &inside, "allow"]);
    commands.line(&format!("ls-add {LOCALNET}"));
    localnet(&mut commands, LOCALNET, "shop.vlan_ovn_localnet_port");
    commands.line(&format!(
        "set logical_switch_port shop.vlan_ovn_localnet_port tag={LOCALNET_VLAN}"
    ));
    commands
}

/// A node: its switch, its own port on it, and its gateway router.
pub(super) fn node(name: &str, addresses: NodeAddresses) -> Commands {
    let mut commands = Commands::default();
    let (gateway, gateway_v6) = (addresses.gateway(), addresses.gateway_v6());
    commands.line(&format!("ls-add {name}"));
    commands.line(&format!(
        "lrp-add {ROUTER} rtos-{name} {} {gateway}/24 {gateway_v6}/112",
        addresses.gateway_mac()
    ));
    router_port(
        &mut commands,
        name,
        &format!("stor-{name}"),
        &format!("rtos-{name}"),
    );
    let management = addresses.management();
    let own = format!("{} {management}", Mac::of(management));
    switch_port(&mut commands, name, &format!("k8s-{name}"), &own);
    // A pod reaches its own node by the node's port.
    let to_node = format!(r#"inport == "rtos-{name}" && ip4.dst == {}"#, addresses.fabric());
    commands.add(&[
        "lr-policy-add",
        ROUTER,
        "1004",
        &to_node,
        "reroute",
        &management.to_string(),
    ]);
    gateway_router(&mut commands, name, addresses);
    commands
}

fn gateway_router(commands: &mut Commands, name: &str, addresses: NodeAddresses) {
    let (join, join_v6, fabric) = (addresses.join(), addresses.join_v6(), addresses.fabric());
    let (router, ext) = (format!("GR_{name}"), format!("ext_{name}"));
    commands.line(&format!("lr-add {router}"));
    commands.line(&format!(
        "set logical_router {router} options:chassis={name} options:lb_force_snat_ip=router_ip \
         options:always_learn_from_arp_request=false"
    ));
    commands.line(&format!(
        "lrp-add {router} rtoj-{router} {} {join}/16 {join_v6}/64",
        Mac::of(join)
    ));
    router_port(
        commands,
        JOIN,
        &format!("jtor-{router}"),
        &format!("rtoj-{router}"),
    );
    commands.line(&format!("ls-add {ext}"));
    localnet(commands, &ext, &format!("br-ex_{name}"));
    // It shares the node's address and its MAC address.
    let mac = addresses.fabric_mac();
    commands.line(&format!("lrp-add {router} rtoe-{router} {mac} {fabric}/24"));
    router_port(
        commands,
        &ext,
        &format!("etor-{router}"),
        &format!("rtoe-{router}"),
    );
    let pods = addresses.pod_network();
    commands.line(&format!("--policy=src-ip lr-route-add {ROUTER} {pods} {join}"));
    commands.line(&format!("lr-route-add {ROUTER} {join}/32 {join}"));
    commands.line(&format!("lr-route-add {router} {PODS_NETWORK} {JOIN_ROUTER}"));
    commands.line(&format!("lr-route-add {router} 0.0.0.0/0 {FABRIC} rtoe-{router}"));
    commands.line(&format!("lr-nat-add {router} snat {fabric} {pods}"));
}

/// The pods' ports.
pub(super) fn pods(pods: &[Pod]) -> Commands {
    let mut commands = Commands::default();
    for pod in pods {
        let addresses = format!("{} {} {}", pod.mac(), pod.ip(), pod.addresses().v6);
        switch_port(&mut commands, &pod.spec.node, &pod.iface_id(), &addresses);
    }
    commands
}

/// The port of a pod's second interface.
pub(super) fn localnet_port(interface: &SecondInterface) -> Commands {
    let mut commands = Commands::default();
    let (id, addresses) = (interface.iface_id(), interface.port_addresses());
    switch_port(&mut commands, LOCALNET, &id, &addresses);
    commands
}

/// See [`super::Ovn::deny`].
pub(super) fn denial(pod: &Pod, port: u16) -> Commands {
    let mut commands = Commands::default();
    let id = pod.iface_id();
    let matched = format!(r#"outport == "{id}" && (tcp.dst == {port} || udp.dst == {port})"#);
    commands.add(&[
        "acl-add",
        &pod.spec.node,
        "to-lport",
        DENIAL_PRIORITY,
        &matched,
        "drop",
    ]);
    commands
}

fn switch_port(commands: &mut Commands, switch: &str, port: &str, addresses: &str) {
    commands.line(&format!("lsp-add {switch} {port}"));
    commands.add(&["lsp-set-addresses", port, addresses]);
    commands.line(&format!("--id=@{port} get logical_switch_port {port}"));
    commands.line(&format!("add port_group {TRACKED} ports @{port}"));
}

fn router_port(commands: &mut Commands, switch: &str, port: &str, of: &str) {
    commands.line(&format!("lsp-add {switch} {port}"));
    commands.line(&format!("lsp-set-type {port} router"));
    commands.line(&format!("lsp-set-addresses {port} router"));
    commands.line(&format!("lsp-set-options {port} router-port={of}"));
}

fn localnet(commands: &mut Commands, switch: &str, port: &str) {
    commands.line(&format!("lsp-add {switch} {port}"));
    commands.line(&format!("lsp-set-type {port} localnet"));
    commands.line(&format!("lsp-set-addresses {port} unknown"));
    commands.line(&format!("lsp-set-options {port} network_name={PHYSICAL}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands, a line each.
    fn lines(commands: &Commands) -> Vec<String> {
        let words = commands.words();
        let lines = words.split(|word| *word == "--").map(|line| line.join(" "));
        lines.collect()
    }

    #[test]
    fn every_port_behind_which_somebody_stands_is_tracked() {
        let addresses = NodeAddresses::new(1).unwrap();
        let lines = lines(&node("node-a", addresses));
        let ports = lines.iter().filter_map(|line| line.strip_prefix("lsp-add "));
        for port in ports.filter_map(|words| words.split(' ').nth(1)) {
            let is = |kind: &str| lines.contains(&format!("lsp-set-type {port} {kind}"));
            let tracked = lines.contains(&format!("add port_group {TRACKED} ports @{port}"));
            assert_ne!(tracked, is("router") || is("localnet"), "{port}: {lines:?}");
        }
    }

    #[test]
    fn a_gateway_router_shares_the_address_of_its_node() {
        let addresses = NodeAddresses::new(2).unwrap();
        let lines = lines(&node("node-b", addresses));
        for wanted in [
            "lrp-add GR_node-b rtoe-GR_node-b 02:00:ac:1f:00:0c 172.31.0.12/24",
            "lr-nat-add GR_node-b snat 172.31.0.12 10.128.2.0/24",
        ] {
            assert!(lines.contains(&wanted.to_owned()), "{wanted}: {lines:?}");
        }
    }
}
