//! Edges and inventories for tests.

use std::collections::BTreeSet;

use weir_policy::edges::{Edge, EdgeEnd, EdgeSet, PodEnd, Strength, WorkloadKey};
use weir_policy::inventory::{Inventory, Workload};
use weir_policy::{Cluster, Pod};

use crate::naive::{Call, End};
use crate::world::{World, labels};

/// 2026-06-01 00:00:00 UTC, in nanoseconds.
pub const JUNE: u64 = 1_780_272_000_000_000_000;
pub const DAY: u64 = 86_400_000_000_000;

pub fn deployment(namespace: &str, name: &str) -> WorkloadKey {
    WorkloadKey {
        namespace: namespace.into(),
        kind: "Deployment".into(),
        name: name.into(),
    }
}

/// A workload whose selector and template have these labels.
pub fn workload(key: WorkloadKey, selector: &str, template: &str, pods: &[&str]) -> Workload {
    Workload {
        key,
        selector: labels(selector),
        template: labels(template),
        ports: Vec::new(),
        pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
    }
}

/// A pod as edges name it, its workload from the inventory.
pub fn pod_end(pod: &Pod, inventory: &Inventory) -> PodEnd {
    let owner = inventory
        .workloads
        .iter()
        .find(|workload| workload.key.namespace == pod.namespace && workload.pods.contains(&pod.name));
    PodEnd {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        address: pod.addresses.first().copied(),
        node: pod.node.clone(),
        workload: owner.map(|workload| workload.key.clone()),
    }
}

pub fn edge_end(end: &End, cluster: &Cluster, inventory: &Inventory) -> EdgeEnd {
    match end {
        End::Pod {
            namespace,
            name,
            address,
        } => {
            let pod = cluster
                .pods
                .iter()
                .find(|pod| pod.namespace == *namespace && pod.name == *name)
                .unwrap();
            EdgeEnd::Pod(PodEnd {
                address: Some(*address),
                ..pod_end(pod, inventory)
            })
        }
        End::Node { name, address } => EdgeEnd::Node {
            name: name.clone(),
            address: Some(*address),
        },
        End::Outside(address) => EdgeEnd::address(*address),
    }
}

/// An edge that was seen and answered on June 1st.
pub fn seen(set: &mut EdgeSet, client: EdgeEnd, server: EdgeEnd, protocol: u8, port: u16) -> Edge {
    let edge = Edge {
        client: set.end(client),
        server: set.end(server),
        protocol,
        port,
        flows: 10,
        bytes: 1_000,
        first: JUNE,
        last: JUNE + DAY,
        strength: Strength::Proven,
        answered: true,
    };
    set.push(edge);
    edge
}

/// Edges between ends as [`World::end`] reads them, to ports as in `tcp/80`.
pub fn edges(world: &World, inventory: &Inventory, all: &[(&str, &str, &str)]) -> EdgeSet {
    let mut set = EdgeSet::default();
    for (client, server, port) in all {
        see(&mut set, world, inventory, client, server, port);
    }
    set
}

pub fn see(
    set: &mut EdgeSet,
    world: &World,
    inventory: &Inventory,
    client: &str,
    server: &str,
    port: &str,
) -> Edge {
    let call: Call = world.call(client, server, port);
    let [client, server] = [&call.client, &call.server].map(|end| edge_end(end, &world.cluster, inventory));
    seen(set, client, server, call.protocol, call.port)
}

/// A workload for each label `app` of each namespace of the world.
pub fn inventory(cluster: &Cluster) -> Inventory {
    let mut inventory = Inventory::default();
    for pod in cluster
        .pods
        .iter()
        .filter(|pod| !pod.host_network && !pod.finished)
    {
        let key = deployment(&pod.namespace, &pod.labels["app"]);
        match inventory
            .workloads
            .iter_mut()
            .find(|workload| workload.key == key)
        {
            Some(workload) => {
                workload.pods.insert(pod.name.clone());
            }
            None => inventory.workloads.push(Workload {
                key,
                selector: pod.labels.clone(),
                template: pod.labels.clone(),
                ports: pod.ports.clone(),
                pods: BTreeSet::from([pod.name.clone()]),
            }),
        }
    }
    inventory
}
