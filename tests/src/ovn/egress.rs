//! Egress IPs: what OVN-Kubernetes makes of one in OVN, and its own object that tells of
//! it (go-controller/pkg/crd/egressip/v1); no I/O.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{commands::Commands, topology::ROUTER};
use crate::{
    Pod,
    address::{NodeAddresses, node_name},
};

/// What leaves a pod goes to another node's gateway router, and gets this address there.
pub(super) fn commands(pod: &Pod, through: NodeAddresses, address: Ipv4Addr) -> Commands {
    let mut commands = Commands::default();
    let from = format!("ip4.src == {}", pod.ip());
    let join = through.join().to_string();
    commands.add(&["lr-policy-add", ROUTER, "100", &from, "reroute", &join]);
    let router = format!("GR_{}", node_name(through.number()));
    commands.line(&format!("lr-nat-add {router} snat {address} {}", pod.ip()));
    commands
}

/// The definition of the object.
pub(crate) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "egressips.k8s.ovn.org" },
        "spec": {
            "group": "k8s.ovn.org",
            "scope": "Cluster",
            "names": { "kind": "EgressIP", "plural": "egressips", "singular": "egressip", "shortNames": ["eip"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                } },
            }],
        },
    })
}

/// The object, with the node that has the address.
pub(crate) fn object(pod: &Pod, through: NodeAddresses, address: Ipv4Addr) -> Value {
    let namespace = &pod.spec.namespace;
    json!({
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": { "name": format!("{namespace}-{}", pod.spec.app()) },
        "spec": {
            "egressIPs": [address],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
            "podSelector": { "matchLabels": { "app": pod.spec.app() } },
        },
        "status": { "items": [{ "egressIP": address, "node": node_name(through.number()) }] },
    })
}
