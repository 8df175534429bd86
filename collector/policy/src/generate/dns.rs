//! The cluster's own DNS.

use crate::facts::Protocol;
use crate::inventory::{Backend, Inventory};

/// The Services of the cluster's DNS: Kubernetes, OpenShift.
const DNS: [(&str, &str); 2] = [("kube-system", "kube-dns"), ("openshift-dns", "dns-default")];

/// Whom the cluster's DNS Services lead to.
pub(super) fn backends(inventory: &Inventory) -> impl Iterator<Item = (Protocol, &Backend)> {
    let services = DNS
        .iter()
        .filter_map(|(namespace, name)| inventory.service(namespace, name));
    let ports = services.flat_map(|service| &service.ports);
    ports.flat_map(|port| port.backends.iter().map(|backend| (port.protocol, backend)))
}
