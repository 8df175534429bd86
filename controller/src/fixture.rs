//! Cluster states for tests: objects as the API server writes them, listed to the end.

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster_state::{ClusterState, WatchEvent};
use crate::decide::{Decision, decide};
use crate::table::ObjectChange;

/// A moment at which tests begin.
pub fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("within the calendar")
}

impl ClusterState {
    /// Takes an event in at the moment at which tests begin.
    pub fn see(&mut self, event: WatchEvent) -> ObjectChange {
        self.apply(event, start())
    }
}

/// Decides at that moment.
pub fn decided(cluster: &ClusterState) -> Decision {
    decide(cluster, start())
}

/// An object from its JSON.
pub fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a valid object")
}

/// Every kind was listed.
pub fn all_listed() -> [WatchEvent; 7] {
    [
        WatchEvent::Network(Event::InitDone),
        WatchEvent::Profile(Event::InitDone),
        WatchEvent::FlowsConfig(Event::InitDone),
        WatchEvent::Node(Event::InitDone),
        WatchEvent::Export(Event::InitDone),
        WatchEvent::Service(Event::InitDone),
        WatchEvent::Rollout(Event::InitDone),
    ]
}

/// A cluster in which every kind was listed and nothing exists.
pub fn empty() -> ClusterState {
    let mut cluster = ClusterState::default();
    for event in all_listed() {
        cluster.see(event);
    }
    cluster
}

/// Sees the `Network` with that `spec.exportNetworkFlows`.
pub fn patch(cluster: &mut ClusterState, flows: Value) -> ObjectChange {
    cluster.see(WatchEvent::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 7},
        "spec": {"exportNetworkFlows": flows},
    })))))
}

/// A Node with an address, which may be empty.
pub fn node(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"name": name}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

/// Sees a Node come or change.
pub fn add_node(cluster: &mut ClusterState, name: &str, address: &str) -> ObjectChange {
    cluster.see(WatchEvent::Node(Event::Apply(object(node(name, address)))))
}

/// Sees a Node go.
pub fn remove_node(cluster: &mut ClusterState, name: &str) -> ObjectChange {
    cluster.see(WatchEvent::Node(Event::Delete(object(node(name, "")))))
}

/// Sees a Service in namespace `flows`.
pub fn add_service(cluster: &mut ClusterState, name: &str, spec: Value) -> ObjectChange {
    cluster.see(WatchEvent::Service(Event::Apply(object(json!({
        "metadata": {"name": name, "namespace": "flows"},
        "spec": spec,
    })))))
}
