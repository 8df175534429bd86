//! Names from the OVSDB of nodes, without Kubernetes: the network plugin writes on
//! each interface which pod stands behind it ([`read_pod`]), and with which addresses.
//! [`read`] is pure; [`follow`] is the task that keeps the snapshot up to date.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use nix::ifaddrs::getifaddrs;
use ovsdb::{Client, Endpoint, Monitor, Options, Replica, RowData, View};
use tokio::sync::watch;

use super::SwitchSources;
use crate::health::Health;
use weir_api::interface::{PRIMARY, PodInterface, read_pod};
use weir_flow::{Identity, Kind};
use weir_identity::{AddressHistory, Snapshot, SwitchFacts, mac, merge, time};

mod exports;
mod northbound;

/// Changes that come within this time are taken in together.
const COALESCE: Duration = Duration::from_millis(50);

/// Where addresses are written: by OVN-Kubernetes, before 2021 too, by Antrea, by Kube-OVN.
const ADDRESSES: [&str; 4] = ["ip_addresses", "ip_address", "ip-address", "ip"];
/// Where Ethernet addresses are: OVN-Kubernetes, Antrea.
const MACS: [&str; 2] = ["attached_mac", "attached-mac"];

/// The tables and columns that [`read`] reads.
pub fn monitor() -> Monitor {
    Monitor::new()
        .table("Open_vSwitch", ["external_ids", "ovs_version"])
        .table("Bridge", exports::BRIDGE_COLUMNS)
        .table("NetFlow", exports::NETFLOW_COLUMNS)
        .table("sFlow", ["agent", "sampling"])
        .table("IPFIX", ["obs_domain_id", "sampling", "other_config"])
        .table("Port", ["interfaces"])
        .table("Interface", exports::INTERFACE_COLUMNS)
}

/// Reads what the replica of one node says. `node_name` outranks
/// `external_ids:hostname`.
pub fn read(replica: &Replica, node_name: Option<&str>) -> SwitchFacts {
    let root = replica.rows("Open_vSwitch").next().map(|(_, row)| row);
    let external = |key| root.and_then(|row| row.map_get("external_ids", key));
    let node: Arc<str> = node_name
        .or(external("hostname"))
        .or(external("system-id"))
        .unwrap_or("")
        .into();
    let sources = external("ovn-encap-ip").map_or_else(Vec::new, addresses);
    let mut switch = SwitchFacts {
        node,
        sources,
        chassis: external("system-id").unwrap_or("").into(),
        ..SwitchFacts::default()
    };
    switch.exporters = replica
        .rows("Bridge")
        .map(|(uuid, row)| exports::exporter(replica, uuid, row, &switch.node))
        .collect();
    for (_, row) in replica.rows("Interface") {
        read_interface(row, &mut switch);
    }
    switch
}

fn read_interface(row: &RowData, switch: &mut SwitchFacts) {
    let id = |key: &str| row.map_get("external_ids", key);
    let bound = id("iface-id").zip(row.str("name"));
    switch
        .bound
        .extend(bound.map(|(port, name)| (port.into(), name.into())));
    let pod = read_pod(id).map(|pod| identify_pod(&pod, switch));
    let Some(identity) = pod.or_else(|| identify_node(id("iface-id")?, switch)) else {
        return;
    };
    let identity = Arc::new(identity);
    let listed = ADDRESSES.into_iter().filter_map(id).flat_map(addresses);
    switch
        .addresses
        .extend(listed.map(|address| (address, Arc::clone(&identity))));
    for mac in MACS.into_iter().filter_map(id).filter_map(mac::parse) {
        switch.ports.macs.insert(mac, Arc::clone(&identity));
    }
    if let Some(name) = row.str("name") {
        switch.ports.interfaces.insert(name.into(), identity);
    }
}

fn identify_pod(pod: &PodInterface<'_>, switch: &SwitchFacts) -> Identity {
    Identity {
        kind: Kind::Pod,
        name: pod.pod.into(),
        ns: pod.ns.into(),
        network: pod.network.as_deref().unwrap_or_default().into(),
        ..here(switch)
    }
}

/// `k8s-NODE` is the node's own port on the bridge.
fn identify_node(iface: &str, switch: &SwitchFacts) -> Option<Identity> {
    (iface.strip_prefix("k8s-")? == &*switch.node).then(|| Identity {
        kind: Kind::Node,
        name: Arc::clone(&switch.node),
        workload_name: Arc::clone(&switch.node),
        workload_kind: "Node".into(),
        network: PRIMARY.into(),
        ..here(switch)
    })
}

fn here(switch: &SwitchFacts) -> Identity {
    Identity {
        node_name: Arc::clone(&switch.node),
        node_addr: switch.sources.first().copied(),
        ..Identity::default()
    }
}

/// Addresses out of a list with spaces or commas, with or without prefix lengths.
fn addresses(list: &str) -> Vec<IpAddr> {
    let words = list
        .split([' ', ',', '\t'])
        .map(|word| word.split('/').next().unwrap_or(word));
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Keeps the snapshot up to date with these databases, until the receivers of
/// `names` are gone. Who had an address is known for `kept`.
pub async fn follow(
    sources: SwitchSources,
    kept: Duration,
    names: watch::Sender<Snapshot>,
    health: Arc<Health>,
) {
    let SwitchSources {
        endpoints,
        node_name,
        northbound,
    } = sources;
    let open =
        |endpoint: &Endpoint| Client::spawn(endpoint.clone(), "Open_vSwitch", monitor(), Options::default());
    // The clients end with this future.
    let mut clients: Vec<Client> = endpoints.iter().map(open).collect();
    clients.extend(northbound.iter().map(|endpoint| {
        let database = northbound::DATABASE;
        Client::spawn(
            endpoint.clone(),
            database,
            northbound::monitor(),
            Options::default(),
        )
    }));
    let mut views: Vec<watch::Receiver<View>> = clients.iter().map(Client::watch).collect();
    let name = node_name.filter(|_| endpoints.len() == 1);
    let all: Vec<Endpoint> = endpoints.iter().chain(&northbound).cloned().collect();
    let mut history = AddressHistory::new(kept);
    let mut facts = None;
    while !names.is_closed() {
        let of_ovn_changed = views
            .last()
            .is_some_and(|view| view.has_changed().unwrap_or(true));
        let seen: Vec<View> = views
            .iter_mut()
            .map(|view| view.borrow_and_update().clone())
            .collect();
        let (of_switches, of_ovn) = seen.split_at(endpoints.len());
        let switches = read_all(&endpoints, of_switches, name.as_deref());
        if of_ovn_changed || facts.is_none() {
            facts = of_ovn.first().map(|view| northbound::read(&view.replica));
        }
        names.send_replace(merge(switches, facts.as_ref(), &mut history, time::now()));
        // Who is ready has the names.
        health.set_identity(describe(&all, &seen));
        let changes = views.iter_mut().map(|view| Box::pin(view.changed()));
        tokio::select! {
            (outcome, _, _) = select_all(changes) => if outcome.is_err() { return },
            () = names.closed() => return,
        }
        tokio::time::sleep(COALESCE).await;
    }
}

/// What speaks for a node must come from its addresses, so all that are its own count:
/// where its database is, what its rows name, and, where the only database is a socket
/// here, all of this machine's.
fn read_all(endpoints: &[Endpoint], views: &[View], node_name: Option<&str>) -> Vec<SwitchFacts> {
    let mut switches: Vec<SwitchFacts> = views.iter().map(|view| read(&view.replica, node_name)).collect();
    for (endpoint, switch) in endpoints.iter().zip(&mut switches) {
        let more = match endpoint {
            Endpoint::Unix(_) if endpoints.len() == 1 => local_addresses(),
            Endpoint::Unix(_) => Vec::new(),
            Endpoint::Tcp(host, _) | Endpoint::Ssl { host, .. } => addresses(host),
        };
        let agents = switch.exporters.iter().filter_map(|exporter| exporter.agent);
        for address in agents.chain(more).collect::<Vec<_>>() {
            if !switch.sources.contains(&address) {
                switch.sources.push(address);
            }
        }
    }
    refuse_disputed(endpoints, &mut switches);
    switches
}

/// A database can say anything of its node, but not that it is another: a name that two
/// have is the first one's, and an address that two name is whose database is there, else
/// nobody's.
fn refuse_disputed(endpoints: &[Endpoint], switches: &mut [SwitchFacts]) {
    let mut names = HashSet::new();
    for (endpoint, switch) in endpoints.iter().zip(&mut *switches) {
        if !switch.node.is_empty() && !names.insert(Arc::clone(&switch.node)) {
            tracing::warn!(%endpoint, node = %switch.node, "another database has this node's name already: this one names nobody");
            *switch = SwitchFacts::default();
        }
    }
    let is_host = |n: usize, address: &IpAddr| match endpoints.get(n) {
        Some(Endpoint::Tcp(host, _) | Endpoint::Ssl { host, .. }) => addresses(host).contains(address),
        Some(Endpoint::Unix(_)) | None => false,
    };
    let claims: Vec<Vec<IpAddr>> = switches.iter().map(|switch| switch.sources.clone()).collect();
    for (n, switch) in switches.iter_mut().enumerate() {
        let others = |address: &IpAddr| {
            let mut others = claims.iter().enumerate().filter(|(other, _)| *other != n);
            others.any(|(_, claimed)| claimed.contains(address))
        };
        switch
            .sources
            .retain(|address| is_host(n, address) || !others(address));
    }
}

/// All addresses of this machine, loopback among them, which means nothing elsewhere.
fn local_addresses() -> Vec<IpAddr> {
    let mut all = vec![
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    match getifaddrs() {
        Ok(interfaces) => all.extend(interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
        })),
        Err(error) => tracing::warn!(%error, "cannot read this machine's addresses"),
    }
    all
}

/// Names were read once from each; which were not, and why.
fn describe(endpoints: &[Endpoint], views: &[View]) -> Result<(), String> {
    let waiting = endpoints.iter().zip(views).filter(|(_, view)| view.syncs == 0);
    let lines: Vec<String> = waiting
        .map(|(endpoint, view)| format!("{endpoint}: {:?}", view.link))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("; "))
    }
}

#[cfg(test)]
mod tests;
