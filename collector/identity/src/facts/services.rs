//! Services and EndpointSlices, cut down: which address and port is a Service's
//! own, and which one stands behind it.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{EndpointConditions, EndpointSlice};

use super::{EndpointsFact, Fact, ServiceFact, nanoseconds, parse};
use crate::index::NodePort;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Cuts a Service down. `None` and empty ClusterIPs are no addresses.
pub fn service(service: &Service) -> Fact {
    let spec = service.spec.as_ref();
    let first = spec.and_then(|s| s.cluster_ip.as_ref());
    let listed = spec.and_then(|s| s.cluster_ips.as_ref());
    let external = spec.and_then(|s| s.external_ips.as_ref());
    let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten();
    let own = first.into_iter().chain(listed.into_iter().flatten());
    let given = own
        .map(String::as_str)
        .chain(ingress.filter_map(|i| i.ip.as_deref()));
    let addresses = parse(given);
    let mut external_addresses = parse(external.into_iter().flatten().map(String::as_str));
    external_addresses.retain(|address| !addresses.contains(address));
    let ports: Vec<&ServicePort> = spec
        .and_then(|s| s.ports.as_ref())
        .into_iter()
        .flatten()
        .collect();
    Fact::Service(ServiceFact {
        addresses,
        external_addresses,
        ports: ports
            .iter()
            .filter_map(|p| Some((protocol(p.protocol.as_deref())?, number(p.port)?)))
            .collect(),
        node_ports: ports.iter().filter_map(|p| node_port(p)).collect(),
        created: nanoseconds(service.metadata.creation_timestamp.as_ref()),
    })
}

fn node_port(port: &ServicePort) -> Option<NodePort> {
    Some(NodePort {
        proto: protocol(port.protocol.as_deref())?,
        port: number(port.node_port?)?,
    })
}

/// Cuts an EndpointSlice down. An endpoint that is on its way out but serves
/// counts. A slice without ports says nothing about them: all count.
pub fn endpoints(slice: &EndpointSlice) -> Fact {
    let labels = slice.metadata.labels.as_ref();
    let service = labels.and_then(|labels| labels.get(SERVICE_LABEL));
    let ready = slice.endpoints.iter().filter(|e| serves(e.conditions.as_ref()));
    let texts = ready.flat_map(|e| e.addresses.iter().map(String::as_str));
    let ports = slice.ports.iter().flatten();
    let mut ports: Vec<(u8, u16)> = ports
        .filter_map(|p| {
            let port = p.port.map_or(Some(0), number)?;
            Some((protocol(p.protocol.as_deref())?, port))
        })
        .collect();
    if slice.ports.as_ref().is_none_or(Vec::is_empty) {
        ports.push((0, 0));
    }
    Fact::Endpoints(EndpointsFact {
        service: service.map_or("", String::as_str).into(),
        addresses: if service.is_some() {
            parse(texts)
        } else {
            Vec::new()
        },
        ports,
        created: nanoseconds(slice.metadata.creation_timestamp.as_ref()),
    })
}

/// What is unset counts as true (`discovery.k8s.io/v1`).
fn serves(conditions: Option<&EndpointConditions>) -> bool {
    conditions.is_none_or(|c| c.ready != Some(false) || c.serving == Some(true))
}

/// TCP where nothing is said (`v1`).
fn protocol(name: Option<&str>) -> Option<u8> {
    match name {
        None | Some("" | "TCP") => Some(6),
        Some("UDP") => Some(17),
        Some("SCTP") => Some(132),
        Some(_) => None,
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}
