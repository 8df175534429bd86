//! What the planner must know of the cluster's objects, and how it is read from them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};

use super::NodeFacts;

impl NodeFacts {
    /// What counts of a node.
    pub fn of(node: &Node) -> Self {
        let status = node.status.as_ref();
        let addresses = status.and_then(|status| status.addresses.as_deref());
        let first = |kind: &str| {
            let of_kind = addresses.into_iter().flatten().filter(|a| a.type_ == kind);
            of_kind.filter_map(|a| a.address.parse().ok()).next()
        };
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            address: first("InternalIP").or_else(|| first("ExternalIP")),
        }
    }
}

/// The address of a Service.
///
/// # Errors
/// It has none; in words why, to be said of an entry.
pub fn service_address(service: &Service) -> Result<IpAddr, &'static str> {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return Err("names an ExternalName Service, which has no address");
    }
    match spec.and_then(|spec| spec.cluster_ip.as_deref()) {
        Some("None") => Err("names a headless Service, which has no address of its own"),
        Some(address) => address
            .parse()
            .map_err(|_| "names a Service that has no ClusterIP yet"),
        None => Err("names a Service that has no ClusterIP yet"),
    }
}
