//! Services and EndpointSlices, cut down: which address and port is a Service's
//! own, and which one stands behind it.

use super::objects::{EndpointConditions, EndpointSlice, Service, ServicePort};
use super::{EndpointsFact, Fact, ServiceFact, nanoseconds, parse};
use crate::index::NodePort;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Cuts a Service down. `None` and empty ClusterIPs are no addresses.
pub fn service(service: &Service) -> Fact {
    let spec = &service.spec;
    let ingress = service.status.load_balancer.ingress.iter();
    let own = [&spec.cluster_ip].into_iter().chain(&spec.cluster_ips);
    let addresses = parse(own.chain(ingress.map(|ingress| &ingress.ip)).map(String::as_str));
    let mut external_addresses = parse(spec.external_ips.iter().map(String::as_str));
    external_addresses.retain(|address| !addresses.contains(address));
    let ports = spec.ports.iter();
    Fact::Service(ServiceFact {
        addresses,
        external_addresses,
        ports: ports
            .clone()
            .filter_map(|p| Some((protocol(&p.protocol)?, number(p.port)?)))
            .collect(),
        node_ports: ports.filter_map(node_port).collect(),
        created: nanoseconds(service.metadata.creation_timestamp.as_ref()),
    })
}

fn node_port(port: &ServicePort) -> Option<NodePort> {
    Some(NodePort {
        proto: protocol(&port.protocol)?,
        port: number(port.node_port)?,
    })
}

/// Cuts an EndpointSlice down. An endpoint that is on its way out but serves
/// counts. A slice without ports says nothing about them: all count.
pub fn endpoints(slice: &EndpointSlice) -> Fact {
    let labels = slice.metadata.labels.as_ref();
    let service = labels.and_then(|labels| labels.get(SERVICE_LABEL));
    let ready = slice.endpoints.iter().filter(|e| serves(&e.conditions));
    let texts = ready.flat_map(|e| e.addresses.iter().map(String::as_str));
    let ports = slice.ports.iter();
    let mut ports: Vec<(u8, u16)> = ports
        .filter_map(|p| {
            let port = p.port.map_or(Some(0), number)?;
            Some((protocol(&p.protocol)?, port))
        })
        .collect();
    if slice.ports.is_empty() {
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
fn serves(conditions: &EndpointConditions) -> bool {
    conditions.ready != Some(false) || conditions.serving == Some(true)
}

/// TCP where nothing is said (`v1`).
fn protocol(name: &str) -> Option<u8> {
    match name {
        "" | "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}
