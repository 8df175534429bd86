//! What OVN's northbound database says (`ovn-nb(5)`), as OVN-Kubernetes, Kube-OVN and
//! OpenStack's Neutron write it. Pure.
//!
//! | row | written by | read as |
//! |---|---|---|
//! | Logical_Switch_Port | OVN-Kubernetes (`NAMESPACE_POD`, `k8s-NODE`), Kube-OVN (`POD.NAMESPACE` with `external_ids:pod`, `node-NODE`) | the pod; the node |
//! | | Neutron (`external_ids:neutron:port_name`, `device_id`, `device_owner`, the switch's `neutron:network_name`) | a workload with the port's name, in that network |
//! | | anybody | a workload with the port's name |
//! | Load_Balancer | OVN-Kubernetes (`external_ids:k8s.ovn.org/kind` Service, `owner` NAMESPACE/NAME) | the Service |
//! | | anybody | a Service with the load balancer's name |
//! | Logical_Router, its ports and NAT | anybody (`options:chassis`, `gateway_chassis`, `ha_chassis_group`) | addresses of the router, on that chassis |
//!
//! What cannot be read (addresses by a template, `unknown`) says nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ovsdb::{Datum, Monitor, Replica, RowData, Uuid};
use weir_api::interface::{PRIMARY, read_pod};
use weir_flow::{Identity, Kind};
use weir_identity::northbound::{LoadBalancer, LogicalPort, NorthboundFacts, RouterAddress};
use weir_identity::{Endpoint, mac};

/// Name of the database.
pub(super) const DATABASE: &str = "OVN_Northbound";
/// Beginnings of the names of nodes' own ports: OVN-Kubernetes', Kube-OVN's.
const NODE_PORTS: [&str; 2] = ["k8s-", "node-"];

/// The tables and columns that [`read`] reads.
pub(super) fn monitor() -> Monitor {
    Monitor::new()
        .table("Logical_Switch", ["name", "ports", "external_ids"])
        .table(
            "Logical_Switch_Port",
            ["name", "type", "addresses", "dynamic_addresses", "external_ids"],
        )
        .table("Load_Balancer", ["name", "vips", "protocol", "external_ids"])
        .table("Logical_Router", ["name", "ports", "nat", "options"])
        .table(
            "Logical_Router_Port",
            ["networks", "gateway_chassis", "ha_chassis_group", "options"],
        )
        .table("Gateway_Chassis", ["chassis_name", "priority"])
        .table("HA_Chassis_Group", ["ha_chassis"])
        .table("HA_Chassis", ["chassis_name", "priority"])
        .table("NAT", ["type", "external_ip", "logical_ip"])
}

/// Reads what the replica says.
pub(super) fn read(replica: &Replica) -> NorthboundFacts {
    let switches = replica.rows("Logical_Switch");
    let switch_of: HashMap<Uuid, &RowData> = switches
        .flat_map(|(_, switch)| switch.uuids("ports").map(move |port| (port, &**switch)))
        .collect();
    let ports = replica.rows("Logical_Switch_Port");
    let balancers = replica.rows("Load_Balancer");
    NorthboundFacts::new(
        ports
            .filter_map(|(uuid, row)| logical_port(row, switch_of.get(&uuid).copied()))
            .collect(),
        balancers.map(|(_, row)| load_balancer(row)).collect(),
        replica
            .rows("Logical_Router")
            .flat_map(|(_, router)| router_addresses(replica, router))
            .collect(),
    )
}

/// Ports with a type lead to routers, to the network outside, to services of OVN.
fn logical_port(row: &RowData, switch: Option<&RowData>) -> Option<LogicalPort> {
    let name = row.str("name").filter(|name| !name.is_empty())?;
    if row.str("type").is_some_and(|kind| !kind.is_empty()) {
        return None;
    }
    let listed = ["addresses", "dynamic_addresses"]
        .into_iter()
        .filter_map(|column| row.column(column));
    let words: Vec<&str> = listed
        .flat_map(Datum::as_strings)
        .flat_map(str::split_whitespace)
        .collect();
    Some(LogicalPort {
        name: name.into(),
        who: identify(name, row, switch),
        addresses: words.iter().filter_map(|word| address(word)).collect(),
        macs: words.iter().filter_map(|word| mac::parse(word)).collect(),
    })
}

fn identify(name: &str, row: &RowData, switch: Option<&RowData>) -> Identity {
    let external = |key: &str| row.map_get("external_ids", key).filter(|text| !text.is_empty());
    // A pod may be called like a node's port: both plugins say of pods that they are some.
    let is_pod = external("pod").or(external("namespace")).is_some();
    let of_node = NODE_PORTS.iter().find_map(|start| name.strip_prefix(start));
    if let Some(node) = of_node.filter(|_| !is_pod) {
        let node: Arc<str> = node.into();
        return Identity {
            kind: Kind::Node,
            name: Arc::clone(&node),
            workload_name: Arc::clone(&node),
            workload_kind: "Node".into(),
            node_name: node,
            network: PRIMARY.into(),
            ..Identity::default()
        };
    }
    if let Some((ns, pod)) = external("pod").and_then(|pod| pod.split_once('/')) {
        let keys = [("pod_namespace", ns), ("pod_name", pod), ("iface-id", name)];
        let kube_ovn = |key: &str| {
            keys.iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| *value)
        };
        return read_pod(kube_ovn).map_or_else(Identity::default, pod_identity);
    }
    let as_interface = |key: &str| {
        if key == "iface-id" {
            Some(name)
        } else {
            external(key)
        }
    };
    let neutron = external("neutron:device_id");
    if let Some(pod) = read_pod(as_interface).filter(|_| neutron.is_none()) {
        return pod_identity(pod);
    }
    let network = switch.and_then(|switch| {
        let of_neutron = switch.map_get("external_ids", "neutron:network_name");
        of_neutron.filter(|text| !text.is_empty()).or(switch.str("name"))
    });
    let machine = external("neutron:device_owner").is_some_and(|owner| owner.starts_with("compute:"));
    Identity {
        kind: Kind::Pod,
        name: external("neutron:port_name").unwrap_or(name).into(),
        workload_name: neutron.unwrap_or("").into(),
        workload_kind: if machine { "VirtualMachine" } else { "" }.into(),
        network: network.unwrap_or("").into(),
        ..Identity::default()
    }
}

fn pod_identity(pod: weir_api::interface::PodInterface<'_>) -> Identity {
    Identity {
        kind: Kind::Pod,
        name: pod.pod.into(),
        ns: pod.ns.into(),
        network: pod.network.as_deref().unwrap_or_default().into(),
        ..Identity::default()
    }
}

fn load_balancer(row: &RowData) -> LoadBalancer {
    let external = |key: &str| row.map_get("external_ids", key);
    let owner = external("k8s.ovn.org/owner").filter(|_| external("k8s.ovn.org/kind") == Some("Service"));
    let (ns, name) = owner
        .and_then(|owner| owner.split_once('/'))
        .unwrap_or(("", row.str("name").unwrap_or("")));
    let proto = match row.str("protocol") {
        Some("udp") => 17,
        Some("sctp") => 132,
        _ => 6,
    };
    let (ns, name): (Arc<str>, Arc<str>) = (ns.into(), name.into());
    let vips = || row.column("vips").into_iter().flat_map(Datum::string_pairs);
    let backends = vips().flat_map(|(_, backends)| backends.split(','));
    LoadBalancer {
        who: Identity {
            kind: Kind::Service,
            name: Arc::clone(&name),
            ns: Arc::clone(&ns),
            workload_name: Arc::clone(&name),
            workload_kind: "Service".into(),
            service_name: name,
            service_ns: ns,
            ..Identity::default()
        },
        virtual_endpoints: vips().filter_map(|(vip, _)| endpoint(vip, proto)).collect(),
        backends: backends.filter_map(|backend| endpoint(backend, proto)).collect(),
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`; without a port all of all protocols.
fn endpoint(text: &str, proto: u8) -> Option<Endpoint> {
    let text = text.trim();
    if let Ok(full) = text.parse::<std::net::SocketAddr>() {
        return Some(Endpoint {
            address: full.ip(),
            proto,
            port: full.port(),
        });
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    Some(Endpoint {
        address: bare.parse().ok()?,
        proto: 0,
        port: 0,
    })
}

fn router_addresses(replica: &Replica, router: &RowData) -> Vec<RouterAddress> {
    let name: Arc<str> = router.str("name").unwrap_or("").into();
    let ports: Vec<&RowData> = rows(replica, router, "ports", "Logical_Router_Port").collect();
    let own = router.map_get("options", "chassis");
    let gateway = ports.iter().find_map(|port| gateway(replica, port));
    let chassis: Arc<str> = own.or(gateway).unwrap_or("").into();
    let address = |address: IpAddr, behind: Option<IpAddr>| RouterAddress {
        address,
        router: Arc::clone(&name),
        chassis: Arc::clone(&chassis),
        behind,
    };
    let networks = ports.iter().filter_map(|port| port.column("networks"));
    let own = networks.flat_map(Datum::as_strings).filter_map(self::address);
    let nat = rows(replica, router, "nat", "NAT").filter_map(|nat| {
        let behind = nat.str("logical_ip").filter(|_| nat.str("type") != Some("snat"));
        let behind = behind.and_then(self::address);
        Some(address(nat.str("external_ip")?.parse().ok()?, behind))
    });
    own.map(|own| address(own, None)).chain(nat).collect()
}

/// The chassis that a port is on by preference.
fn gateway<'a>(replica: &'a Replica, port: &'a RowData) -> Option<&'a str> {
    let groups = rows(replica, port, "ha_chassis_group", "HA_Chassis_Group");
    let of_groups = groups.flat_map(|group| rows(replica, group, "ha_chassis", "HA_Chassis"));
    let own = rows(replica, port, "gateway_chassis", "Gateway_Chassis");
    let first = own
        .chain(of_groups)
        .max_by_key(|row| row.column("priority").and_then(Datum::as_integer));
    first?.str("chassis_name")
}

fn rows<'a>(
    replica: &'a Replica,
    row: &'a RowData,
    column: &'a str,
    table: &'a str,
) -> impl Iterator<Item = &'a RowData> {
    row.uuids(column)
        .filter_map(move |uuid| replica.row(table, uuid).map(Arc::as_ref))
}

/// An address, with or without a prefix length; a network is none.
fn address(text: &str) -> Option<IpAddr> {
    let with_prefix = || text.parse::<IpNet>().ok().map(|net| net.addr());
    let address = text.parse().ok().or_else(with_prefix)?;
    let somebodys = !IpAddr::is_unspecified(&address) && !address.is_multicast();
    somebodys.then_some(address)
}

#[cfg(test)]
mod tests;
