//! The annotations by which OVN-Kubernetes tells its own parts about nodes and pods
//! (go-controller/pkg/util, `node_annotations.go` and `pod_annotation.go`), and Multus
//! others of a pod's networks; no I/O.

use serde_json::{Value, json};

use crate::{
    address::{FABRIC, Mac, NodeAddresses},
    localnet::{ATTACHMENT, DEVICE, SecondInterface},
    pod::POD_DEVICE,
};

/// A node's annotations; their values are texts that hold JSON.
pub(crate) fn of_node(name: &str, addresses: NodeAddresses) -> Value {
    let fabric = format!("{}/24", addresses.fabric());
    let subnets = [addresses.pod_network(), format!("{}/112", addresses.pod(0).v6)];
    let join = json!({
        "ipv4": format!("{}/16", addresses.join()), "ipv6": format!("{}/64", addresses.join_v6()),
    });
    let gateway = json!({ "default": {
        "mode": "shared", "interface-id": format!("br-ex_{name}"), "bridge-id": "br-ex",
        "mac-address": addresses.fabric_mac().to_string(),
        "ip-addresses": [fabric], "ip-address": fabric,
        "next-hops": [FABRIC], "next-hop": FABRIC, "node-port-enable": "true", "vlan-id": "0",
    } });
    let hosts = [
        format!("{}/24", addresses.internal()),
        format!("{}/64", addresses.internal_v6()),
        fabric.clone(),
    ];
    json!({
        "k8s.ovn.org/host-cidrs": json!(hosts).to_string(),
        "k8s.ovn.org/l3-gateway-config": gateway.to_string(),
        "k8s.ovn.org/node-chassis-id": name,
        "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": json!({ "default": join }).to_string(),
        "k8s.ovn.org/node-id": addresses.number().to_string(),
        "k8s.ovn.org/node-mgmt-port-mac-addresses":
            json!({ "default": Mac::of(addresses.management()).to_string() }).to_string(),
        "k8s.ovn.org/node-primary-ifaddr": json!({ "ipv4": fabric }).to_string(),
        "k8s.ovn.org/node-subnets": json!({ "default": subnets }).to_string(),
    })
}

/// The annotations of a pod with a second interface.
pub(crate) fn of_pod(interface: &SecondInterface) -> Value {
    let (pod, mac) = (&interface.pod, interface.mac().to_string());
    let mut second = json!({ "mac_address": mac, "role": "secondary" });
    let mut second_status = json!({ "name": ATTACHMENT, "interface": DEVICE, "mac": mac });
    if interface.told {
        second["ip_addresses"] = json!([format!("{}/24", interface.address)]);
        second_status["ips"] = json!([interface.address]);
    }
    let networks = json!({
        "default": {
            "ip_addresses": [format!("{}/24", pod.ip()), format!("{}/112", pod.addresses().v6)],
            "mac_address": pod.mac().to_string(), "role": "primary",
        },
        ATTACHMENT: second,
    });
    let first_status = json!({
        "name": "ovn-kubernetes", "interface": POD_DEVICE, "default": true,
        "ips": [pod.ip(), pod.addresses().v6], "mac": pod.mac().to_string(),
    });
    json!({
        "k8s.ovn.org/pod-networks": networks.to_string(),
        "k8s.v1.cni.cncf.io/network-status": json!([first_status, second_status]).to_string(),
    })
}
