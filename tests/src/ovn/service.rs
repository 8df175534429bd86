//! Services: what OVN-Kubernetes makes of them in OVN, and the objects that it makes
//! that of; no I/O.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde_json::{Value, json};

use super::{commands::Commands, gateway::Exposed};
use crate::{Pod, address::NodeAddresses};

/// Sources of packets from a pod to itself by way of a Service, as OVN-Kubernetes sets
/// them (`types.V4OVNServiceHairpinMasqueradeIP`).
const HAIRPIN: &str = r#"options:hairpin_snat_ip="169.254.169.5 fd69::5""#;

/// A Service to be added.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its ClusterIP.
    pub cluster_ip: Ipv4Addr,
    /// That of the second family.
    pub cluster_ip_v6: Option<Ipv6Addr>,
    /// Its address beyond the cluster.
    pub balancer: Option<Ipv4Addr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// The pods behind it.
    pub backends: Vec<Pod>,
}

/// A port of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The port of its addresses.
    pub port: u16,
    /// The backends' port.
    pub target: u16,
    /// The port of every node.
    pub node_port: Option<u16>,
}

impl ServiceSpec {
    /// What nodes take from the fabric for it.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = Exposed> {
        self.ports.iter().flat_map(|port| {
            let at_node = port.node_port.map(|number| Exposed {
                protocol: port.protocol,
                address: None,
                port: number,
            });
            let at_balancer = self.balancer.map(|address| Exposed {
                protocol: port.protocol,
                address: Some(address),
                port: port.port,
            });
            at_node.into_iter().chain(at_balancer)
        })
    }

    /// Its own addresses.
    fn addresses(&self) -> Vec<IpAddr> {
        let cluster_ips = [Some(self.cluster_ip.into()), self.cluster_ip_v6.map(IpAddr::from)];
        let balancer = self.balancer.map(IpAddr::from);
        cluster_ips.into_iter().flatten().chain(balancer).collect()
    }

    /// What stands behind an address of it.
    fn backends(&self, of: IpAddr, port: &ServicePort) -> String {
        let ends = self.backends.iter().map(|pod| {
            let address = own(pod, of.is_ipv6());
            SocketAddr::new(address, port.target).to_string()
        });
        ends.collect::<Vec<_>>().join(",")
    }

    /// The Service.
    pub(crate) fn object(&self) -> Value {
        let kind = match (
            self.balancer,
            self.ports.iter().any(|port| port.node_port.is_some()),
        ) {
            (Some(_), _) => "LoadBalancer",
            (None, true) => "NodePort",
            (None, false) => "ClusterIP",
        };
        let ports = self.ports.iter().map(|port| {
            let mut object = json!({
                "name": port_name(port), "protocol": port.protocol.to_uppercase(),
                "port": port.port, "targetPort": port.target,
            });
            if let Some(number) = port.node_port {
                object["nodePort"] = number.into();
            }
            object
        });
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "namespace": self.namespace, "name": self.name },
            "spec": { "type": kind, "clusterIP": self.cluster_ip, "ports": ports.collect::<Vec<_>>() },
        });
        if let Some(second) = self.cluster_ip_v6 {
            object["spec"]["ipFamilyPolicy"] = "RequireDualStack".into();
            object["spec"]["clusterIPs"] = json!([self.cluster_ip, second]);
        }
        if self.balancer.is_some() {
            object["spec"]["allocateLoadBalancerNodePorts"] = false.into();
        }
        object
    }

    /// Its status, when it has an address beyond the cluster.
    pub(crate) fn status(&self) -> Option<Value> {
        let address = self.balancer?;
        Some(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "namespace": self.namespace, "name": self.name },
            "status": { "loadBalancer": { "ingress": [{ "ip": address }] } },
        }))
    }

    /// The EndpointSlices that a controller-manager would keep for it, one a family.
    pub(crate) fn endpoint_slices(&self) -> Vec<Value> {
        let families = [Some("IPv4"), self.cluster_ip_v6.map(|_| "IPv6")];
        families
            .into_iter()
            .flatten()
            .map(|family| self.endpoint_slice(family))
            .collect()
    }

    fn endpoint_slice(&self, family: &str) -> Value {
        let endpoints = self.backends.iter().map(|pod| {
            json!({
                "addresses": [own(pod, family == "IPv6")],
                "conditions": { "ready": true },
                "nodeName": pod.spec.node,
                "targetRef": { "kind": "Pod", "namespace": pod.spec.namespace, "name": pod.spec.name },
            })
        });
        let ports = self.ports.iter().map(
            |port| json!({ "name": port_name(port), "port": port.target, "protocol": port.protocol.to_uppercase() }),
        );
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": self.namespace, "name": format!("{}-lab-{}", self.name, family.to_lowercase()),
                "labels": { "kubernetes.io/service-name": self.name },
            },
            "addressType": family,
            "endpoints": endpoints.collect::<Vec<_>>(),
            "ports": ports.collect::<Vec<_>>(),
        })
    }
}

/// A pod's address of a family.
fn own(pod: &Pod, v6: bool) -> IpAddr {
    if v6 { pod.addresses().v6.into() } else { pod.ip() }
}

fn port_name(port: &ServicePort) -> String {
    format!("{}-{}", port.protocol, port.port)
}

/// The load balancers of Services: one for all nodes' switches and gateway routers, and
/// one a node with its node ports.
pub(super) fn load_balancers(services: &[ServiceSpec], nodes: &[(String, NodeAddresses)]) -> Commands {
    let mut commands = Commands::default();
    for service in services {
        let protocols: BTreeSet<&str> = service.ports.iter().map(|port| port.protocol).collect();
        for protocol in protocols {
            let name = format!("Service_{}/{}_{protocol}", service.namespace, service.name);
            let ports: Vec<_> = service
                .ports
                .iter()
                .filter(|port| port.protocol == protocol)
                .collect();
            let cluster = format!("{name}_cluster");
            for address in service.addresses() {
                for port in &ports {
                    add_vip(
                        &mut commands,
                        service,
                        &cluster,
                        SocketAddr::new(address, port.port),
                        port,
                    );
                }
            }
            commands.add(&["set", "load_balancer", &cluster, HAIRPIN]);
            for (node, addresses) in nodes {
                attach(&mut commands, node, &cluster);
                let own = format!("{name}_node_{node}");
                let mut exposed = false;
                for (port, number) in ports.iter().filter_map(|port| Some((*port, port.node_port?))) {
                    let vip = SocketAddr::new(addresses.fabric().into(), number);
                    add_vip(&mut commands, service, &own, vip, port);
                    exposed = true;
                }
                if exposed {
                    commands.add(&["set", "load_balancer", &own, HAIRPIN]);
                    attach(&mut commands, node, &own);
                }
            }
        }
    }
    commands
}

fn add_vip(
    commands: &mut Commands,
    service: &ServiceSpec,
    balancer: &str,
    vip: SocketAddr,
    port: &ServicePort,
) {
    let backends = service.backends(vip.ip(), port);
    commands.line(&format!("lb-add {balancer} {vip} {backends} {}", port.protocol));
}

fn attach(commands: &mut Commands, node: &str, balancer: &str) {
    commands.line(&format!("ls-lb-add {node} {balancer}"));
    commands.line(&format!("lr-lb-add GR_{node} {balancer}"));
}
