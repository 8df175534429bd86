//! Bridges and ports, as commands of `ovs-vsctl`; no I/O.

use crate::{Pod, address::NodeAddresses, flows};

/// Adds a command to those of one run, which is one transaction.
pub(crate) fn statement(arguments: &mut Vec<String>, words: Vec<String>) {
    if !arguments.is_empty() {
        arguments.push("--".to_owned());
    }
    arguments.extend(words);
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Makes a bridge, on the userspace datapath and without rules of its own.
pub(crate) fn bridge(name: &str, settings: &[&str]) -> Vec<String> {
    let add = ["--may-exist", "add-br", name, "--", "set", "Bridge", name];
    words(&[&add[..], &["datapath_type=netdev", "fail_mode=secure"], settings].concat())
}

/// Makes a port; without a number Open vSwitch chooses one.
pub(crate) fn port(bridge: &str, name: &str, number: Option<u16>, settings: &[&str]) -> Vec<String> {
    let request = number.map(|number| format!("ofport_request={number}"));
    let add = [
        "--may-exist",
        "add-port",
        bridge,
        name,
        "--",
        "set",
        "Interface",
        name,
    ];
    words(&[&add[..], request.as_deref().as_slice(), settings].concat())
}

/// The tunnel's port to a peer.
pub(crate) fn tunnel_name(peer: NodeAddresses) -> String {
    format!("ovn-{}-0", peer.number())
}

/// Makes the tunnel to a peer.
pub(crate) fn tunnel(peer: NodeAddresses) -> Vec<String> {
    let remote = format!("options:remote_ip={}", peer.fabric());
    let settings = ["type=geneve", &remote, "options:key=flow", "options:csum=true"];
    let number = Some(flows::tunnel_port(peer));
    port("br-int", &tunnel_name(peer), number, &settings)
}

/// Makes a pod's port.
pub(crate) fn pod_port(pod: &Pod) -> Vec<String> {
    let ids = pod.external_ids();
    let settings: Vec<&str> = ids.iter().map(String::as_str).collect();
    port("br-int", pod.port_name(), Some(pod.place.port()), &settings)
}
