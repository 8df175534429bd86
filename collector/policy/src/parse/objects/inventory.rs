//! Workloads, Services with those behind them, and the networks of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{
    OVN_SUBNETS, Objects, address, labels_at, list, named_ports, ovn_subnets, protocol, text, workload_key,
};
use crate::edges::WorkloadKey;
use crate::facts::Protocol;
use crate::inventory::{Backend, Inventory, Service, ServicePort, SubnetLabel, Workload};

/// The label by which an EndpointSlice says whose it is.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Objects beyond pods, namespaces, nodes and policies.
#[derive(Debug, Default)]
pub(super) struct Seen {
    workloads: BTreeMap<WorkloadKey, Workload>,
    /// By namespace and name: the ports, with their names.
    services: BTreeMap<(String, String), Vec<(String, ServicePort)>>,
    /// By namespace and name of the Service.
    slices: Vec<((String, String), Slice)>,
    networks: BTreeSet<IpNet>,
    /// Addresses of Services.
    service_addresses: BTreeSet<IpAddr>,
}

/// An EndpointSlice.
#[derive(Debug)]
struct Slice {
    /// Name, protocol and number of each port.
    ports: Vec<(String, Protocol, u16)>,
    /// The ready ones, without their ports.
    backends: Vec<Backend>,
}

impl Seen {
    /// Takes what it can use of an object. Whether nobody else needs the object.
    pub fn add(&mut self, object: &Value) -> bool {
        let kind = text(object, "/kind");
        match (text(object, "/apiVersion"), kind) {
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch/v1", "Job")
            | ("v1", "ReplicationController")
            | ("argoproj.io/v1alpha1", "Rollout") => self.add_workload(object, kind, "/spec/template"),
            ("batch/v1", "CronJob") => self.add_workload(object, kind, "/spec/jobTemplate/spec/template"),
            ("v1", "Service") => self.add_service(object),
            ("discovery.k8s.io/v1", "EndpointSlice") => self.add_slice(object),
            ("networking.k8s.io/v1" | "networking.k8s.io/v1beta1", "ServiceCIDR") => {
                self.networks.extend(networks(object, "/spec/cidrs"));
            }
            ("v1", "Node") => {
                self.add_node(object);
                return false;
            }
            _ => return false,
        }
        true
    }

    fn add_workload(&mut self, object: &Value, kind: &str, template: &str) {
        let key = workload_key(object, kind);
        // Others select by labels that generate themselves.
        let selects = !matches!(kind, "Job" | "CronJob");
        let place = match kind {
            "ReplicationController" => "/spec/selector",
            _ => "/spec/selector/matchLabels",
        };
        let workload = Workload {
            selector: if selects {
                labels_at(object, place)
            } else {
                Default::default()
            },
            template: labels_at(object, &format!("{template}/metadata/labels")),
            ports: object.pointer(template).map(named_ports).unwrap_or_default(),
            pods: BTreeSet::new(),
            key: key.clone(),
        };
        self.workloads.insert(key, workload);
    }

    fn add_service(&mut self, object: &Value) {
        let ports = list(object, "/spec/ports").filter_map(|port| {
            let number = port.pointer("/port").and_then(Value::as_u64)?;
            let service_port = ServicePort {
                protocol: protocol(port)?,
                port: u16::try_from(number).ok()?,
                backends: Vec::new(),
            };
            Some((text(port, "/name").to_owned(), service_port))
        });
        self.services.insert(place(object), ports.collect());
        let given = ["/spec/clusterIPs", "/spec/externalIPs"];
        let given = given
            .iter()
            .flat_map(|place| list(object, place))
            .filter_map(Value::as_str);
        let balancer = list(object, "/status/loadBalancer/ingress").map(|ingress| text(ingress, "/ip"));
        let all = given.chain(balancer).chain([text(object, "/spec/clusterIP")]);
        self.service_addresses
            .extend(all.filter_map(|address| address.parse::<IpAddr>().ok()));
    }

    /// Whether a Service has that address.
    pub fn is_service(&self, address: IpAddr) -> bool {
        self.service_addresses.contains(&address)
    }

    /// The addresses of all Services.
    pub fn service_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.service_addresses.iter().copied()
    }

    fn add_slice(&mut self, object: &Value) {
        let service = object
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get(SERVICE_LABEL));
        let Some(service) = service.and_then(Value::as_str) else {
            return;
        };
        let is_ready =
            |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
        let backends = list(object, "/endpoints").filter(is_ready).flat_map(|endpoint| {
            let is_pod = text(endpoint, "/targetRef/kind") == "Pod";
            let pod = is_pod.then(|| {
                let name = |part: &str| text(endpoint, part).to_owned();
                (name("/targetRef/namespace"), name("/targetRef/name"))
            });
            let addresses = list(endpoint, "/addresses").filter_map(|value| value.as_str()?.parse().ok());
            addresses.map(move |address| Backend {
                pod: pod.clone(),
                address,
                port: 0,
            })
        });
        let ports = list(object, "/ports").filter_map(|port| {
            let number = port.pointer("/port").and_then(Value::as_u64)?;
            Some((
                text(port, "/name").to_owned(),
                protocol(port)?,
                u16::try_from(number).ok()?,
            ))
        });
        let slice = Slice {
            ports: ports.collect(),
            backends: backends.collect(),
        };
        let key = (text(object, "/metadata/namespace").to_owned(), service.to_owned());
        self.slices.push((key, slice));
    }

    fn add_node(&mut self, object: &Value) {
        self.networks.extend(networks(object, "/spec/podCIDRs"));
        let annotations = object.pointer("/metadata/annotations");
        let subnets = annotations
            .and_then(|all| all.get(OVN_SUBNETS))
            .and_then(Value::as_str);
        self.networks
            .extend(subnets.map(ovn_subnets).into_iter().flatten());
        let addresses = list(object, "/status/addresses").filter_map(|entry| address(entry, "/address"));
        self.networks.extend(addresses.map(IpNet::from));
    }

    /// The Services with those behind them.
    fn services(&self) -> Vec<Service> {
        let services = self.services.iter().map(|(key, ports)| {
            let of_service = self.slices.iter().filter(|(service, _)| service == key);
            let slices: Vec<&Slice> = of_service.map(|(_, slice)| slice).collect();
            let ports = ports.iter().map(|(name, port)| ServicePort {
                backends: backends(&slices, name, port.protocol),
                ..port.clone()
            });
            Service {
                namespace: key.0.clone(),
                name: key.1.clone(),
                ports: ports.collect(),
            }
        });
        services.collect()
    }
}

/// Those behind the port of that name.
fn backends(slices: &[&Slice], name: &str, protocol: Protocol) -> Vec<Backend> {
    let of_slice = |slice: &&Slice| {
        let port = slice
            .ports
            .iter()
            .find(|(its, of, _)| its == name && *of == protocol);
        let number = port.map(|(_, _, number)| *number);
        let with = |number: u16| {
            slice.backends.iter().map(move |backend| Backend {
                port: number,
                ..backend.clone()
            })
        };
        number.map(with).into_iter().flatten().collect::<Vec<_>>()
    };
    slices.iter().flat_map(of_slice).collect()
}

/// Namespace and name.
fn place(object: &Value) -> (String, String) {
    let name = |part: &str| text(object, part).to_owned();
    (name("/metadata/namespace"), name("/metadata/name"))
}

fn networks<'v>(object: &'v Value, place: &str) -> impl Iterator<Item = IpNet> + use<'v> {
    list(object, place).filter_map(|value| Some(value.as_str()?.parse::<IpNet>().ok()?.trunc()))
}

impl Objects {
    /// What replay and generation need besides [`Objects::cluster`]. Of a workload whose
    /// object was not read only its pods are known; one that another controls is none.
    pub fn inventory(&self, subnets: Vec<SubnetLabel>) -> Inventory {
        let is_controlled = |key: &WorkloadKey| self.owners.get(key).is_some_and(|owner| owner != key);
        let own = self.seen.workloads.iter().filter(|(key, _)| !is_controlled(key));
        let mut workloads: BTreeMap<WorkloadKey, Workload> = own
            .map(|(key, workload)| (key.clone(), workload.clone()))
            .collect();
        for pod in &self.cluster.pods {
            let Some(key) = self.workload(&pod.namespace, &pod.name) else {
                continue;
            };
            let unread = || Workload {
                key: key.clone(),
                selector: Default::default(),
                template: Default::default(),
                ports: Vec::new(),
                pods: BTreeSet::new(),
            };
            let workload = workloads.entry(key.clone()).or_insert_with(unread);
            workload.pods.insert(pod.name.clone());
        }
        Inventory {
            workloads: workloads.into_values().collect(),
            services: self.seen.services(),
            subnets,
            cluster_networks: self.seen.networks.iter().copied().collect(),
        }
    }
}
