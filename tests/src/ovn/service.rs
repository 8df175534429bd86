//! Services: what OVN-Kubernetes makes of them in OVN, and the objects that it makes
//! that of; no I/O.

use std::{collections::BTreeSet, net::Ipv4Addr};

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

    fn backends(&self, port: &ServicePort) -> String {
        let ends = self
            .backends
            .iter()
            .map(|pod| format!("{}:{}", pod.ip(), port.target));
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

    /// The EndpointSlice that a controller-manager would keep for it.
    pub(crate) fn endpoint_slice(&self) -> Value {
        let endpoints = self.backends.iter().map(|pod| {
            json!({
                "addresses": [pod.ip()],
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
                "namespace": self.namespace, "name": format!("{}-lab", self.name),
                "labels": { "kubernetes.io/service-name": self.name },
            },
            "addressType": "IPv4",
            "endpoints": endpoints.collect::<Vec<_>>(),
            "ports": ports.collect::<Vec<_>>(),
        })
    }
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
            let ports = || service.ports.iter().filter(|port| port.protocol == protocol);
            let addresses = || [Some(service.cluster_ip), service.balancer].into_iter().flatten();
            let vips: Vec<_> = ports()
                .flat_map(|port| addresses().map(|address| (format!("{address}:{}", port.port), *port)))
                .collect();
            let cluster = format!("{name}_cluster");
            balance(&mut commands, service, &cluster, &vips);
            for (node, addresses) in nodes {
                attach(&mut commands, node, &cluster);
                let at_node =
                    |port: &ServicePort| Some((format!("{}:{}", addresses.fabric(), port.node_port?), *port));
                let vips: Vec<_> = ports().filter_map(at_node).collect();
                if !vips.is_empty() {
                    let own = format!("{name}_node_{node}");
                    balance(&mut commands, service, &own, &vips);
                    attach(&mut commands, node, &own);
                }
            }
        }
    }
    commands
}

fn balance(commands: &mut Commands, service: &ServiceSpec, name: &str, vips: &[(String, ServicePort)]) {
    for (vip, port) in vips {
        let backends = service.backends(port);
        commands.line(&format!("lb-add {name} {vip} {backends} {}", port.protocol));
    }
    commands.add(&["set", "load_balancer", name, HAIRPIN]);
}

fn attach(commands: &mut Commands, node: &str, balancer: &str) {
    commands.line(&format!("ls-lb-add {node} {balancer}"));
    commands.line(&format!("lr-lb-add GR_{node} {balancer}"));
}
